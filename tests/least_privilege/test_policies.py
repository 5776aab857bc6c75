"""What nobody may do, who may take which role, and what the policies of resources let in."""

import pytest

from local.deploy import EMBEDDED_PARAMETERS, deploy
from local.embedded import EmbeddedAws
from tests.least_privilege.evaluate import is_allowed
from tests.least_privilege.reasons import ADVANCING
from tests.least_privilege.roles import TEMPLATE, resolved, roles_of

ACCOUNT = "123456789012"
HERE = f"us-east-1:{ACCOUNT}"
CONTROL = "arn:aws:s3:::drydock-control"
DATA = "arn:aws:s3:::drydock-data"
INTAKE = "arn:aws:s3:::drydock-intake"
TOKEN = f"{CONTROL}/tokens/1a/000000/f00d"
JOB_ROLE = f"arn:aws:iam::{ACCOUNT}:role/drydock-job-role"


@pytest.fixture(scope="module")
def resources(tmp_path_factory):
    with EmbeddedAws(tmp_path_factory.mktemp("aws")) as aws:
        yield resolved(deploy(aws, TEMPLATE), EMBEDDED_PARAMETERS, aws.region)


@pytest.fixture(scope="module")
def roles(resources):
    return roles_of(resources)


# ---- What is not allowed ----


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:GetObject", TOKEN),
        ("s3:GetObject", f"{CONTROL}/runs/1a/shards/000000.json"),
        ("s3:GetObject", f"{CONTROL}/runs/1a/frozen/000000-1"),
        ("s3:GetObject", f"{CONTROL}/owners/1a"),
        ("s3:GetObject", f"{CONTROL}/starts/1a"),
        ("s3:ListBucket", CONTROL),
        ("s3:PutObject", f"{CONTROL}/runs/1a/run.json"),
        ("s3:DeleteObject", f"{CONTROL}/runs/1a/run.json"),
        ("s3:DeleteObject", f"{DATA}/out/markers/1a/000000/00000-00000.done"),
        ("s3:DeleteObjectVersion", f"{DATA}/out/results/top.csv"),
        ("s3:GetObject", f"{INTAKE}/request.json"),
        ("batch:SubmitJob", f"arn:aws:batch:{HERE}:job-queue/drydock-spot"),
        ("batch:TerminateJob", f"arn:aws:batch:{HERE}:job/1"),
        ("states:SendTaskSuccess", f"arn:aws:states:{HERE}:stateMachine:drydock-run"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{HERE}:secret:s"),
    ],
)
def test_a_job_may_not(roles, action, resource):
    assert not is_allowed(roles["JobRole"].policies, action, resource)


def test_a_job_may_read_its_work(roles):
    for key in ("run.json", "rounds/000000/0-1.json", "rounds/000000/0-1.tasks"):
        assert is_allowed(roles["JobRole"].policies, "s3:GetObject", f"{CONTROL}/runs/1a/{key}")


def test_tokens_are_for_those_alone_that_answer_them(roles):
    may = {name for name, role in roles.items() if is_allowed(role.policies, "s3:GetObject", TOKEN)}
    assert may == set(ADVANCING)
    keeps = {
        name for name, role in roles.items() if is_allowed(role.policies, "s3:PutObject", TOKEN)
    }
    assert keeps == {"SubmitShardFunctionRole"}


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:CreateRole", "arn:aws:iam::123456789012:role/more"),
        ("iam:PutRolePolicy", JOB_ROLE),
        ("sts:AssumeRole", JOB_ROLE),
        ("s3:DeleteBucket", DATA),
        ("s3:PutBucketPolicy", CONTROL),
        ("s3:PutLifecycleConfiguration", DATA),
        ("s3:GetObject", "arn:aws:s3:::somebody-elses/input"),
        ("s3:GetObject", "arn:aws:s3:::drydock-data-of-others/input"),
        ("s3:PutObject", "arn:aws:s3:::somebody-elses/output"),
        ("s3:DeleteObject", f"{DATA}/input/a.txt"),
        ("s3:DeleteObject", f"{DATA}/out/results/top.csv"),
        ("s3:DeleteObject", f"{CONTROL}/runs/1a/run.json"),
        ("s3:PutObject", f"{INTAKE}/another.json"),
        ("lambda:UpdateFunctionCode", f"arn:aws:lambda:{HERE}:function:drydock-stop-run"),
        ("states:UpdateStateMachine", f"arn:aws:states:{HERE}:stateMachine:drydock-run"),
        ("states:StartExecution", f"arn:aws:states:{HERE}:stateMachine:another"),
        ("batch:SubmitJob", f"arn:aws:batch:{HERE}:job-queue/another"),
        ("batch:SubmitJob", f"arn:aws:batch:{HERE}:job-definition/another:1"),
        ("batch:RegisterJobDefinition", f"arn:aws:batch:{HERE}:job-definition/another"),
        ("kms:Decrypt", f"arn:aws:kms:{HERE}:key/another"),
        ("sqs:SendMessage", f"arn:aws:sqs:{HERE}:another"),
        ("sns:Publish", f"arn:aws:sns:{HERE}:another"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{HERE}:secret:s"),
        ("ecr:PutImage", f"arn:aws:ecr:{HERE}:repository/drydock/worker"),
        ("logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:others:log-stream:s"),
    ],
)
def test_nobody_may(roles, action, resource):
    able = [name for name, role in roles.items() if is_allowed(role.policies, action, resource)]
    assert able == []


def test_roles_are_handed_to_jobs_alone(roles):
    may = {
        (name, target, service)
        for name, role in roles.items()
        for target in ("job-role", "execution-role", "instance-role", "stop-run-function-role")
        for service in ("ecs-tasks.amazonaws.com", "ec2.amazonaws.com", "lambda.amazonaws.com")
        if is_allowed(
            role.policies,
            "iam:PassRole",
            f"arn:aws:iam::{ACCOUNT}:role/drydock-{target}",
            {"iam:PassedToService": service},
        )
    }
    assert may == {
        ("EnumerateInputsFunctionRole", target, "ecs-tasks.amazonaws.com")
        for target in ("job-role", "execution-role")
    }


# ---- Who may take a role ----

TAKEN_BY = {
    "RunStateMachineRole": "states.amazonaws.com",
    "RunStateMachineUploadRole": "events.amazonaws.com",
    "JobRole": "ecs-tasks.amazonaws.com",
    "ExecutionRole": "ecs-tasks.amazonaws.com",
    "InstanceRole": "ec2.amazonaws.com",
}
SERVICES = {*TAKEN_BY.values(), "lambda.amazonaws.com", "batch.amazonaws.com"}


def test_a_role_is_for_one_service(roles):
    for name, role in roles.items():
        takers = {
            service
            for service in SERVICES
            if is_allowed(
                {"trust": role.trust},
                "sts:AssumeRole",
                "*",
                {"aws:SourceAccount": ACCOUNT},
                service,
            )
        }
        assert takers == {TAKEN_BY.get(name, "lambda.amazonaws.com")}, name
        for person in (f"arn:aws:iam::{ACCOUNT}:user/me", "arn:aws:iam::999999999999:root"):
            assert not is_allowed({"trust": role.trust}, "sts:AssumeRole", "*", {}, person)


def test_a_jobs_roles_are_for_this_account(roles):
    for name in ("JobRole", "ExecutionRole"):
        context = {"aws:SourceAccount": "999999999999"}
        trust = {"trust": roles[name].trust}
        assert not is_allowed(trust, "sts:AssumeRole", "*", context, "ecs-tasks.amazonaws.com")


# ---- Policies of resources ----


def test_buckets_answer_over_tls_alone(resources, roles):
    policies = resources.of("AWS::S3::BucketPolicy")
    assert len(policies) == len(resources.of("AWS::S3::Bucket")) == 3
    anything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    everything = {"all": {"Version": "2012-10-17", "Statement": [anything]}}
    for name, properties in policies.items():
        both = {**everything, name: properties["PolicyDocument"]}
        arn = f"arn:aws:s3:::{properties['Bucket']}"
        for action, resource in (("s3:ListBucket", arn), ("s3:GetObject", f"{arn}/key")):
            for secure, allowed in (("true", True), ("false", False)):
                context = {"aws:SecureTransport": secure}
                decision = is_allowed(both, action, resource, context, JOB_ROLE)
                assert decision.allowed is allowed, (name, action, secure)


def targets(resources):
    """Rule, target ARN and kind of each delivery that a rule of the stack may make."""
    for name, rule in resources.of("AWS::Events::Rule").items():
        for target in rule["Targets"]:
            yield resources.arns[name], target["Arn"]
            if "DeadLetterConfig" in target:
                yield resources.arns[name], target["DeadLetterConfig"]["Arn"]


def test_queues_take_events_of_the_stacks_own_rules(resources):
    events = "events.amazonaws.com"
    delivered = [(rule, arn) for rule, arn in targets(resources) if ":sqs:" in arn]
    assert len({queue for _, queue in delivered}) == 2
    for rule, queue in delivered:
        decide = resources.policies_on(queue), "sqs:SendMessage", queue
        context = {"aws:SecureTransport": "true"}
        assert is_allowed(*decide, context | {"aws:SourceArn": rule}, events), (rule, queue)
        foreign = rule.replace("drydock-", "another-")
        assert not is_allowed(*decide, context | {"aws:SourceArn": foreign}, events)
        assert not is_allowed(*decide, context | {"aws:SourceArn": rule}, "sns.amazonaws.com")


def test_the_resubmit_queue_takes_events_of_those_rules_alone_that_send_them(resources):
    queue = resources.arns["ResubmitQueue"]
    policies = resources.policies_on(queue)
    takes = {
        rule
        for rule in map(resources.arns.get, resources.of("AWS::Events::Rule"))
        if is_allowed(
            policies, "sqs:SendMessage", queue, {"aws:SourceArn": rule}, "events.amazonaws.com"
        )
    }
    assert takes == {rule for rule, arn in targets(resources) if arn == queue}


def test_queues_and_topic_answer_over_tls_alone(resources):
    topic, anything = resources.refs["NotificationTopic"], {"Effect": "Allow", "Resource": "*"}
    everything = {"Version": "2012-10-17", "Statement": [anything | {"Action": "*"}]}
    queues = [resources.arns[name] for name in resources.of("AWS::SQS::Queue")]
    assert len(queues) == 3
    for arn in (topic, *queues):
        action = "sns:Publish" if arn == topic else "sqs:SendMessage"
        policies = resources.policies_on(arn) | {"everything": everything}
        for secure, allowed in (("true", True), ("false", False)):
            context = {"aws:SecureTransport": secure}
            assert is_allowed(policies, action, arn, context, JOB_ROLE).allowed is allowed


def test_the_topic_takes_what_its_own_alarms_say(resources):
    topic = resources.refs["NotificationTopic"]
    policies = resources.policies_on(topic)
    alarms = resources.of("AWS::CloudWatch::Alarm")
    told = [alarm for alarm in alarms.values() if topic in alarm["AlarmActions"]]
    assert told == [*alarms.values()] != []
    for alarm in (*(each["AlarmName"] for each in told), "another-alarm"):
        arn = f"arn:aws:cloudwatch:{HERE}:alarm:{alarm}"
        context = {"aws:SecureTransport": "true", "aws:SourceArn": arn}
        decision = is_allowed(policies, "sns:Publish", topic, context, "cloudwatch.amazonaws.com")
        assert decision.allowed is (alarm != "another-alarm"), alarm


def test_functions_are_called_by_their_own_rules(resources):
    delivered = {(rule, arn) for rule, arn in targets(resources) if ":lambda:" in arn}
    permitted = set()
    for permission in resources.of("AWS::Lambda::Permission").values():
        assert permission["Action"] == "lambda:InvokeFunction"
        assert permission["Principal"] == "events.amazonaws.com"
        function = permission["FunctionName"]
        by_ref = {resources.refs[name]: arn for name, arn in resources.arns.items()}
        permitted.add((permission["SourceArn"], by_ref.get(function, function)))
    assert permitted == delivered
