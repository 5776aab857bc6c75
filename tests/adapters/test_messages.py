"""The door to SQS and SNS, against moto."""

import json

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sns import sns_backends
from moto.sqs import sqs_backends

from drydock.errors import ServiceUnavailable
from drydock.messages import Messages

REGION = "us-east-1"


@pytest.fixture
def messages(aws):
    url = aws("sqs").create_queue(QueueName="resubmit")["QueueUrl"]
    topic = aws("sns").create_topic(Name="told")["TopicArn"]
    return Messages(url, topic, aws("sqs"), aws("sns"))


def sent():
    queue = sqs_backends[DEFAULT_ACCOUNT_ID][REGION].queues["resubmit"]
    return [
        (json.loads(each.body), max(0, round((each.delayed_until - each.sent_timestamp) / 1000)))
        for each in queue._messages
    ]


def told():
    (topic,) = sns_backends[DEFAULT_ACCOUNT_ID][REGION].topics.values()
    return [(each[2], each[1]) for each in topic.sent_notifications]


@pytest.mark.parametrize(
    ("delay_s", "expected"), [(-5.0, 0), (0.0, 0), (0.2, 1), (60.0, 60), (901.0, 900), (1e9, 900)]
)
def test_a_delay_is_whole_seconds_that_sqs_takes(messages, delay_s, expected):
    messages.look_again("abc", 7, delay_s)
    assert sent() == [({"advance": {"run_id": "abc", "shard": 7}}, expected)]


def test_people_are_told_in_what_sns_takes(messages):
    messages.notify("drydock refused\nü " + "x" * 200, "why\n")
    ((subject, text),) = told()
    assert subject.startswith("drydock refused ? x")
    assert (len(subject), text) == (100, "why\n")


def test_a_long_text_is_cut_between_characters(messages):
    messages.notify("s", "é" * 200_000)
    ((_, text),) = told()
    assert text == "é" * (128 * 1024)


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AuthorizationError", "Message": "no"}}, "Publish"),
        EndpointConnectionError(endpoint_url="https://sns"),
    ],
)
def test_nobody_to_tell_fails_nothing(error, caplog):
    class Sns:
        def publish(self, **_):
            raise error

    Messages("url", "topic", object(), Sns()).notify("drydock: a-run done", "all is settled")
    assert "drydock: a-run done" in caplog.text


def test_a_message_to_ourselves_that_is_not_sent_is_an_outage(aws):
    messages = Messages("https://sqs.us-east-1.amazonaws.com/1/none", "t", aws("sqs"), aws("sns"))
    with pytest.raises(ServiceUnavailable, match="SQS"):
        messages.look_again("abc", 7, 1.0)
