"""Invocations run the real handlers, die at any effect, and tell their callers as Lambda does."""

import json

import pytest

from drydock import concurrency
from drydock.messages import Messages
from tests.simulation import lambdas
from tests.simulation.corner import Corner, Mishaps
from tests.simulation.kernel import Fault

NOTHING_ENDED = {"terminated": 0, "broken": 0}
SHARD = {"run_id": "0" * 16, "shard": 3, "owner": "arn:o", "token": "t"}


@pytest.fixture
def handler(monkeypatch):
    """Have StopRun and ResubmitInterrupted do what a test says instead of their own."""
    done = {}
    started = lambdas._started

    def changed(module):
        environment = started(module)
        if "stop" in done:
            environment.stop_run = done["stop"]
        if "message" in done:
            environment.resubmit_interrupted = done["message"]
            environment.blocked_for = lambda message: None
        environment.asdict = lambda value: NOTHING_ENDED | value
        return environment

    monkeypatch.setattr(lambdas, "_started", changed)
    monkeypatch.setattr(lambdas, "_idle", lambdas.defaultdict(list))
    return done


def test_a_handler_runs_and_its_own_error_has_its_name():
    corner = Corner()
    process = corner.lambdas.invoke("SubmitShardFunction", SHARD)
    corner.kernel.run()
    assert process.error_name == "NotFound"
    assert corner.lambdas.broken == [], "the doors' own errors are no faults of the code"
    assert any("fails: NotFound" in each.what for each in corner.kernel.story)


def test_a_strange_error_is_seen(handler):
    handler["stop"] = lambda services, event: {}["no such key"]
    corner = Corner()
    process = corner.lambdas.invoke("arn:aws:lambda:r:1:function:StopRunFunction", {})
    corner.kernel.run()
    assert process.error_name == "KeyError"
    assert [type(error) for _, error in corner.lambdas.broken] == [KeyError]
    assert any("BREAKS" in each.what for each in corner.kernel.story)


def test_a_strange_error_in_one_record_of_a_batch_is_seen(handler):
    handler["message"] = lambda services, message: {}[message]
    corner = Corner()
    record = {"messageId": "m1", "body": '"b"', "eventSource": "aws:sqs"}
    process = corner.lambdas.invoke("ResubmitInterruptedFunction", {"Records": [record]})
    corner.kernel.run()
    assert process.result == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert [type(error) for _, error in corner.lambdas.broken] == [KeyError]


@pytest.mark.parametrize("kind", ["dies before", "dies after"])
def test_a_death_tells_nothing(kind):
    corner = Corner(Mishaps(faults=[("s3", Fault(kind))]))
    process = corner.lambdas.invoke("SubmitShardFunction", SHARD)
    corner.kernel.run()
    assert (process.dead, process.error_name) == (True, "Lambda.Unknown")


def test_a_slow_function_lets_others_go_first():
    corner = Corner(Mishaps("slow function", numbers={"SubmitShard 3 #1 is slow": 5.0}))
    slow = corner.lambdas.invoke("SubmitShardFunction", SHARD)
    quick = corner.lambdas.invoke("SubmitShardFunction", SHARD)
    ended = []
    for process in (slow, quick):
        process.ended.then(lambda name=process.name: ended.append(name))
    corner.kernel.run()
    assert ended == ["SubmitShard 3 #2", "SubmitShard 3 #1"]
    assert corner.kernel.now >= corner.kernel.began + 5


def test_a_function_is_killed_at_its_timeout(handler):
    seen = []

    def sleeps(services, event):
        seen.append(services.now())
        corner.kernel.sleep(1000)
        seen.append("woke")

    handler["stop"] = sleeps
    corner = Corner()
    process = corner.lambdas.invoke("StopRunFunction", {})
    corner.kernel.run(until=corner.kernel.began + 119)
    assert not process.ended.is_set
    corner.kernel.run(until=corner.kernel.began + 121)
    assert process.error_name == "Sandbox.Timedout", "the template gives it two minutes"
    corner.kernel.run()
    assert "woke" not in seen


def test_an_environment_whose_invocation_died_is_not_kept(handler):
    handler["stop"] = lambda services, event: corner.kernel.sleep(10)
    corner = Corner()
    process = corner.lambdas.invoke("StopRunFunction", {})
    corner.kernel.run(until=corner.kernel.began + 5)
    process.kill()
    corner.kernel.run()
    assert lambdas._idle["stop_run"] == []


def test_the_time_that_remains_runs_down(handler):
    corner = Corner()
    context = lambdas.Context(corner.kernel, "r", "f", "arn", corner.kernel.now + 5)
    assert context.get_remaining_time_in_millis() == 5000
    corner.run(lambda: corner.kernel.sleep(4))
    assert context.get_remaining_time_in_millis() == 1000
    corner.run(lambda: corner.kernel.sleep(4))
    assert context.get_remaining_time_in_millis() == 0


def test_each_of_two_invocations_at_once_has_its_own_services_and_batch(handler):
    def message(services, number):
        services.messages.notify(f"begin {number}", "text")
        corner.kernel.sleep(10 - number)
        services.messages.notify(f"end {number}", "text")
        if number == 2:
            raise ValueError

    handler["message"] = message
    corner = Corner()

    def call(*numbers):
        records = [
            {"messageId": f"m{number}", "body": str(number), "eventSource": "aws:sqs"}
            for number in numbers
        ]
        return corner.lambdas.invoke("ResubmitInterruptedFunction", {"Records": records})

    for _ in range(2):  # in new environments, and in those that are kept
        one, two = call(1, 2), call(3, 4)
        corner.kernel.run()
        assert one.result == {"batchItemFailures": [{"itemIdentifier": "m2"}]}
        assert two.result == {"batchItemFailures": []}
    assert len(lambdas._idle["resubmit_interrupted"]) == 2
    said = [told.subject for told in corner.topic.told]
    assert said.index("begin 3") < said.index("end 1") < said.index("begin 2")


def test_an_invocation_that_nobody_waits_for_is_tried_three_times(handler):
    times = []

    def fails(services, event):
        times.append(round(services.now() - corner.kernel.began))
        raise ValueError

    handler["stop"] = fails
    corner = Corner()
    corner.lambdas.invoke_later("StopRunFunction", {"a": 1})
    corner.kernel.run()
    assert times == [0, 60, 180]
    assert [each[1:] for each in corner.lambdas.given_up] == [("StopRunFunction", {"a": 1})]


def test_an_invocation_that_succeeds_is_not_repeated(handler):
    handler["stop"] = lambda services, event: {"terminated": 0}
    corner = Corner()
    corner.lambdas.invoke_later("StopRunFunction", {})
    corner.kernel.run()
    assert corner.lambdas.calls == {"StopRunFunction": 1}
    assert corner.lambdas.given_up == []


def test_what_a_function_returns_is_json(handler):
    handler["stop"] = lambda services, event: {"not": {1, 2}}
    corner = Corner()
    process = corner.lambdas.invoke("StopRunFunction", {})
    corner.kernel.run()
    assert isinstance(process.error, TypeError)
    assert corner.lambdas.broken


def test_many_requests_at_a_time_are_made_one_by_one():
    corner = Corner()
    done = []

    def ask(number):
        corner.kernel.effect(f"ask {number}", lambda: done.append(number), writes=False)
        if number == 1:
            raise ValueError("the first that fails")
        if number == 2:
            raise KeyError
        return number

    process = corner.run(lambda: concurrency.each(ask, range(4)))
    assert str(process.error) == "the first that fails"
    assert done == [0, 1, 2, 3], "a pool has done the others too"
    assert corner.run(lambda: concurrency.each(lambda n: n * n, range(4))).result == [0, 1, 4, 9]


def test_any_of_many_requests_may_be_the_first():
    corner = Corner(Mishaps(numbers={"StopRun #1 #0 begins with": 2}))
    done = []

    def asks(services, event):
        return {
            "found": concurrency.each(lambda number: (done.append(number), number)[1], range(4))
        }

    environment = lambdas._started("stop_run")
    environment.stop_run, environment.asdict = asks, lambda value: NOTHING_ENDED | value
    lambdas._idle["stop_run"].append(environment)
    process = corner.lambdas.invoke("StopRunFunction", {})
    corner.kernel.run()
    lambdas._idle["stop_run"].remove(environment)
    assert (done, process.result["found"]) == ([2, 3, 0, 1], [0, 1, 2, 3])


def test_outside_of_a_process_threads_stay_threads():
    assert concurrency.ThreadPoolExecutor(max_workers=2).submit(lambda: 5).result() == 5


def test_every_function_of_the_template_has_its_handler():
    corner = Corner()
    for name, function in corner.lambdas._functions.items():
        environment = lambdas._started(function.module)
        assert callable(environment.lambda_handler), name
        assert hasattr(environment, "services"), name


def test_the_doors_of_messages_reach_the_queue_and_the_topic():
    corner = Corner()
    services = corner.services()
    assert isinstance(services.messages, Messages)
    services.messages.look_again("r", 1, 30)
    services.messages.notify("subject", "text")
    assert corner.queues.waiting() == 1
    assert [told.subject for told in corner.topic.told] == ["subject"]
    assert json.loads(corner.queues.digest()[0][0]) == {"advance": {"run_id": "r", "shard": 1}}
