"""Deploying the project's own template onto the embedded AWS."""

import json
import shutil
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from local.deploy import EMBEDDED_PARAMETERS, STACK_IMAGE, deploy
from local.embedded import EmbeddedAws
from local.parameters import TemplateError
from local.resources import substituted
from local.template import read_template

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def stack(directory):
    """The stack, on a directory in which an earlier start left an object."""
    with EmbeddedAws(directory, stack_image=STACK_IMAGE) as aws:
        first = deploy(aws, TEMPLATE)
        aws.client("s3").put_object(Bucket=first.data_buckets[0], Key="kept", Body=b"kept")
    with EmbeddedAws(directory, stack_image=STACK_IMAGE) as aws:
        yield aws, deploy(aws, TEMPLATE, {**EMBEDDED_PARAMETERS, "AttemptsPerRound": "2"})


def test_cloudformation_tells_the_outputs(stack):
    aws, made = stack
    client = aws.client("cloudformation")
    [told] = client.describe_stacks(StackName="drydock")["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in told["Outputs"]}
    assert outputs == dict(made.outputs)
    assert [each["StackId"] for each in client.describe_stacks()["Stacks"]] == [told["StackId"]]
    assert client.describe_stacks(StackName=told["StackId"])["Stacks"] == [told]


def test_cloudformation_knows_no_other_stack_and_makes_none(stack):
    client = stack[0].client("cloudformation")
    with pytest.raises(ClientError, match="Stack with id another does not exist"):
        client.describe_stacks(StackName="another")
    with pytest.raises(ClientError, match="no other CloudFormation request than DescribeStacks"):
        client.delete_stack(StackName="drydock")


def test_a_profile_leads_here(stack, directory, monkeypatch):
    aws, made = stack
    monkeypatch.setenv("AWS_CONFIG_FILE", str(directory / "aws.ini"))
    client = boto3.Session(profile_name="embedded").client("s3")
    assert client.meta.endpoint_url == aws.endpoint_url
    assert made.intake_bucket in [each["Name"] for each in client.list_buckets()["Buckets"]]


def test_outputs_name_what_was_made(stack):
    _, made = stack
    assert made.intake_bucket == "drydock-intake"
    assert made.control_bucket == "drydock-control"
    assert made.data_buckets == ["drydock-data"]
    assert made.state_machine_arn.endswith(":stateMachine:drydock-run")
    assert made.outputs["SpotQueueArn"].endswith(":job-queue/drydock-spot")


def test_what_an_earlier_start_kept_is_still_there(stack):
    aws, made = stack
    kept = aws.client("s3").get_object(Bucket=made.data_buckets[0], Key="kept")
    assert kept["Body"].read() == b"kept"


def test_what_nothing_stands_behind_is_listed(stack):
    _, made = stack
    kinds = {text.partition(" ")[2] for text in made.not_run_here}
    assert kinds == {
        *("(AWS::IAM::Role)", "(AWS::IAM::ManagedPolicy)", "(AWS::IAM::InstanceProfile)"),
        *("(AWS::S3::BucketPolicy)", "(AWS::SQS::QueuePolicy)", "(AWS::Lambda::Permission)"),
        *("(AWS::EC2::SecurityGroup)", "(AWS::EC2::LaunchTemplate)", "(AWS::ECR::Repository)"),
        *("(AWS::EC2::VPC)", "(AWS::EC2::InternetGateway)", "(AWS::EC2::VPCGatewayAttachment)"),
        *("(AWS::EC2::RouteTable)", "(AWS::EC2::Route)", "(AWS::EC2::VPCEndpoint)"),
        *("(AWS::EC2::Subnet)", "(AWS::EC2::SubnetRouteTableAssociation)"),
        *("(AWS::CloudWatch::Alarm)", "(AWS::CloudWatch::Dashboard)", "(AWS::SNS::TopicPolicy)"),
    }


def test_a_function_gets_its_code_its_layers_and_its_environment(stack):
    aws, made = stack
    function = aws.lambdas.function("drydock-aggregate-shard")
    assert function.code_directory == ROOT / "functions"
    assert set(function.layers) == {ROOT / "src", ROOT / "layers/results"}
    assert function.timeout_s == 900
    assert function.role_arn.endswith(":role/drydock-aggregate-shard-function-role")
    assert function.environment["CONTROL_BUCKET"] == made.control_bucket
    assert function.environment["RESUBMIT_QUEUE_URL"] == made.outputs["ResubmitQueueUrl"]
    assert function.environment["RECONCILE_SECONDS"] == "20"
    assert function.environment["AWS_ENDPOINT_URL"] == ""


def test_queues_have_their_attributes(stack):
    aws, made = stack
    url = made.outputs["ResubmitQueueUrl"]
    found = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    attributes = found["Attributes"]
    assert attributes["VisibilityTimeout"] == "720"
    redrive = json.loads(attributes["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"].endswith(":drydock-resubmit-dead-letter-queue")
    assert redrive["maxReceiveCount"] == 10


def test_batch_gets_its_own_case_and_its_own_types(stack):
    aws, made = stack
    batch = aws.client("batch")
    arn = made.outputs["JobDefinitionArn"]
    [definition] = batch.describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"]
    assert definition["retryStrategy"]["attempts"] == 2
    container = definition["containerProperties"]
    assert container["image"] == STACK_IMAGE
    assert container["logConfiguration"]["options"]["awslogs-group"] == "/drydock/drydock/worker"
    environments = batch.describe_compute_environments()["computeEnvironments"]
    assert {each["computeResources"]["maxvCpus"] for each in environments} == {256}


EVERYTHING = {
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-0a1,subnet-0b2",
    "BidPercentage": "60",
    "GpuMaxVcpus": "8",
    "GpuInstanceTypes": "g5,g6",
    "ScratchKind": "INSTANCE_STORE",
    "InstanceTypes": "m5d",
    "DockerHubSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:hub-AbCdEf",
    "BlockedAfterSeconds": "600",
}


def test_a_stack_with_all_that_is_optional_stands_beside_one_without(stack):
    aws, without = stack
    made = deploy(aws, TEMPLATE, {**EMBEDDED_PARAMETERS, **EVERYTHING}, stack_name="gpus")
    assert set(made.outputs) - set(without.outputs) == {"GpuSpotQueueArn", "GpuOnDemandQueueArn"}
    batch = aws.client("batch")
    arns = [made.outputs[f"{kind}QueueArn"] for kind in ("Spot", "GpuSpot", "GpuOnDemand")]
    queues = batch.describe_job_queues(jobQueues=arns)["jobQueues"]
    orders = [queue["computeEnvironmentOrder"][0]["computeEnvironment"] for queue in queues]
    told = batch.describe_compute_environments(computeEnvironments=orders)["computeEnvironments"]
    spot, gpu_spot, gpu_on_demand = (each["computeResources"] for each in told)
    assert [spot["bidPercentage"], gpu_spot["bidPercentage"]] == [60, 60]
    assert "bidPercentage" not in gpu_on_demand
    assert gpu_spot["instanceTypes"] == gpu_on_demand["instanceTypes"] == ["g5", "g6"]
    assert gpu_spot["ec2Configuration"] == [{"imageType": "ECS_AL2023_NVIDIA"}]
    assert spot["subnets"] == ["subnet-0a1", "subnet-0b2"]
    for queue in queues:
        assert {limit["maxTimeSeconds"] for limit in queue["jobStateTimeLimitActions"]} == {600}


def test_the_machine_calls_the_functions_of_the_stack(stack):
    aws, made = stack
    states = aws.client("stepfunctions")
    found = states.describe_state_machine(stateMachineArn=made.state_machine_arn)
    assert "${" not in found["definition"]
    assert (
        '"arn:aws:lambda:us-east-1:123456789012:function:drydock-merge-results"'
        in (found["definition"])
    )


@pytest.mark.parametrize(
    ("sample", "rule"),
    [
        ("batch_parent_failed", "drydock-job-ended"),
        ("batch_child_not_started", "drydock-child-misconfigured"),
        ("s3_request_uploaded", "drydock-run-state-machine-upload"),
        ("states_execution_failed", "drydock-stop-run-function-execution-ended"),
    ],
)
def test_the_bus_knows_the_rules(stack, sample, rule):
    aws, _ = stack
    path = ROOT / f"events/eventbridge/{sample}.json"
    assert aws.bus.matching(json.loads(path.read_text())) == [rule]


def test_log_groups_are_there(stack):
    aws, _ = stack
    groups = aws.client("logs").describe_log_groups()["logGroups"]
    names = {group["logGroupName"] for group in groups}
    assert {"/drydock/drydock/worker", "/drydock/drydock/enumerate-inputs"} <= names


def test_a_name_is_taken_once(stack):
    aws, _ = stack
    with pytest.raises(ClientError, match="already exists"):
        deploy(aws, TEMPLATE)


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the template names, to be spoilt."""
    for folder in ("functions", "statemachine", "src", "layers"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(TEMPLATE, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "old", "new", "problem"),
    [
        ("template.yaml", "!GetAtt JobRole.Arn", "!GetAtt JobRle.Arn", "JobRle"),
        ("template.yaml", "CodeUri: functions/", "CodeUri: handlers/", "handlers does not exist"),
        ("template.yaml", "Priority: 1", "Prioritee: 1", "knows no property Prioritee"),
        ("template.yaml", "AWS::Serverless::Function", "AWS::Serverless::Funktion", "Funktion"),
        ("statemachine/run.asl.yaml", "${ControlBucketName}", "${Bucket}", r"has \$\{Bucket\}"),
    ],
)
def test_a_mistake_is_refused_by_name(stack, checkout, path, old, new, problem):
    text = (checkout / path).read_text()
    assert old in text
    (checkout / path).write_text(text.replace(old, new))
    aws, _ = stack
    name = "spoilt-" + "".join(filter(str.isalnum, new)).lower()
    with pytest.raises(TemplateError, match=problem):
        deploy(aws, checkout / "template.yaml", stack_name=name)


def test_an_unknown_substitution_is_refused():
    with pytest.raises(TemplateError, match=r"\$\{B\}, which has no value"):
        substituted({"a": ["${A}", "${B}"]}, {"A": "1"})


def test_a_template_is_translated_once(tmp_path):
    first = read_template(TEMPLATE, tmp_path)
    [kept] = tmp_path.iterdir()
    assert json.loads(kept.read_text()) == first == read_template(TEMPLATE)
    kept.write_text(json.dumps({"Resources": {}}))
    assert read_template(TEMPLATE, tmp_path) == {"Resources": {}}


def test_a_changed_template_is_translated_anew(tmp_path):
    read_template(TEMPLATE, tmp_path / "cache")
    changed = tmp_path / "template.yaml"
    changed.write_text(TEMPLATE.read_text().replace("Timeout: 120", "Timeout: 121"))
    document = read_template(changed, tmp_path / "cache")
    assert document["Resources"]["StopRunFunction"]["Properties"]["Timeout"] == 121
