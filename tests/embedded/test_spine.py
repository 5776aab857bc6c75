"""What moto's interpreter has to run for this project, on a small machine of the same make."""

import json

import pytest
from botocore.exceptions import ClientError

from local.specs import BucketSpec, StateMachineSpec


def task(arn, payload, *, token=False, **more):
    resource = "arn:aws:states:::lambda:invoke" + (".waitForTaskToken" if token else "")
    parameters = {"FunctionName": arn, "Payload": payload}
    return {"Type": "Task", "Resource": resource, "Parameters": parameters} | more


@pytest.fixture
def spine(aws, register):
    """The machine's ARN; its functions leave a trace of each call in the bucket `spine`."""
    aws.create_bucket(BucketSpec("spine"))
    arns = {
        name: register(f"spine.{name}", name=f"spine-{name}")
        for name in ("detect", "submit", "aggregate", "merge")
    }
    in_shard = {"run_id.$": "$.run_id", "shard.$": "$.shard", "owner.$": "$.owner"}
    caught = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Failed"}]
    shard = {
        "Detect": task(
            arns["detect"],
            in_shard,
            ResultSelector={"remains.$": "$.Payload.remains"},
            ResultPath="$.detected",
            Next="AnythingLeft",
        ),
        "AnythingLeft": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.detected.remains", "NumericEquals": 0, "Next": "Aggregate"}
            ],
            "Default": "Submit",
        },
        "Submit": task(
            arns["submit"],
            {**in_shard, "token.$": "$$.Task.Token"},
            token=True,
            TimeoutSecondsPath="$.reconcile_seconds",
            ResultPath="$.submitted",
            Catch=[{"ErrorEquals": ["States.Timeout"], "ResultPath": None, "Next": "Detect"}],
            Next="Aggregate",
        ),
        "Aggregate": task(
            arns["aggregate"], in_shard, ResultPath="$.aggregated", Catch=caught, Next="Ended"
        ),
        "Ended": {"Type": "Pass", "End": True},
        "Failed": {
            "Type": "Pass",
            "Parameters": {"error.$": "$.error.Error", "cause.$": "$.error.Cause"},
            "End": True,
        },
    }
    run_shards = {
        "Type": "Map",
        "Label": "RunShards",
        "MaxConcurrencyPath": "$.max_concurrency",
        "ToleratedFailurePercentage": 100.0,
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket": "spine", "Key.$": "$.shards_key"},
        },
        "ItemSelector": {
            "run_id.$": "$.run_id",
            "owner.$": "$.owner",
            "reconcile_seconds.$": "$.reconcile_seconds",
            "shard.$": "$$.Map.Item.Value.shard",
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Detect",
            "States": shard,
        },
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket": "spine", "Prefix": "outcomes"},
        },
        "ResultPath": None,
        "Next": "Merge",
    }
    states = {
        "Begin": {
            "Type": "Pass",
            "Parameters": {"event.$": "$", "owner.$": "$$.Execution.Id"},
            "Next": "Read",
        },
        "Read": {
            "Type": "Pass",
            "Parameters": {
                "run_id.$": "$.event.run_id",
                "owner.$": "$.owner",
                "shards_key.$": "$.event.shards_key",
                "max_concurrency": 2,
                "reconcile_seconds": 3,
                "incomplete.$": "$.event.incomplete",
            },
            "Next": "RunShards",
        },
        "RunShards": run_shards,
        "Merge": task(
            arns["merge"],
            {"run_id.$": "$.run_id", "incomplete.$": "$.incomplete"},
            ResultSelector={"Error.$": "$.Payload.error", "Cause.$": "$.Payload.cause"},
            ResultPath="$.ended",
            Next="Whole",
        ),
        "Whole": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.ended.Error", "IsNull": True, "Next": "Done"}],
            "Default": "Fail",
        },
        "Done": {"Type": "Pass", "End": True},
        "Fail": {"Type": "Fail", "ErrorPath": "$.ended.Error", "CausePath": "$.ended.Cause"},
    }
    return aws.create_state_machine(
        StateMachineSpec("spine", {"StartAt": "Begin", "States": states})
    )


@pytest.fixture
def run(aws, spine, eventually):
    """Runs the machine over four shards to its end; returns its description and the calls made."""

    def run(run_id, **event):
        s3, states = aws.client("s3"), aws.client("stepfunctions")
        shards = [{"shard": number, "inputs": 5} for number in range(4)]
        s3.put_object(Bucket="spine", Key="shards.json", Body=json.dumps(shards))
        event = {"run_id": run_id, "shards_key": "shards.json", "incomplete": False} | event
        execution = states.start_execution(stateMachineArn=spine, input=json.dumps(event))
        description = eventually(
            lambda: (
                (d := states.describe_execution(executionArn=execution["executionArn"]))["status"]
                != "RUNNING"
                and d
            ),
            within_s=60,
        )
        listed = s3.list_objects_v2(Bucket="spine", Prefix=f"{run_id}/").get("Contents", [])
        steps = sorted(each["Key"].split("/")[1].rpartition("-")[0] for each in listed)
        return description, steps

    return run


def test_a_run_goes_through_all_its_shards(aws, run):
    description, steps = run("whole")
    assert description["status"] == "SUCCEEDED", description.get("cause")
    assert steps == [
        "aggregate-0",
        "aggregate-1",
        "aggregate-2",
        "aggregate-3",
        "detect-0",
        "detect-1",
        "detect-1",  # once more after the token's time was over
        "detect-2",
        "detect-3",
        "merge-",
        "submit-0",
        "submit-1",
        "submit-1",
        "submit-2",
    ]
    s3 = aws.client("s3")
    outcomes = s3.list_objects_v2(Bucket="spine", Prefix="outcomes/")["Contents"]
    assert [each["Key"].rpartition("/")[2] for each in outcomes] == ["manifest.json"]
    (folder,) = (aws.directory / "s3" / "spine" / "outcomes").iterdir()
    assert (folder / "manifest.json").is_file()
    detected = s3.list_objects_v2(Bucket="spine", Prefix="whole/detect-0")["Contents"][0]["Key"]
    owner = json.loads(s3.get_object(Bucket="spine", Key=detected)["Body"].read())["owner"]
    assert owner == description["executionArn"]


def test_a_run_that_is_not_whole_fails_by_its_name(run):
    description, _ = run("incomplete", incomplete=True)
    assert description["status"] == "FAILED"
    assert (description["error"], description["cause"]) == ("RunIncomplete", "1 of 4 remains")


def test_the_history_of_a_run_can_be_read(aws, run):
    description, _ = run("history")
    history = aws.client("stepfunctions").get_execution_history(
        executionArn=description["executionArn"]
    )
    kinds = [event["type"] for event in history["events"]]
    assert kinds[0] == "ExecutionStarted"
    assert kinds[-1] == "ExecutionSucceeded"
    assert "MapRunSucceeded" in kinds


@pytest.fixture
def waiting(aws, register, eventually):
    """Starts an execution that waits for a token; returns the token and the execution's ARN."""
    aws.create_bucket(BucketSpec("lab"))
    keep = register("remember", name="keep-token")

    def waiting(case, **more):
        payload = {"bucket": "lab", "case": case, "token.$": "$$.Task.Token"}
        state = task(keep, payload, token=True, **({"End": True} | more))
        definition = {"StartAt": "Wait", "States": {"Wait": state}}
        if "Catch" in more:
            definition["States"]["Later"] = {"Type": "Wait", "Seconds": 30, "End": True}
        arn = aws.create_state_machine(StateMachineSpec(case, definition))
        states, s3 = aws.client("stepfunctions"), aws.client("s3")
        execution = states.start_execution(stateMachineArn=arn)["executionArn"]
        key = eventually(
            lambda: s3.list_objects_v2(Bucket="lab", Prefix=f"{case}/").get("Contents")
        )[0]["Key"]
        kept = json.loads(s3.get_object(Bucket="lab", Key=key)["Body"].read())
        return kept["token"], execution

    return waiting


def status_of(aws, execution):
    return aws.client("stepfunctions").describe_execution(executionArn=execution)


def test_a_token_is_answered_once(aws, waiting, eventually):
    token, execution = waiting("answered")
    states = aws.client("stepfunctions")
    states.send_task_success(taskToken=token, output='{"ended": "complete"}')
    eventually(lambda: status_of(aws, execution)["status"] == "SUCCEEDED")
    assert json.loads(status_of(aws, execution)["output"]) == {"ended": "complete"}
    with pytest.raises(ClientError) as refused:
        states.send_task_success(taskToken=token, output="{}")
    assert refused.value.response["Error"]["Code"] in ("InvalidToken", "TaskTimedOut")


def test_a_token_can_be_answered_with_an_error(aws, waiting, eventually):
    token, execution = waiting("failed")
    aws.client("stepfunctions").send_task_failure(taskToken=token, error="RunStopped", cause="why")
    eventually(lambda: status_of(aws, execution)["status"] == "FAILED")
    assert status_of(aws, execution)["error"] == "RunStopped"


def test_a_token_of_a_stopped_execution_is_no_more(aws, waiting, eventually):
    token, execution = waiting("stopped-waiting")
    states = aws.client("stepfunctions")
    states.stop_execution(executionArn=execution)
    eventually(lambda: status_of(aws, execution)["status"] == "ABORTED")
    with pytest.raises(ClientError) as refused:
        states.send_task_success(taskToken=token, output="{}")
    assert refused.value.response["Error"]["Code"] in ("InvalidToken", "TaskTimedOut")
