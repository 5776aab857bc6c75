import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.specs import BucketSpec


@pytest.fixture
def invoke(aws):
    """Invokes a function; returns what it answered and the error header."""

    def invoke(arn, event=None, **arguments):
        answer = aws.client("lambda").invoke(
            FunctionName=arn, Payload=json.dumps(event or {}), **arguments
        )
        return json.loads(answer["Payload"].read() or "null"), answer.get("FunctionError")

    return invoke


def test_a_function_answers_by_name_and_by_arn(register, invoke):
    arn = register("echo")
    for name in ("echo", arn, f"{arn}:$LATEST", "123456789012:function:echo"):
        assert invoke(name, {"shard": 7}) == ({"shard": 7}, None)


def test_one_process_serves_one_call_after_another(register, invoke):
    arn = register("count")
    first, second = invoke(arn)[0], invoke(arn)[0]
    assert (first["calls"], second["calls"]) == (1, 2)
    assert first["pid"] == second["pid"]


def test_calls_at_once_have_processes_of_their_own(register, invoke):
    arn = register("sleep")
    with ThreadPoolExecutor(4) as threads:
        started = time.monotonic()
        assert (
            list(threads.map(lambda _: invoke(arn, {"seconds": 1})[0], range(4))) == ["slept"] * 4
        )
        together = time.monotonic() - started
    assert together < 4, "one after another they take at least that long"


def test_the_environment_is_the_functions_own(aws, register, invoke, monkeypatch):
    monkeypatch.setenv("OF_THIS_MACHINE", "leaked")
    arn = register("environment", environment={"CONTROL_BUCKET": "control", "AWS_ENDPOINT_URL": ""})
    variables, _ = invoke(arn)
    assert variables["CONTROL_BUCKET"] == "control"
    assert variables["AWS_ENDPOINT_URL"] == aws.endpoint_url
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "environment"
    assert variables["AWS_REGION"] == aws.region
    assert "OF_THIS_MACHINE" not in variables
    assert "HOME" not in variables


def test_the_context_is_good_enough_for_powertools(aws, register, invoke):
    context, error = invoke(register("describe_context", memory_mib=512, timeout_s=20))
    assert error is None
    assert context["name"] == "describe_context"
    assert context["arn"].endswith(":function:describe_context")
    assert context["memory"] == "512"
    assert 0 < context["remaining_ms"] <= 20_000
    assert context["log_group"] == "/aws/lambda/describe_context"
    log = (aws.directory / "logs" / "describe_context.log").read_text()
    line = json.loads(log.splitlines()[-1])
    assert line["message"] == "described"
    assert line["function_request_id"] == context["request_id"]


def test_a_log_holds_what_the_function_says_and_no_more(aws, register, invoke):
    invoke(register("echo", name="silent"))
    assert (aws.directory / "logs" / "silent.log").read_text() == ""


def test_an_error_has_the_exceptions_name_and_its_trace(register, invoke):
    document, error = invoke(register("fail"))
    assert error == "Unhandled"
    assert document["errorType"] == "RunStopped"
    assert document["errorMessage"] == "because of the test"
    assert len(document["stackTrace"]) == 1
    assert "in fail" in document["stackTrace"][0]


@pytest.mark.parametrize(
    ("handler", "kind"),
    [("nothing", "Runtime.HandlerNotFound"), ("no_json", "Runtime.MarshalError")],
)
def test_a_function_that_cannot_answer_says_why(register, invoke, handler, kind):
    document, error = invoke(register(handler))
    assert (document["errorType"], error) == (kind, "Unhandled")


def test_code_that_cannot_be_imported_says_why(register, invoke, tmp_path):
    (tmp_path / "samples.py").write_text("import drydocks")
    document, error = invoke(register("echo", name="broken", code_directory=tmp_path))
    assert (document["errorType"], error) == ("Runtime.ImportModuleError", "Unhandled")
    assert "No module named 'drydocks'" in document["errorMessage"]


def test_layers_are_found_behind_the_functions_code(register, invoke, tmp_path):
    code, layer = tmp_path / "code", tmp_path / "layer"
    (layer / "python").mkdir(parents=True)
    code.mkdir()
    (layer / "python" / "shared.py").write_text("where = 'the layer'")
    (layer / "samples.py").write_text("raise AssertionError('the function comes first')")
    (code / "samples.py").write_text("import shared\ndef echo(e, c): return shared.where")
    arn = register("echo", name="layered", code_directory=code, layers=(layer,))
    assert invoke(arn) == ("the layer", None)


@pytest.mark.parametrize(
    ("how", "text"), [("exit", "exit status 3"), ("_exit", "exit status 4"), ("kill", "signal: 9")]
)
def test_a_dead_process_is_an_error_and_the_next_call_gets_a_new_one(register, invoke, how, text):
    arn = register("end_process")
    for _ in range(2):
        document, error = invoke(arn, {"how": how})
        assert (document["errorType"], error) == ("Runtime.ExitError", "Unhandled")
        assert text in document["errorMessage"]


def test_a_function_out_of_time_is_killed_with_all_that_it_started(
    register, invoke, tmp_path, eventually
):
    arn = register("leave_child", timeout_s=1)
    document, error = invoke(arn, {"pid_file": str(tmp_path / "pid")})
    assert (document["errorType"], error) == ("Sandbox.Timedout", "Unhandled")
    assert document["errorMessage"].endswith("Task timed out after 1.00 seconds")
    pid = (tmp_path / "pid").read_text()
    eventually(lambda: not Path(f"/proc/{pid}/cmdline").read_text() if _alive(pid) else True)


def _alive(pid):
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


def test_a_new_version_of_a_function_replaces_its_processes(register, invoke, tmp_path):
    for version in ("one", "two"):
        code = tmp_path / version
        code.mkdir()
        (code / "samples.py").write_text(f"def echo(e, c): return '{version}'")
        assert invoke(register("echo", name="versions", code_directory=code))[0] == version


def refused(call, *arguments, **keywords):
    with pytest.raises(ClientError) as error:
        call(*arguments, **keywords)
    assert error.value.response["ResponseMetadata"]["RequestId"]  # the interpreter asks for it
    return error.value.response["Error"]["Code"]


def test_what_lambda_refuses_is_refused(aws, register, invoke):
    arn = register("echo")
    client = aws.client("lambda")
    assert refused(invoke, "nobody") == "ResourceNotFoundException"
    assert (
        refused(client.invoke, FunctionName=arn, Payload="{no json")
        == "InvalidRequestContentException"
    )
    large = json.dumps("x" * 6 * 1024 * 1024)
    assert refused(client.invoke, FunctionName=arn, Payload=large) == "RequestTooLargeException"
    event = {"FunctionName": arn, "InvocationType": "Event"}
    assert (
        refused(client.invoke, Payload=json.dumps("x" * 256 * 1024), **event)
        == "RequestTooLargeException"
    )


def test_an_answer_above_the_limit_is_an_error(register, invoke):
    document, error = invoke(register("large"), {"bytes": 6 * 1024 * 1024})
    assert (document["errorType"], error) == ("Function.ResponseSizeTooLarge", "Unhandled")


def test_reserved_concurrency_throttles(aws, register, invoke):
    arn = register("sleep", name="reserved", reserved_concurrency=1)
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(
            threads.map(
                lambda _: refused_or(invoke, arn, {"seconds": 1.5}),
                range(2),
            )
        )
    assert sorted(outcomes, key=str) == [("slept", None), "TooManyRequestsException"]


def refused_or(invoke, arn, event):
    try:
        return invoke(arn, event)
    except ClientError as error:
        return error.response["Error"]["Code"]


def test_calls_of_a_function_carry_its_role(aws, register, invoke):
    aws.create_bucket(BucketSpec("lab"))
    aws.gateway.calls.clear()
    invoke(register("put"), {"bucket": "lab", "key": "by-a-function"})
    assert [call.operation for call in aws.gateway.calls if call.access_key == "put-role"] == [
        "PUT /lab/by-a-function"
    ]


def objects(aws, prefix):
    listed = aws.client("s3").list_objects_v2(Bucket="lab", Prefix=prefix)
    return [each["Key"] for each in listed.get("Contents", [])]


def test_an_asynchronous_call_that_succeeds_is_made_once(aws, register, eventually):
    aws.create_bucket(BucketSpec("lab"))
    arn = register("remember")
    answer = aws.client("lambda").invoke(
        FunctionName=arn,
        InvocationType="Event",
        Payload=json.dumps({"bucket": "lab", "case": "succeeds"}),
    )
    assert answer["StatusCode"] == 202
    eventually(lambda: objects(aws, "succeeds/"))
    time.sleep(1)
    assert len(objects(aws, "succeeds/")) == 1


def test_an_asynchronous_call_is_tried_three_times_and_then_a_dead_letter(
    aws, register, queue, eventually
):
    aws.create_bucket(BucketSpec("lab"))
    url, queue_arn = queue("function-dead-letters")
    arn = register("remember", name="remember-failing", dead_letter_arn=queue_arn)
    event = {"bucket": "lab", "case": "fails", "fails": True}
    aws.client("lambda").invoke(FunctionName=arn, InvocationType="Event", Payload=json.dumps(event))
    received = eventually(
        lambda: (
            aws.client("sqs")
            .receive_message(QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["All"])
            .get("Messages")
        )
    )
    assert len(objects(aws, "fails/")) == 3
    assert json.loads(received[0]["Body"]) == event
    attributes = received[0]["MessageAttributes"]
    assert attributes["ErrorMessage"]["StringValue"] == "as asked"
