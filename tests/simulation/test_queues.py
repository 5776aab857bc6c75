"""Messages come at least once, again after a failure, and too often into the dead letters."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.simulation.account import QUEUE_URL
from tests.simulation.corner import Corner, Mishaps
from tests.simulation.kernel import Fault

VISIBILITY_S = 720


class Called:
    """Stands for the functions: notes what it is called with, and answers as it is told to."""

    def __init__(self, corner, answers=(), lasts_s=1.0):
        self.corner, self.answers, self.lasts_s = corner, list(answers), lasts_s
        self.batches, self.at, self.most, self.now = [], [], 0, 0

    def invoke(self, name, payload, what=None):
        assert name == "ResubmitInterruptedFunction"
        answer = self.answers.pop(0) if self.answers else None
        self.batches.append([record["body"] for record in payload["Records"]])
        self.at.append(round(self.corner.kernel.now - self.corner.kernel.began))
        ids = [record["messageId"] for record in payload["Records"]]

        def run():
            self.now += 1
            self.most = max(self.most, self.now)
            self.corner.kernel.sleep(self.lasts_s)
            self.now -= 1
            if isinstance(answer, Exception):
                raise answer
            return answer(ids) if callable(answer) else answer

        return self.corner.kernel.spawn("f", "lambda", run)


def world(*chances, answers=(), numbers=None, faults=(), lasts_s=1.0):
    corner = Corner(Mishaps(*chances, numbers=numbers, faults=faults))
    corner.lambdas = Called(corner, answers, lasts_s)
    return corner, corner.lambdas


def send(corner, *bodies, delay=0):
    client = corner.queues.client()
    for body in bodies:
        client.send_message(QueueUrl=QUEUE_URL, MessageBody=body, DelaySeconds=delay)


def test_a_message_comes_once_after_its_delay():
    corner, called = world()
    send(corner, "a", delay=90)
    corner.kernel.run()
    assert (called.batches, called.at) == ([["a"]], [90])
    assert corner.queues.waiting() == 0


@pytest.mark.parametrize(
    "answer",
    [
        ValueError("no"),
        lambda ids: {"batchItemFailures": [{"itemIdentifier": ids[0]}]},
        lambda ids: {"batchItemFailures": [{"itemIdentifier": ""}]},
        lambda ids: {"batchItemFailures": [{}]},
        lambda ids: "nonsense",
    ],
)
def test_a_message_that_failed_comes_again_when_it_is_visible(answer):
    corner, called = world(answers=[answer])
    send(corner, "a")
    corner.kernel.run()
    assert (called.batches, called.at) == ([["a"], ["a"]], [0, VISIBILITY_S])


def test_only_what_failed_of_a_batch_comes_again():
    batch = {"batch before a": 2}
    answers = [lambda ids: {"batchItemFailures": [{"itemIdentifier": ids[1]}]}]
    corner, called = world(answers=answers, numbers=batch)
    send(corner, "a", "b", "c")
    corner.kernel.run()
    first, second = called.batches
    assert sorted(first) == ["a", "b", "c"]
    assert second == [first[1]]


def test_a_message_whose_function_died_comes_again():
    corner, called = world()
    send(corner, "a")
    corner.kernel.run(until=corner.kernel.began + 0.5)
    corner.kernel.processes[0].kill()
    corner.kernel.run()
    assert called.batches == [["a"], ["a"]]


def test_a_message_that_fails_each_time_is_a_dead_letter():
    corner, called = world(answers=[ValueError()] * 20)
    send(corner, "a")
    corner.kernel.run()
    assert len(called.batches) == 10
    assert [message.body for _, message in corner.queues.dead] == ["a"]
    assert corner.queues.waiting() == 0


def test_messages_come_twice_where_the_queue_has_it_so():
    corner, called = world("message doubled")
    send(corner, "a")
    corner.kernel.run()
    assert called.batches == [["a"], ["a"]]
    corner, called = world("message redelivered")
    send(corner, "a")
    corner.kernel.run()
    assert called.at == [0, VISIBILITY_S]


def test_a_send_whose_answer_is_lost_has_sent():
    corner, called = world(faults=[("sqs", Fault("lost answer"))])
    process = corner.run(lambda: send(corner, "a"))
    assert process.error is not None
    assert called.batches == [["a"]]


def test_no_more_functions_run_at_once_than_the_template_says():
    corner, called = world(lasts_s=50)
    send(corner, *map(str, range(25)))
    corner.kernel.run()
    assert called.most == 10
    assert sorted(int(body) for batch in called.batches for body in batch) == list(range(25))


def test_no_batch_is_larger_than_the_template_says():
    corner, called = world(numbers={"batch before 0": 10})
    send(corner, *map(str, range(25)))
    corner.kernel.run()
    assert max(map(len, called.batches)) == 10


@pytest.mark.parametrize(
    ("url", "body", "delay"),
    [("https://no.queue", "a", 0), (QUEUE_URL, "a", 901), (QUEUE_URL, "a", -1), (QUEUE_URL, "", 0)],
)
def test_what_sqs_refuses(url, body, delay):
    corner, _ = world()
    with pytest.raises(ClientError):
        corner.queues.client().send_message(QueueUrl=url, MessageBody=body, DelaySeconds=delay)
    assert corner.queues.waiting() == 0


def test_people_are_told_and_the_topic_keeps_it():
    corner, _ = world()
    corner.services().messages.notify("Stöpped", json.dumps({}))
    assert [(told.subject, told.text) for told in corner.topic.told] == [("St?pped", "{}")]
    with pytest.raises(ClientError):
        corner.topic.client().publish(TopicArn="arn:none", Subject="s", Message="m")
