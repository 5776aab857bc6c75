"""Two groups' stacks in one account: what their people may do, and nothing of it with the other's.

The stacks are those that `make group` makes, for its parameters are what they are deployed with.
"""

import itertools

import pytest

from cli.group import parameters, stack_of
from local.deploy import EMBEDDED_PARAMETERS, deploy
from local.embedded import EmbeddedAws
from local.specs import BucketSpec
from tests.least_privilege.evaluate import as_list, is_allowed
from tests.least_privilege.reasons import ADVANCING
from tests.least_privilege.reference import actions_like, problems, resource_patterns
from tests.least_privilege.roles import TEMPLATE, resolved, roles_of

ACCOUNT = "123456789012"
HERE = f"us-east-1:{ACCOUNT}"
ECR = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
NAMES = ("doe-j", "doe-jr")
SUBMITTER = "SubmitterPolicy"
# All that a condition could ask for is so.
THROUGH = {
    "aws:SecureTransport": "true",
    "ecs:CreateAction": "RegisterContainerInstance",
    "iam:PassedToService": "ecs-tasks.amazonaws.com",
    "kms:ViaService": "s3.us-east-1.amazonaws.com",
}


class Group:
    """A group's stack: who acts in it, and what there is to act upon."""

    def __init__(self, aws, name):
        self.name, self.stack_name = name, stack_of(name)
        self.bucket, self.repository = f"{name}-data", f"{ECR}/{name}/"
        self.secret = f"arn:aws:secretsmanager:{HERE}:secret:{name}-license-AbCdEf"
        self.key = f"arn:aws:kms:{HERE}:key/{name}"
        aws.create_bucket(BucketSpec(name=self.bucket))
        given = {"BUCKET": self.bucket, "IMAGES": self.repository, "SECRETS": self.secret}
        given |= {"KMS_KEY": self.key, "PARAMETERS": "GpuMaxVcpus=16"}
        self.parameters = {**EMBEDDED_PARAMETERS, **parameters(given)}
        stack = deploy(aws, TEMPLATE, self.parameters, stack_name=self.stack_name)
        self.resources = resolved(stack, self.parameters, aws.region, self.stack_name)
        policies = self.resources.of("AWS::IAM::ManagedPolicy")
        self.submitter = {SUBMITTER: policies[SUBMITTER]["PolicyDocument"]}
        self.actors = {n: role.policies for n, role in roles_of(self.resources).items()}
        self.actors[SUBMITTER] = self.submitter

    def arn(self, logical_id):
        """The ARN of a resource of the stack."""
        ref = self.resources.refs[logical_id]
        return ref if ref.startswith("arn:") else self.resources.arns[logical_id]

    def bucket_of(self, logical_id):
        """The name of one of the stack's own buckets."""
        return self.resources.refs[logical_id]

    def own(self):
        """ARNs of everything of this group's, with what lies in buckets, queues and groups."""
        yield from self.resources.arns.values()
        yield from (ref for ref in self.resources.refs.values() if ref.startswith("arn:"))
        yield from (self.secret, self.key, f"arn:aws:ssm:{HERE}:parameter/{self.name}/license")
        yield from (
            f"arn:aws:s3:::{self.bucket}{key}" for key in ("", "/in/a.sdf", "/out/run.json")
        )
        for bucket in ("ControlBucket", "IntakeBucket"):
            arn = f"arn:aws:s3:::{self.bucket_of(bucket)}"
            keys = ("runs/1a/run.json", "tokens/1a/0/f", "owners/1", "starts/1", "run.json")
            yield from (arn, *(f"{arn}/{key}" for key in keys))
        for name in ("-worker", "-worker:1", "-worker-0a1b", "-worker-0a1b:1", "_job", "_job:1"):
            yield f"arn:aws:batch:{HERE}:job-definition/{self.stack_name}{name}"
        yield from (
            f"arn:aws:states:{HERE}:execution:{self.stack_name}-run{each}"
            for each in (":1", "/RunShards:1")
        )
        yield f"arn:aws:states:{HERE}:mapRun:{self.stack_name}-run/RunShards:1"
        yield f"arn:aws:cloudformation:{HERE}:stack/{self.stack_name}/1a2b"
        for group in self.resources.of("AWS::Logs::LogGroup").values():
            arn = f"arn:aws:logs:{HERE}:log-group:{group['LogGroupName']}"
            yield from (arn, f"{arn}:*", f"{arn}:log-stream:worker/default/1")
        yield f"arn:aws:ecr:{HERE}:repository/{self.name}/dock"
        for environment in self.resources.of("AWS::Batch::ComputeEnvironment").values():
            name = environment["ComputeEnvironmentName"]
            for cluster in (f"AWSBatch-{name}-1a2b", f"{name}_Batch_1a2b"):
                yield f"arn:aws:ecs:{HERE}:cluster/{cluster}"
                yield f"arn:aws:ecs:{HERE}:container-instance/{cluster}/1a2b"


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    with EmbeddedAws(tmp_path_factory.mktemp("groups")) as aws:
        yield [Group(aws, name) for name in NAMES]


# ---- What the people of a group may do, as the commands of the pages ask for it ----


def asked_by(group):
    """Command, action, resource and context: what the CLI's commands and drydock's ask AWS for."""
    data, batch = f"arn:aws:s3:::{group.bucket}", f"arn:aws:batch:{HERE}"
    intake, control = (group.arn(name) for name in ("IntakeBucket", "ControlBucket"))
    execution = f"arn:aws:states:{HERE}:execution:{group.stack_name}-run:1"
    log = f"arn:aws:logs:{HERE}:log-group:/drydock/{group.stack_name}/worker"
    mine = f"{batch}:job-definition/{group.stack_name}_job"
    image = {"batch:Image": f"{group.repository}dock:2", "batch:Privileged": "false"}
    passed = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    key = {"kms:ViaService": "s3.us-east-1.amazonaws.com"}
    yield "aws s3 cp run.json", "s3:PutObject", f"{intake}/run.json", {}
    yield "aws s3 cp …rejected.json -", "s3:GetObject", f"{intake}/run.json.rejected.json", {}
    yield "aws s3 cp --recursive", "s3:PutObject", f"{data}/in/a.sdf", {}
    yield "aws s3 cp of a large file", "s3:AbortMultipartUpload", f"{data}/in/a.sdf", {}
    yield "aws s3 cp, its encryption", "kms:GenerateDataKey", group.key, key
    yield "aws s3 cp from there", "kms:Decrypt", group.key, key
    yield "aws s3 cp from there", "s3:GetObject", f"{data}/out/results/top.csv", {}
    yield "aws s3 ls, sync", "s3:ListBucket", data, {"s3:prefix": "out/"}
    yield (
        "aws cloudformation describe-stacks",
        "cloudformation:DescribeStacks",
        (f"arn:aws:cloudformation:{HERE}:stack/{group.stack_name}/1a2b"),
        {},
    )
    machine = group.arn("RunStateMachine")
    yield "aws stepfunctions start-execution", "states:StartExecution", machine, {}
    yield "aws stepfunctions list-executions", "states:ListExecutions", machine, {}
    yield "aws stepfunctions describe-execution", "states:DescribeExecution", execution, {}
    yield "aws stepfunctions list-map-runs", "states:ListMapRuns", execution, {}
    yield (
        "aws stepfunctions describe-map-run",
        "states:DescribeMapRun",
        (f"arn:aws:states:{HERE}:mapRun:{group.stack_name}-run/RunShards:1"),
        {},
    )
    yield "drydock status", "s3:GetObject", f"{control}/runs/1a/run.json", {}
    yield "drydock status", "s3:GetObject", f"{control}/runs/1a/shards/000000.json", {}
    yield "drydock status", "s3:GetObject", f"{control}/owners/1a", {}
    yield "drydock status of what is not there", "s3:ListBucket", control, {}
    yield "drydock stop", "lambda:InvokeFunction", group.arn("StopRunFunction"), {}
    for name in ("DescribeJobs", "ListJobs", "DescribeJobDefinitions", "DescribeJobQueues"):
        yield f"aws batch {name}", f"batch:{name}", "*", {}
    yield "aws logs tail", "logs:FilterLogEvents", f"{log}:*", {}
    yield "aws logs describe-log-streams", "logs:DescribeLogStreams", f"{log}:*", {}
    yield "drydock logs", "logs:GetLogEvents", f"{log}:log-stream:worker/default/1", {}
    yield "aws batch register-job-definition", "batch:RegisterJobDefinition", mine, image
    yield "aws batch register-job-definition", "batch:TagResource", f"{mine}:1", {}
    for role in ("JobRole", "ExecutionRole"):
        yield "aws batch register-job-definition", "iam:PassRole", group.arn(role), passed
    yield "aws batch deregister-job-definition", "batch:DeregisterJobDefinition", f"{mine}:1", {}
    for queue in ("SpotQueue", "OnDemandQueue", "GpuSpotQueue", "GpuOnDemandQueue"):
        yield "aws batch submit-job", "batch:SubmitJob", group.arn(queue), {}
    worker = f"{batch}:job-definition/{group.stack_name}-worker"
    for resource in (mine, f"{mine}:1", worker, f"{worker}:1", f"{batch}:job/1"):
        yield "aws batch submit-job", "batch:SubmitJob", resource, {}


def test_people_may_do_what_the_pages_say(groups):
    for group in groups:
        refused = [
            (command, action, resource)
            for command, action, resource, context in asked_by(group)
            if not is_allowed(
                {**group.submitter, **group.resources.policies_on(resource)},
                action,
                resource,
                {"aws:SecureTransport": "true", **context},
                f"arn:aws:iam::{ACCOUNT}:user/member",
            )
        ]
        assert refused == []


def test_nothing_is_allowed_that_no_command_asks_for(groups):
    asked = {action for _, action, _, _ in asked_by(groups[0])}
    statements = groups[0].submitter[SUBMITTER]["Statement"]
    allowed = {action for each in statements for action in as_list(each["Action"])}
    assert allowed == asked


def test_each_action_of_the_policy_is_one_and_on_what_it_can_be(groups):
    for statement in groups[0].submitter[SUBMITTER]["Statement"]:
        for action in as_list(statement["Action"]):
            assert actions_like(action) == [action]
            found = [list(problems(action, each)) for each in as_list(statement["Resource"])]
            assert [] in found, (action, found)


def test_it_fits_into_a_managed_policy(groups):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    for group in groups:
        text = str(group.submitter[SUBMITTER]).replace(" ", "")
        assert len(text) < 6144


FORBIDDEN = (
    *("batch:CreateComputeEnvironment", "batch:CreateJobQueue", "batch:UpdateJobQueue"),
    *("batch:UpdateComputeEnvironment", "batch:DeleteJobQueue", "batch:TerminateJob"),
    *("batch:CancelJob", "batch:CreateSchedulingPolicy", "iam:CreateRole", "iam:PutRolePolicy"),
    *("iam:AttachRolePolicy", "iam:AttachUserPolicy", "iam:PutUserPolicy", "iam:CreateUser"),
    *("iam:CreatePolicyVersion", "iam:CreateAccessKey", "sts:AssumeRole", "s3:DeleteObject"),
    *("s3:DeleteBucket", "s3:PutBucketPolicy", "s3:PutLifecycleConfiguration", "s3:CreateBucket"),
    *("s3:DeleteObjectVersion", "s3:PutBucketNotification", "lambda:UpdateFunctionCode"),
    *("lambda:UpdateFunctionConfiguration", "lambda:GetFunction", "states:SendTaskSuccess"),
    *("states:SendTaskFailure", "states:GetExecutionHistory", "states:UpdateStateMachine"),
    *("states:StopExecution", "states:DeleteStateMachine", "sqs:SendMessage", "sns:Publish"),
    *("sqs:ReceiveMessage", "sqs:PurgeQueue", "secretsmanager:GetSecretValue", "ssm:GetParameters"),
    *("cloudformation:UpdateStack", "cloudformation:DeleteStack", "cloudformation:CreateStack"),
    *("cloudformation:CreateChangeSet", "ec2:RunInstances", "ec2:CreateLaunchTemplate"),
    *("ecr:PutImage", "ecr:BatchDeleteImage", "logs:DeleteLogGroup", "logs:PutLogEvents"),
    *("events:PutRule", "events:PutTargets", "kms:CreateGrant", "budgets:ModifyBudget"),
)


@pytest.mark.parametrize("action", FORBIDDEN)
def test_people_may_not(groups, action):
    """On anything at all of their own stack's, nor on whatever else there is."""
    assert actions_like(action) == [action]
    mine = groups[0]
    job, user = f"arn:aws:batch:{HERE}:job/1", f"arn:aws:iam::{ACCOUNT}:user/member"
    policy = f"arn:aws:iam::{ACCOUNT}:policy/{mine.stack_name}-SubmitterPolicy-1A2B"
    for resource in ("*", job, user, policy, *mine.own()):
        assert not is_allowed(mine.submitter, action, resource, THROUGH), resource


@pytest.mark.parametrize(
    ("key", "action"),
    [
        ("runs/1a/run.json", "s3:PutObject"),
        ("tokens/1a/000000/f00d", "s3:GetObject"),
        ("tokens/1a/000000/f00d", "s3:PutObject"),
        ("starts/1a", "s3:GetObject"),
        ("outcomes/1a", "s3:GetObject"),
    ],
)
def test_people_read_of_the_control_bucket_what_a_look_at_runs_needs(groups, key, action):
    control = groups[0].arn("ControlBucket")
    assert not is_allowed(groups[0].submitter, action, f"{control}/{key}", THROUGH)


@pytest.mark.parametrize(
    ("name", "image", "privileged", "allowed"),
    [
        ("_job", "dock:2", "false", True),
        ("_job", "dock:2", None, True),
        ("_job", "dock:2", "true", False),
        ("_job", None, "false", False),
        ("-worker", "dock:2", "false", False),
        ("-worker-0a1b", "dock:2", "false", False),
        ("r_job", "dock:2", "false", False),
    ],
)
def test_a_job_definition_of_theirs(groups, name, image, privileged, allowed):
    """Below their own name, of their own images, without rights over the machine."""
    group = groups[0]
    arn = f"arn:aws:batch:{HERE}:job-definition/{group.stack_name}{name}"
    told = group.repository + image if image else "docker.io/library/debian:12"
    context = {"batch:Image": told} | ({"batch:Privileged": privileged} if privileged else {})
    decision = is_allowed(group.submitter, "batch:RegisterJobDefinition", arn, context)
    assert decision.allowed is allowed


def test_people_hand_on_no_other_role(groups):
    group = groups[0]
    handed = {
        (name, service)
        for name in group.resources.of("AWS::IAM::Role")
        for service in ("ecs-tasks.amazonaws.com", "ec2.amazonaws.com", "lambda.amazonaws.com")
        if is_allowed(
            group.submitter, "iam:PassRole", group.arn(name), {"iam:PassedToService": service}
        )
    }
    assert handed == {(name, "ecs-tasks.amazonaws.com") for name in ("JobRole", "ExecutionRole")}


# ---- One group and the other ----

# All that reaches beyond a stack, for AWS has no narrower name for it. None of it reads data.
SHARED = {
    *((role, f"batch:{name}") for role in ADVANCING for name in ("CancelJob", "TerminateJob")),
    *((role, f"batch:{name}") for role in ADVANCING for name in ("SubmitJob", "TagResource")),
    (SUBMITTER, "batch:SubmitJob"),
    ("EnumerateInputsFunctionRole", "ecr:DescribeImages"),
    *(
        ("InstanceRole", f"ecr:{name}")
        for name in ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
    ),
}
# Batch makes up the names of jobs.
BEYOND = {f"arn:aws:batch:{HERE}:job/1"}


def reached(mine, theirs):
    """Who of the one group may do what with the other's, of all that its stack allows to anybody.

    Left out are actions that AWS can limit to nothing, such as DescribeJobs.
    """
    allowed = {
        action
        for policies in mine.actors.values()
        for document in policies.values()
        for statement in document["Statement"]
        for action in as_list(statement["Action"])
        if resource_patterns(action)
    }
    resources = sorted({*theirs.own(), *BEYOND})
    context = {**THROUGH, "batch:Image": f"{mine.repository}dock:2"}
    for action, resource in itertools.product(sorted(allowed), resources):
        if action.partition(":")[0] != resource.split(":")[2]:
            continue
        guards = theirs.resources.policies_on(resource)
        for actor, policies in mine.actors.items():
            principal = f"arn:aws:iam::{ACCOUNT}:role/{mine.stack_name}-{actor}"
            decision = is_allowed({**policies, **guards}, action, resource, context, principal)
            if decision:
                yield actor, action, resource


def test_one_group_reaches_nothing_of_the_others(groups):
    for mine, theirs in itertools.permutations(groups):
        found = set(reached(mine, theirs))
        assert {(actor, action) for actor, action, _ in found} - SHARED == set(), found
        beyond = {resource for _, _, resource in found}
        assert beyond <= {*BEYOND, *(r for r in theirs.own() if ":ecr:" in r)}


def test_it_would_be_seen_if_one_did(groups):
    """The same question about a group and itself: nearly everything is reached."""
    found = list(reached(groups[0], groups[0]))
    assert {actor for actor, _, _ in found} == set(groups[0].actors)
    read = {resource for _, action, resource in found if action == "s3:GetObject"}
    assert f"arn:aws:s3:::{groups[0].bucket}/in/a.sdf" in read


def test_secrets_and_keys_are_each_groups_own(groups):
    for mine, theirs in itertools.product(groups, repeat=2):
        for actor, policies in mine.actors.items():
            for action, resource in (
                ("secretsmanager:GetSecretValue", theirs.secret),
                ("kms:Decrypt", theirs.key),
                ("kms:GenerateDataKey", theirs.key),
            ):
                if is_allowed(policies, action, resource, THROUGH):
                    assert mine is theirs, (actor, action)


def test_no_job_of_a_group_is_given_the_others_role(groups):
    """Whoever submits a job gets the role of its definition: definitions are a group's own."""
    for mine, theirs in itertools.permutations(groups):
        definitions = [each for each in theirs.own() if ":job-definition/" in each]
        assert len(definitions) > 5
        for actor, policies in mine.actors.items():
            for action in ("batch:SubmitJob", "batch:RegisterJobDefinition"):
                may = [d for d in definitions if is_allowed(policies, action, d, THROUGH)]
                assert may == [], (actor, action)
