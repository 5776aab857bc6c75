"""Whole runs with a pilot or a budget, that go on or are stopped by it."""

import json

import pytest

from tests.embedded.run_support import until, world

CHECK = "drydock-stop-run-function-check-budgets"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with world(tmp_path_factory.mktemp("aws")) as made:
        made.put_ligands("pilot", a=("aspirin",), b=("caffeine",), c=("paracetamol",))
        yield made


def test_a_pilot_stops_a_run_that_costs_too_much_and_a_raised_cap_lets_it_go_on(stack):
    dear = stack.do("pilot", pilot=1, stop_after_usd=1e-9)
    assert dear.described["error"] == "RunStopped", dear.described
    assert "stop_after_usd, which is 1e-09" in dear.described["cause"]
    assert dear.counts() == (1, 0, 0, 2)
    assert [child.shard for child in dear.children] == [0]
    kept = json.loads(stack.get("pilot/out/results/pilot.json"))
    assert (kept["epoch"], kept["done"]) == (1, 1)
    assert kept["stop"] in dear.described["cause"]

    raised = stack.do("pilot", pilot=1, stop_after_usd=1000)
    assert raised.status == "SUCCEEDED", raised.described
    assert raised.counts() == (3, 0, 0, 0)
    assert {child.shard for child in raised.children} == {1}
    told = json.loads(raised.described["output"])
    assert (told["status"], told["accounting"]["done"]) == ("done", 3)
    assert (told["pilot"]["done"], told["pilot"]["stop"]) == (1, None)


def test_a_run_without_a_pilot_says_so(stack):
    stack.put_ligands("none", a=("aspirin",))
    outcome = stack.do("none")
    assert json.loads(outcome.described["output"])["pilot"] is None


def test_a_spent_budget_stops_a_run_and_what_runs_finishes_its_input(stack):
    long = ("aspirin", "caffeine", "ibuprofen", "paracetamol") * 10
    stack.put_ligands("budget", a=long, b=long, c=long, d=long)
    request = stack.request(
        "budget", stop_after_usd=1e-9, checkpoint_seconds=1, options={"max_evals": 40_000}
    )
    execution = stack.upload("budget.json", request)
    # A worker that has not begun its input when the stop comes does not begin it.
    stack.child(execution, lambda _: stack.part_records(execution) != [])

    def has_stopped():
        stack.aws.bus.fire(CHECK)
        return execution.run().active_stop

    stop = until(has_stopped, "the stop", 0.5)
    assert (stop.reason, stop.now) == ("budget", False)
    outcome = stack.finish(execution)
    assert outcome.described["error"] == "RunStopped", outcome.described
    assert stop.text in outcome.described["cause"]
    done, *others, remaining = outcome.counts()
    assert (others, done + remaining) == ([0, 0], 4)
    assert 0 < done < 4
    assert {child.round for child in outcome.children} == {0}
