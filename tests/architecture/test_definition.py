"""The state machine's definition: its graph, its errors, and what holds on AWS but not here."""

import inspect
import json

import pytest

import drydock.errors
from local.definition_check import check_definition
from local.resources import substituted
from tests.architecture.stack import SUBSTITUTION, definition, states

TASKS = [(name, state) for name, state, _ in states() if state["Type"] == "Task"]
LAMBDA_IS_TO_BLAME = {
    *("Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException"),
    *("Lambda.TooManyRequestsException", "Lambda.Unknown", "Sandbox.Timedout"),
    "Runtime.ExitError",  # the name that a process which was killed gets, for want of memory too
}
OURS_TO_RETRY = {"Conflict", "ServiceUnavailable", "StoreUnavailable"}


def filled():
    text = json.dumps(definition())
    return substituted(definition(), dict.fromkeys(SUBSTITUTION.findall(text), "made-up"))


def test_the_graph_is_whole():
    assert check_definition(filled()) == []


@pytest.mark.parametrize(("name", "state"), TASKS, ids=[name for name, _ in TASKS])
def test_a_task_has_a_timeout(name, state):
    assert ("TimeoutSeconds" in state) != ("TimeoutSecondsPath" in state)


@pytest.mark.parametrize(("name", "state"), TASKS, ids=[name for name, _ in TASKS])
def test_a_task_retries_what_may_pass_and_none_of_our_own_bugs(name, state):
    service, own = (set(retry["ErrorEquals"]) for retry in state["Retry"])
    assert service >= LAMBDA_IS_TO_BLAME
    assert own == OURS_TO_RETRY
    assert all(retry["JitterStrategy"] == "FULL" for retry in state["Retry"])


def test_the_errors_that_it_names_are_errors_of_the_core():
    named = {
        error
        for _, state in TASKS
        for each in state["Retry"] + state["Catch"]
        for error in each["ErrorEquals"]
        if "." not in error
    }
    assert named <= {name for name, _ in inspect.getmembers(drydock.errors, inspect.isclass)}
    assert named == OURS_TO_RETRY


def test_there_is_one_way_to_fail_and_it_keeps_error_and_cause():
    for name, state, inside in states():
        if state["Type"] in ("Task", "Map"):
            last = state["Catch"][-1]
            assert last["ErrorEquals"] == ["States.ALL"], name
            assert last["Next"] == ("ShardFailed" if inside else "RecordFailure"), name
    fails = [(name, state) for name, state, _ in states() if state["Type"] == "Fail"]
    assert [name for name, _ in fails] == ["Failed"]
    assert fails[0][1]["ErrorPath"] == "$.error"
    assert fails[0][1]["CausePath"] == "$.cause"
    leading = [name for name, state, _ in states() if state.get("Next") == "Failed"]
    assert leading == ["RecordFailure"]


def test_an_item_ends_with_an_outcome_and_never_fails():
    ends = {name: state for name, state, inside in states() if inside and state.get("End")}
    assert set(ends) == {"ShardEnded", "ShardFailed"}
    assert {state["Type"] for state in ends.values()} == {"Pass"}
    assert {"error.$", "cause.$"} <= set(ends["ShardFailed"]["Parameters"])


def test_the_owner_is_never_asked_of_the_context_inside_the_map():
    """There the context names the child execution on AWS, and the parent on the embedded one."""
    [machine] = [state for _, state, _ in states() if state["Type"] == "Map"]
    inside = json.dumps([machine["ItemProcessor"], machine["ItemSelector"]])
    assert "$$.Execution" not in inside
    assert "$$.StateMachine" not in inside
    assert machine["ItemSelector"]["owner.$"] == "$.run.owner"


def test_the_map_is_bounded_tolerant_and_writes_its_outcomes_away():
    [machine] = [state for _, state, _ in states() if state["Type"] == "Map"]
    assert machine["MaxConcurrencyPath"] == "$.run.max_concurrency"
    # The embedded interpreter takes a float alone.
    assert machine["ToleratedFailurePercentage"] == 100.0
    assert isinstance(machine["ToleratedFailurePercentage"], float)
    assert machine["ItemProcessor"]["ProcessorConfig"] == {
        "Mode": "DISTRIBUTED",
        "ExecutionType": "STANDARD",
    }
    # ... and its ResultWriter does not see the state's input.
    assert not [key for key in machine["ResultWriter"]["Parameters"] if key.endswith(".$")]
    assert machine["ResultPath"] is None


def test_only_waiting_for_batch_is_cut_short_to_look_again():
    [(name, state)] = [(n, s) for n, s in TASKS if s["Resource"].endswith(".waitForTaskToken")]
    assert name == "SubmitShard"
    assert state["TimeoutSecondsPath"] == "$.reconcile_seconds"
    assert state["Catch"][0] == {
        "ErrorEquals": ["States.Timeout"],
        "ResultPath": None,
        "Next": "DetectRestarts",
    }


def test_an_undisturbed_shard_costs_at_most_ten_transitions():
    """AWS counts each state that is entered, and one for the start of the item's execution."""
    inside = {name: state for name, state, where in states() if where}
    name, entered = "DetectRestarts", ["DetectRestarts"]
    while not inside[name].get("End"):
        state = inside[name]
        name = state["Default"] if state["Type"] == "Choice" else state["Next"]
        entered.append(name)
    assert "SubmitShard" in entered
    assert 1 + len(entered) <= 10


def test_no_substitution_stands_for_a_number():
    names = set(SUBSTITUTION.findall(json.dumps(definition())))
    assert {name for name in names if not name.endswith(("Arn", "Name"))} == set()
