"""What the functions ask of AWS for many inputs, at small sizes; make scale counts a million."""

import pytest

from tests.simulation import scale
from tests.simulation.crowd import VCPUS, Crowd


def missed(figures: list[scale.Figure]) -> list[scale.Figure]:
    return [figure for figure in figures if not figure.holds]


def test_a_whole_shard_without_interruption_costs_one_submission_and_two_reads():
    figures = scale.of_one_quiet_shard()
    assert [figure.count for figure in figures] == [1, 2, 10]
    assert not missed(figures)


def test_counts_of_several_shards_hold_while_machines_are_reclaimed():
    crowd = Crowd(
        600, shard_size=300, machines=2, reclaims_an_hour=4, start_failures=0.01, forgets=False
    )
    figures = scale.of_many(crowd, scale.run_of(crowd))
    assert not missed(figures)
    told, batch = crowd.accounting(), crowd.stack.batch
    assert crowd.reclaimed
    assert told["interruptions"]["interrupted"]
    assert told["rounds"] > 2
    # Nothing is unknown of what the containers took.
    assert (told["attempts"], told["at_least"]) == (batch.attempts + failed_to_start(crowd), False)
    assert sorted(crowd.counts.transitions.values()) == [6, 6, 8]


def failed_to_start(crowd: Crowd) -> int:
    attempts = [each for job in crowd.stack.batch.jobs.values() for each in job.attempts]
    return sum("startedAt" not in attempt for attempt in attempts)


@pytest.mark.parametrize("storms", [1, 3])
def test_a_storm_over_all_children_at_once_stays_under_what_batch_takes(storms):
    figures = scale.of_storms(6 * VCPUS, 36, storms=storms, limit=None)
    taken, rounds, busiest, _, refused = figures
    # One input is bad, and its container has ended by then.
    assert (taken.count, refused.count) == (6 * VCPUS - 1, 0)
    # Batch starts children thrice; then each shard needs another round.
    assert rounds.count == (16 if storms == 1 else 32)
    assert busiest.holds


def test_calls_that_batch_refuses_are_made_again_and_nothing_is_lost():
    figures = scale.of_storms(240, 6, storms=1, limit=10)
    *_, busiest, refused = figures
    assert busiest.count <= 20
    assert refused.count > 0


def test_functions_need_less_than_half_of_their_memory_for_a_shard():
    assert not missed(scale.of_memory(500))


def test_packs_of_inputs_are_counted_too():
    crowd = Crowd(1200, 100, shard_size=600, machines=1, reclaims_an_hour=3)
    figures = scale.of_many(crowd, scale.run_of(crowd))
    assert not missed(figures)
    assert crowd.reclaimed
