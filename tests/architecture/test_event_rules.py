"""The rules against recorded events: a rule and the samples that it is there for cannot drift."""

import json

import pytest
from moto.events.models import EventPattern

from tests.architecture.imports import ROOT
from tests.architecture.stack import of_type

FOLDER = ROOT / "events/eventbridge"
EXPECTED = {
    "batch_child_misconfigured": "ChildMisconfiguredRule",
    "batch_child_not_started": "ChildMisconfiguredRule",
    "batch_parent_failed": "JobEndedRule",
    "batch_parent_succeeded": "JobEndedRule",
    "batch_plain_job_failed": "JobEndedRule",
    "batch_queue_blocked": "QueueBlockedRule",
    "s3_request_uploaded": "RunStateMachineUpload",
    "states_execution_aborted": "StopRunFunctionExecutionEnded",
    "states_execution_failed": "StopRunFunctionExecutionEnded",
}
NAMES = {"IntakeBucket": "drydock-intake"}
for _queue in ("spot", "on-demand"):
    _logical = "".join(word.capitalize() for word in _queue.split("-")) + "Queue"
    NAMES[_logical] = f"arn:aws:batch:us-east-1:123456789012:job-queue/drydock-{_queue}"


def patterns():
    """Rule to pattern, with the names that the embedded stack gives to what they refer to."""
    found = {}
    for name, rule in of_type("AWS::Events::Rule").items():
        if "EventPattern" in rule:
            text = json.dumps(rule["EventPattern"])
            for logical, physical in NAMES.items():
                text = text.replace(f'"{logical}"', f'"{physical}"')
            found[name] = text
    return found


def matching(event):
    return [
        name
        for name, text in patterns().items()
        if EventPattern(text, json.loads(text)).matches_event(event)
    ]


def sample(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_sample_fits_the_one_rule_that_is_there_for_it(path):
    assert matching(sample(path)) == [EXPECTED[path.stem]]


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("unmatched/*.json")), ids=lambda path: path.stem
)
def test_what_is_nobodys_business_fits_no_rule(path):
    assert matching(sample(path)) == []


def test_every_rule_with_a_pattern_has_a_sample():
    assert set(EXPECTED.values()) == set(patterns())
    assert set(EXPECTED) == {path.stem for path in FOLDER.glob("*.json")}


@pytest.mark.parametrize("key", ["run.json.rejected.json", "a/b.txt.rejected.json"])
def test_a_refusal_that_we_wrote_starts_nothing(key):
    event = sample(FOLDER / "s3_request_uploaded.json")
    event["detail"]["object"]["key"] = key
    assert matching(event) == []


@pytest.mark.parametrize("exit_code", [78, 126, 127])
def test_a_child_tells_of_misconfiguration_by_its_exit_code(exit_code):
    event = sample(FOLDER / "batch_child_misconfigured.json")
    event["detail"]["container"]["exitCode"] = exit_code
    assert matching(event) == ["ChildMisconfiguredRule"]


@pytest.mark.parametrize("exit_code", [0, 1, 71, 75, 137])
def test_any_other_child_is_its_arrays_business(exit_code):
    event = sample(FOLDER / "batch_child_misconfigured.json")
    event["detail"]["container"]["exitCode"] = exit_code
    assert matching(event) == []


@pytest.mark.parametrize(
    ("reason", "rules"),
    [
        ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", ["ChildMisconfiguredRule"]),
        ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", ["ChildMisconfiguredRule"]),
        ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", []),
    ],
)
def test_a_child_that_its_queue_cancelled_tells_why_it_could_not_start(reason, rules):
    event = sample(FOLDER / "batch_child_not_started.json")
    told = f"Canceled by JobStateTimeLimit action due to reason: {reason}"
    event["detail"] |= {"statusReason": told, "attempts": []}
    assert matching(event) == rules


@pytest.mark.parametrize("status", ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"])
def test_a_job_that_has_not_ended_is_nobodys_business(status):
    for name in ("batch_parent_failed", "batch_plain_job_failed", "batch_child_misconfigured"):
        event = sample(FOLDER / f"{name}.json")
        event["detail"]["status"] = status
        assert matching(event) == []


def test_another_queues_jobs_and_another_machines_executions_are_not_ours():
    event = sample(FOLDER / "batch_parent_failed.json")
    event["detail"]["jobQueue"] += "-of-others"
    assert matching(event) == []
    event = sample(FOLDER / "states_execution_aborted.json")
    event["detail"]["stateMachineArn"] += "/RunShards"
    assert matching(event) == []
