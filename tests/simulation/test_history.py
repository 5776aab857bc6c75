"""A range of histories, and every seed that once found something."""

import pytest

from tests.simulation import invariants
from tests.simulation.__main__ import known_seeds
from tests.simulation.containers import simulated
from tests.simulation.history import History, history_of
from tests.simulation.plan import plan_of
from tests.simulation.shrink import shrink
from tests.simulation.story import tell

_AT_ONCE = 10
_SEEDS = 150


@pytest.fixture(autouse=True, scope="module")
def _virtual_worker():
    with simulated():
        yield


@pytest.mark.parametrize("first", range(0, _SEEDS, _AT_ONCE))
def test_every_history_holds(first):
    for seed in range(first, first + _AT_ONCE):
        _must_hold(seed)


@pytest.mark.parametrize("seed", known_seeds())
def test_what_once_was_found_holds(seed):
    _must_hold(seed)


def _must_hold(seed):
    if history_of(seed).run() is not None:
        pytest.fail(tell(*shrink(seed, most=60)), pytrace=False)


def test_a_seed_replays_exactly():
    first, second = history_of(7), history_of(7)
    assert first.run() is second.run() is None
    assert first.kernel.story == second.kernel.story
    assert first.chooser.injected


def test_a_calm_history_is_quick_and_quiet():
    seed = next(seed for seed in range(100) if _is_plain(plan_of(seed)))
    history = history_of(seed, is_calm=True)
    assert history.run() is None
    assert not history.chooser.injected
    assert [each.status for each in history.executions()] == ["SUCCEEDED"]


def _is_plain(plan):
    return not plan.actions and all(each.behaviour == "works" for each in plan.inputs)


def test_a_fault_can_be_left_out_and_the_others_stay():
    history = history_of(7)
    history.run()
    left_out = next(iter(history.chooser.injected))
    again = history_of(7, frozenset([left_out]))
    again.run()
    assert left_out not in again.chooser.injected


def test_what_does_not_hold_is_found_and_made_small(monkeypatch):
    def nobody_is_done(history: History) -> None:
        """Nobody is ever done."""
        if any(job.status == "SUCCEEDED" for job in history.stack.batch.jobs.values()):
            raise invariants.Violated(nobody_is_done, "somebody is")

    monkeypatch.setattr(invariants, "payloads_are_small", nobody_is_done)
    history, violated = shrink(7)
    assert violated.rule == "nobody_is_done"
    assert not history.chooser.injected
    assert len(history.plan.inputs) == 1
    told = tell(history, violated)
    assert told.endswith("Nobody is ever done.\nSeen: somebody is")
    assert "SUCCEEDED" in told
