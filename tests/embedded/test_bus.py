import json
import threading

import pytest

from local.bus import Bus, TargetRefusedError
from local.events import aws_event
from local.specs import (
    BucketSpec,
    InputTransformer,
    RetrySpec,
    RuleSpec,
    StateMachineSpec,
    TargetSpec,
)


def receive(aws, url, **arguments):
    return (
        aws.client("sqs")
        .receive_message(QueueUrl=url, WaitTimeSeconds=1, **arguments)
        .get("Messages", [])
    )


@pytest.fixture
def take(aws, eventually):
    """Takes the next message of a queue, with its attributes."""

    def take(url):
        message = eventually(lambda: receive(aws, url, MessageAttributeNames=["All"]))[0]
        aws.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        attributes = message.get("MessageAttributes", {})
        return json.loads(message["Body"]), {
            name: value["StringValue"] for name, value in attributes.items()
        }

    return take


def event(aws, source, **detail):
    return aws_event(source, "Test Event", detail, region=aws.region)


def test_an_upload_is_an_event_as_s3_writes_it(aws, queue, take):
    aws.create_bucket(BucketSpec("intake", event_bridge=True))
    aws.create_bucket(BucketSpec("data"))
    url, arn = queue("uploads")
    pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"]}
    aws.register_rule(RuleSpec("uploads", (TargetSpec("q", arn),), pattern=pattern))
    s3 = aws.client("s3", "uploader")
    s3.put_object(Bucket="data", Key="not told", Body=b"x")
    put = s3.put_object(Bucket="intake", Key="my runs/ü+1.json", Body=b"{}")
    told, _ = take(url)
    detail = told["detail"]
    assert told["resources"] == ["arn:aws:s3:::intake"]
    assert told["account"] == aws.account
    assert detail["bucket"] == {"name": "intake"}
    assert detail["object"] == {
        "key": "my runs/ü+1.json",
        "size": 2,
        "etag": put["ETag"].strip('"'),
        "sequencer": detail["object"]["sequencer"],
    }
    assert detail["requester"] == "uploader"
    assert detail["reason"] == "PutObject"

    s3.put_object(Bucket="intake", Key="my runs/ü+1.json", Body=b"{}")
    again, _ = take(url)
    assert int(again["detail"]["object"]["sequencer"], 16) > int(detail["object"]["sequencer"], 16)
    s3.copy_object(Bucket="intake", Key="copy", CopySource="data/not told")
    assert take(url)[0]["detail"]["reason"] == "CopyObject"
    upload = {"Bucket": "intake", "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"ETag": etag, "PartNumber": 1}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert take(url)[0]["detail"]["reason"] == "CompleteMultipartUpload"
    s3.delete_object(Bucket="intake", Key="copy")
    s3.put_object_tagging(
        Bucket="intake", Key="parts", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
    )
    assert receive(aws, url) == []


def test_only_rules_that_fit_are_matched(aws):
    for name, pattern in {
        "equal": {"source": ["aws.batch"], "detail": {"status": ["FAILED", "SUCCEEDED"]}},
        "prefix": {"detail": {"jobName": [{"prefix": "drydock-"}]}},
        "but": {"detail": {"status": [{"anything-but": "FAILED"}]}},
        "absent": {"source": ["aws.batch"], "detail": {"arrayProperties": [{"exists": False}]}},
        "other": {"source": ["aws.s3"]},
    }.items():
        aws.register_rule(RuleSpec(name, (), pattern=pattern))
    aws.register_rule(RuleSpec("off", (), pattern={"source": ["aws.batch"]}, enabled=False))
    failed = event(aws, "aws.batch", status="FAILED", jobName="drydock-1-2")
    fitting = set(aws.bus.matching(failed)) & {"equal", "prefix", "but", "absent", "other", "off"}
    assert fitting == {"equal", "prefix", "absent"}


def test_a_function_is_called_with_the_event(aws, register, eventually):
    aws.create_bucket(BucketSpec("lab"))
    transformer = InputTransformer({"case": "$.detail.case"}, '{"bucket": "lab", "case": <case>}')
    target = TargetSpec("f", register("remember"), input_transformer=transformer)
    aws.register_rule(RuleSpec("to-function", (target,), pattern={"source": ["test.function"]}))
    aws.bus.put(event(aws, "test.function", case="by-rule"))
    listed = eventually(
        lambda: aws.client("s3").list_objects_v2(Bucket="lab", Prefix="by-rule/").get("Contents")
    )
    body = aws.client("s3").get_object(Bucket="lab", Key=listed[0]["Key"])["Body"].read()
    assert json.loads(body) == {"bucket": "lab", "case": "by-rule"}


def test_a_state_machine_is_started_with_the_event_under_a_name_of_its_own(aws, eventually):
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    arn = aws.create_state_machine(StateMachineSpec("started", definition))
    aws.register_rule(
        RuleSpec("to-machine", (TargetSpec("m", arn),), pattern={"source": ["test.machine"]})
    )
    sent = [event(aws, "test.machine", number=number) for number in range(3)]
    for each in sent:
        aws.bus.put(each)
    states = aws.client("stepfunctions")
    executions = eventually(
        lambda: (
            len(found := states.list_executions(stateMachineArn=arn)["executions"]) == 3 and found
        )
    )
    assert len({each["name"] for each in executions}) == 3
    inputs = [
        json.loads(states.describe_execution(executionArn=each["executionArn"])["input"])
        for each in executions
    ]
    assert sorted(each["detail"]["number"] for each in inputs) == [0, 1, 2]
    assert {each["id"] for each in inputs} == {each["id"] for each in sent}


def test_what_no_target_takes_becomes_a_dead_letter_with_its_reason(aws, queue, take):
    url, dead_letters = queue("rule-dead-letters")
    gone = TargetSpec(
        "gone",
        f"arn:aws:lambda:{aws.region}:{aws.account}:function:gone",
        dead_letter_arn=dead_letters,
    )
    aws.register_rule(RuleSpec("to-nobody", (gone,), pattern={"source": ["test.nobody"]}))
    sent = event(aws, "test.nobody", number=1)
    aws.bus.put(sent)
    body, attributes = take(url)
    assert body == sent
    assert attributes["TARGET_ARN"] == gone.arn
    assert attributes["RULE_ARN"].endswith(":rule/to-nobody")
    assert "Function not found" in attributes["ERROR_MESSAGE"]
    assert attributes["RETRY_ATTEMPTS"] == "0"


def test_a_target_is_not_asked_again_for_what_it_refuses(aws, queue, take):
    url, dead_letters = queue("refused-letters")
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    arn = aws.create_state_machine(StateMachineSpec("refusing", definition))
    target = TargetSpec("m", arn, input="no json", dead_letter_arn=dead_letters)
    aws.register_rule(RuleSpec("to-refusing", (target,), pattern={"source": ["test.refused"]}))
    aws.bus.put(event(aws, "test.refused"))
    message = aws.client("sqs").receive_message(
        QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"]
    )["Messages"][0]
    assert message["Body"] == "no json"
    assert message["MessageAttributes"]["RETRY_ATTEMPTS"]["StringValue"] == "0"


def test_a_scheduled_rule_fires(aws, queue, take):
    url, arn = queue("sweeps")
    aws.register_rule(RuleSpec("sweep", (TargetSpec("q", arn),), schedule="rate(15 minutes)"))
    aws.bus.fire("sweep")
    fired, _ = take(url)
    assert (fired["source"], fired["detail-type"]) == ("aws.events", "Scheduled Event")
    assert fired["resources"] == [f"arn:aws:events:{aws.region}:{aws.account}:rule/sweep"]


class Target:
    """A bus whose target does as it is told."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.delivered, self.dead = [], []
        self.open = threading.Event()
        self.open.set()
        self.bus = Bus(region="us-east-1", deliver=self.deliver, dead_letter=self.die)

    def deliver(self, target, text):
        self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.delivered.append(text)

    def die(self, arn, body, attributes):
        self.dead.append((arn, json.loads(body), attributes))

    def send(self, **retry):
        target = TargetSpec("t", "arn", dead_letter_arn="dead", retry=RetrySpec(**retry))
        self.bus.register(RuleSpec("r", (target,), pattern={"source": ["test"]}))
        self.bus.put(aws_event("test", "T", {}, region="us-east-1"))


@pytest.fixture
def targets():
    made = []

    def make(*failures):
        made.append(Target(*failures))
        return made[-1]

    yield make
    for target in made:
        target.open.set()
        target.bus.close()


def test_a_delivery_that_fails_is_tried_again(targets, eventually):
    target = targets(OSError("down"), OSError("still down"))
    target.send()
    eventually(lambda: target.delivered)
    assert target.dead == []


def test_a_retry_policy_ends_in_the_dead_letter_queue(targets, eventually):
    target = targets(*[OSError(f"down {number}") for number in range(9)])
    target.send(maximum_attempts=2)
    ((arn, body, attributes),) = eventually(lambda: target.dead)
    assert arn == "dead"
    assert body["source"] == "test"
    assert attributes["RETRY_ATTEMPTS"] == "2"
    assert attributes["ERROR_MESSAGE"] == "down 2"


def test_an_event_too_old_is_not_tried_again(targets, eventually):
    target = targets(OSError("down"))
    target.send(maximum_age_s=0)
    eventually(lambda: target.dead)
    assert target.delivered == []


def test_a_target_that_does_not_exist_is_not_tried_again(targets, eventually):
    target = targets(TargetRefusedError("never was"))
    target.send()
    eventually(lambda: target.dead)
    assert target.delivered == []


def test_putting_waits_for_no_target(targets, eventually):
    target = targets()
    target.open.clear()
    for _ in range(50):
        target.send()
    assert target.delivered == []
    target.open.set()
    eventually(lambda: len(target.delivered) == 50)
