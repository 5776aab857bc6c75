import json

import pytest

from local.lambdas import FunctionUnknownError
from local.queues import MappingRefusedError
from local.specs import BucketSpec, EventSourceMappingSpec


@pytest.fixture
def objects(aws):
    aws.create_bucket(BucketSpec("lab"))

    def objects(prefix):
        listed = aws.client("s3").list_objects_v2(Bucket="lab", Prefix=prefix)
        return [each["Key"] for each in listed.get("Contents", [])]

    return objects


@pytest.fixture
def mapped(aws, register, queue):
    """Makes a queue, a function and the mapping between them; returns the queue's URL.

    A message comes back after `back_after_s`: long enough that none does that was only slow.
    """

    def mapped(name, *, back_after_s=60, attributes=None, **mapping):
        settings = {"VisibilityTimeout": str(back_after_s)} | (attributes or {})
        url, arn = queue(name, **settings)
        function = register("take_messages", name=f"take-{name}", timeout_s=back_after_s)
        mapping = {"report_batch_item_failures": True} | mapping
        aws.map_queue(EventSourceMappingSpec(arn, function, **mapping))
        return url

    return mapped


@pytest.fixture
def send(aws):
    def send(url, case, number=0, delay_s=0, **body):
        message = {"bucket": "lab", "case": case, "number": number, **body}
        aws.client("sqs").send_message(
            QueueUrl=url, MessageBody=json.dumps(message), DelaySeconds=delay_s
        )

    return send


@pytest.fixture
def left(aws):
    """How many messages a queue holds, visible, in flight or delayed."""

    def left(url):
        names = ["", "NotVisible", "Delayed"]
        names = [f"ApproximateNumberOfMessages{name}" for name in names]
        answer = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    return left


def test_messages_become_calls_and_are_gone(mapped, send, objects, left, eventually):
    url = mapped("plain")
    for number in range(12):
        send(url, "plain", number)
    eventually(lambda: len(objects("plain/")) == 12)
    eventually(lambda: left(url) == 0)
    assert sorted(objects("plain/")) == sorted(f"plain/{number}/1" for number in range(12))


def test_a_record_looks_as_lambda_writes_it(aws, mapped, send, objects, eventually):
    send(mapped("record"), "record")
    key = eventually(lambda: objects("record/"))[0]
    event = json.loads(aws.client("s3").get_object(Bucket="lab", Key=key)["Body"].read())
    (record,) = event["Records"]
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith(":record")
    assert record["awsRegion"] == aws.region
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert int(record["attributes"]["SentTimestamp"]) > 1_600_000_000_000
    assert json.loads(record["body"])["case"] == "record"


def test_a_message_that_is_named_as_failed_comes_back_alone(
    mapped, send, objects, left, eventually
):
    url = mapped("partial", back_after_s=5)
    send(url, "partial", 1)
    send(url, "partial", 2, fails_until=2)
    eventually(lambda: "partial/2/3" in objects("partial/"))
    eventually(lambda: left(url) == 0)
    assert sorted(objects("partial/")) == [
        "partial/1/1",
        "partial/2/1",
        "partial/2/2",
        "partial/2/3",
    ]


def test_without_the_report_a_function_that_returns_has_done_all(
    mapped, send, objects, left, eventually
):
    url = mapped("unreported", report_batch_item_failures=False)
    send(url, "unreported", 1, fails_until=9)
    eventually(lambda: objects("unreported/"))
    eventually(lambda: left(url) == 0)
    assert objects("unreported/") == ["unreported/1/1"]


def test_what_always_fails_ends_in_the_dead_letter_queue(
    aws, queue, mapped, send, objects, left, eventually
):
    dead_url, dead_arn = queue("dead-letters")
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    url = mapped("redriven", back_after_s=5, attributes={"RedrivePolicy": redrive})
    send(url, "redriven", 1, raises=True)
    eventually(lambda: left(dead_url) == 1)
    assert left(url) == 0
    assert objects("redriven/") == ["redriven/1/1", "redriven/1/2"]
    body = aws.client("sqs").receive_message(QueueUrl=dead_url)["Messages"][0]["Body"]
    assert json.loads(body)["case"] == "redriven"


def test_a_delayed_message_comes_later(mapped, send, objects, eventually):
    url = mapped("delayed")
    send(url, "delayed", 1, delay_s=2)
    send(url, "delayed", 2)
    eventually(lambda: objects("delayed/2"))
    assert objects("delayed/1") == []
    eventually(lambda: objects("delayed/1"))


def test_a_batch_is_as_large_as_allowed(aws, queue, register, send, objects, eventually):
    url, arn = queue("batches", VisibilityTimeout="60")
    for number in range(8):
        send(url, "batches", number)
    function = register("take_messages", name="take-batches", timeout_s=60)
    aws.map_queue(EventSourceMappingSpec(arn, function, batch_size=4))
    keys = eventually(lambda: len(found := objects("batches/")) == 8 and found)
    s3 = aws.client("s3")
    sizes = [
        len(json.loads(s3.get_object(Bucket="lab", Key=key)["Body"].read())["Records"])
        for key in keys
    ]
    assert sizes == [4] * 8


def test_mappings_that_aws_refuses_are_refused(aws, queue, register):
    _, arn = queue("short", VisibilityTimeout="5")
    function = register("take_messages", name="long", timeout_s=60)
    with pytest.raises(MappingRefusedError, match="5 seconds is less than Function timeout: 60"):
        aws.map_queue(EventSourceMappingSpec(arn, function))
    function = register("take_messages", name="quick", timeout_s=5)
    with pytest.raises(MappingRefusedError, match="MaximumConcurrency 1"):
        aws.map_queue(EventSourceMappingSpec(arn, function, maximum_concurrency=1))
    with pytest.raises(FunctionUnknownError):
        aws.map_queue(EventSourceMappingSpec(arn, "nobody"))
