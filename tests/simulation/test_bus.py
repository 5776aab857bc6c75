"""The template's rules match as EventBridge does, and their events get lost, late and doubled."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.account import DATA, INTAKE, ON_DEMAND, SPOT
from tests.simulation.bus import fits
from tests.simulation.corner import Corner, Mishaps
from tests.simulation.resources import resources

RESUBMIT = "arn:aws:sqs:us-west-2:123456789012:ResubmitQueue"


class Kept:
    """Stands for queues or functions: keeps what it is given."""

    def __init__(self, kernel):
        self.kernel, self.given = kernel, []

    def send(self, arn, body, what):
        self.given.append((arn.rpartition(":")[2], round(self.kernel.now - self.kernel.began, 1)))

    def invoke_later(self, name, payload, what=None):
        at = round(self.kernel.now - self.kernel.began, 1)
        kind = payload.get("detail-type") or payload["check"]
        self.given.append((name.rpartition(":")[2], kind, at))


def world(*chances, numbers=None):
    corner = Corner(Mishaps(*chances, numbers=numbers))
    corner.queues, corner.lambdas = Kept(corner.kernel), Kept(corner.kernel)
    return corner


def job(**detail):
    detail = {"jobId": "j", "jobName": "drydock-x", "jobQueue": SPOT, "status": "FAILED"} | detail
    return {"source": "aws.batch", "detail-type": "Batch Job State Change", "detail": detail}


def status(name, machine="drydock-run"):
    arn = f"arn:aws:states:us-west-2:123456789012:stateMachine:{machine}"
    detail = {"executionArn": "arn:e", "stateMachineArn": arn, "name": "e", "status": name}
    kind = "Step Functions Execution Status Change"
    return {"source": "aws.states", "detail-type": kind, "detail": detail}


CHILD = {"arrayProperties": {"index": 4}}
PARENT = {"arrayProperties": {"size": 4, "statusSummary": {"FAILED": 4}}}


@pytest.mark.parametrize(
    ("event", "given"),
    [
        (job(), True),
        (job(**PARENT), True),
        (job(status="SUCCEEDED", jobQueue=ON_DEMAND), True),
        (job(status="RUNNING"), False),
        (job(jobName="another"), False),
        (job(jobQueue="arn:another"), False),
        (job(**CHILD), False),
        (job(**CHILD, container={"exitCode": 78}), True),
        (job(**CHILD, container={"exitCode": 1}), False),
        (job(**CHILD, statusReason="Task failed to start"), True),
        (status("FAILED"), True),
        (status("SUCCEEDED"), False),
        (status("FAILED", "drydock-run/RunShards"), False),
    ],
)
def test_an_event_reaches_its_target(event, given):
    corner = world()
    corner.bus.publish(event)
    corner.kernel.run()
    assert bool(corner.queues.given or corner.lambdas.given) is given
    assert corner.bus.delivered == int(given)


def test_an_upload_starts_an_execution_and_nothing_else_does():
    corner = Corner()
    for bucket, key in ((INTAKE, "a.json"), (INTAKE, "a.json.rejected.json"), (DATA, "a.json")):
        corner.store.put(bucket, key, b"{}")
    corner.kernel.run()
    (event,) = corner.states.started
    assert event["detail"]["object"]["key"] == "a.json"
    assert event["detail"]["bucket"] == {"name": INTAKE}
    assert event["source"] == "aws.s3"
    assert {"id", "time", "region", "account"} <= set(event)


def test_events_are_lost_by_the_promise_of_their_source():
    corner = world("event lost")
    corner.bus.publish(job())
    corner.bus.publish(status("FAILED"))
    corner.kernel.run()
    assert (len(corner.queues.given), len(corner.lambdas.given), corner.bus.lost) == (1, 0, 1)
    corner = world("durable event lost")
    corner.bus.publish(job())
    corner.kernel.run()
    assert corner.queues.given == []


def test_events_come_twice_late_and_out_of_order():
    corner = world("event doubled")
    corner.bus.publish(job())
    corner.kernel.run()
    assert len(corner.queues.given) == 2
    corner = world("event late", numbers={"JobEndedRule first FAILED": 500})
    corner.bus.publish(job(jobId="first"))
    corner.bus.publish(status("FAILED"))
    corner.kernel.run()
    assert corner.queues.given == [("ResubmitQueue", 500.0)]
    assert corner.lambdas.given[0][2] < 500


def test_schedules_fire_until_they_are_stopped():
    corner = world()
    corner.bus.start_schedules()
    corner.bus.start_schedules()
    corner.kernel.run(until=corner.kernel.began + 3600)
    sweeps = [each for each in corner.lambdas.given if each[0] == "StopRunFunction"]
    assert len(sweeps) >= 4 + 12
    assert {kind for _, kind, _ in corner.lambdas.given} == {"Scheduled Event", "budgets"}
    corner.bus.stop_schedules()
    before = len(corner.lambdas.given)
    corner.kernel.run()
    assert len(corner.lambdas.given) <= before + 2, "what was under way"


def test_every_target_in_the_template_is_one_that_events_are_delivered_to():
    found = resources(Corner().settings)
    assert {target.split(":")[2] for rule in found.rules for target in rule.targets} == {
        "sqs",
        "lambda",
        "states",
    }
    queues = {target for rule in found.rules for target in rule.targets if ":sqs:" in target}
    assert queues <= set(found.queues)
    assert {rule.period_s for rule in found.rules if rule.period_s} >= {900}


def test_a_number_is_no_truth():
    assert fits({"a": [1]}, {"a": 1})
    assert not fits({"a": [1]}, {"a": True})


words = st.sampled_from(
    ["FAILED", "drydock-a", "drydock", SPOT, "a.json", "a.rejected.json", "Task"]
)
leaves = st.one_of(st.none(), st.sampled_from([0, 1, 78]), words, st.lists(words))
names = ("status", "jobName", "statusReason")
events = st.fixed_dictionaries(
    {"source": st.just("aws.batch"), "detail-type": st.just("Batch Job State Change")},
    optional={
        "resources": st.lists(words),
        "detail": st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(names, leaves)
            | {
                "jobQueue": st.sampled_from([SPOT, "another"]),
                "container": st.fixed_dictionaries({}, optional={"exitCode": leaves}),
                "arrayProperties": st.fixed_dictionaries(
                    {}, optional={"index": st.integers(0, 9), "size": st.integers(2, 9)}
                ),
                "object": st.fixed_dictionaries({}, optional={"key": words}),
            },
        ),
    },
)
filters = st.one_of(
    words,
    st.sampled_from([0, 1, 78]),
    st.builds(lambda w: {"prefix": w}, words),
    st.builds(lambda w: {"suffix": w}, words),
    st.builds(lambda b: {"exists": b}, st.booleans()),
    st.builds(lambda w: {"anything-but": {"suffix": w}}, words),
    st.builds(lambda w: {"anything-but": w}, st.lists(words, min_size=1)),
)
some = st.lists(filters, min_size=1, max_size=3)
details = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(names, some)
    | {
        "container": st.fixed_dictionaries({"exitCode": some}),
        "arrayProperties": st.fixed_dictionaries({}, optional={"index": some, "size": some}),
        "$or": st.lists(st.fixed_dictionaries({"status": some}), min_size=2, max_size=3),
    },
)
patterns = st.one_of(
    st.sampled_from([rule.pattern for rule in resources(Corner().settings).rules if rule.pattern]),
    st.fixed_dictionaries({"source": st.just(["aws.batch"])}, optional={"detail": details}),
)


@settings(max_examples=200, deadline=None)
@given(pattern=patterns, event=events)
def test_patterns_match_as_they_do_for_moto(pattern, event):
    from moto.events.models import EventPattern

    other = EventPattern(json.dumps(pattern), pattern)
    assert fits(pattern, event) == other.matches_event(event)
