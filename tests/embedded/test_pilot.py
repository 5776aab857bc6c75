"""Whole runs with a pilot: the Map is entered twice, or once when the verdict is a stop."""

import json

import pytest

from tests.embedded.run_support import world


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
