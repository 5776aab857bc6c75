"""What a shard took: every attempt is counted once, in whatever order it is told of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.effort import Child, Effort, add_up_efforts, tally, witness
from drydock.job_views import AttemptView
from drydock.parts import PartOutputs
from drydock.shard_document import Round

RECLAIM = "Host EC2 (instance i-0) terminated."
ENDS = {
    "interrupted": (RECLAIM, None, None),
    "again": (None, None, 1),
    "out_of_memory": (None, "OutOfMemoryError: Container killed due to memory usage", 137),
    None: (None, None, 0),
}


def a_round(number=0, jobs=3, **changes):
    values = {
        "number": number,
        "epoch": 1,
        "unique": "u",
        "size": jobs,
        "jobs": jobs,
        "queue": "spot",
        "state": "ended",
        "lease_until": 0.0,
        "claimed_at": 0.0,
        "settled_before": 0,
        "parts_before": 0,
        "job_id": f"job-{number}",
    }
    return Round(**(values | changes))


def attempt(failure_class, seconds=100.0):
    status, container, code = ENDS[failure_class]
    return AttemptView(status, container, code, 1000.0, 1000.0 + seconds)


NOBODY = witness([], [])


# -- cases


def test_a_shard_whose_children_end_well_at_once_took_one_attempt_each():
    assert tally([a_round(jobs=3)], NOBODY, {}) == Effort(1, 3, 0, 3)


def test_a_round_for_which_no_job_was_submitted_took_nothing():
    assert tally([a_round(job_id=None)], NOBODY, {}) == Effort()


def test_attempts_that_batch_made_again_are_counted_by_why_they_ended():
    child = Child((attempt("interrupted"), attempt("again", 50.0), attempt(None, 70.0)))
    found = tally([a_round()], witness([("job-0:1", 3)], []), {"job-0:1": child})
    assert found.attempts == 5
    assert found.interruptions == {"interrupted": 1, "again": 1}
    assert (found.lost_seconds, found.at_least) == (150.0, False)


def test_seconds_of_parts_that_count_are_not_lost():
    parts = [
        PartOutputs(0, (), 30.0, "job-0:1", 1),
        PartOutputs(1, (), 40.0, "job-0:1", 1),
        PartOutputs(2, (), 5.0, "job-0:1", 2),
        PartOutputs(0, (), 90.0, "job-0:2", 1),
        PartOutputs(0, (), 999.0),
    ]
    child = Child((attempt("again"), attempt(None)))
    found = tally([a_round()], witness([("job-0:1", 2)], parts), {"job-0:1": child})
    assert found.lost_seconds == 30.0


def test_more_than_an_attempt_took_cannot_be_kept():
    parts = [PartOutputs(0, (), 500.0, "job-0:1", 1)]
    child = Child((attempt("again"), attempt(None)))
    assert tally([a_round()], witness([], parts), {"job-0:1": child}).lost_seconds == 0.0


def test_a_child_that_failed_is_counted_once_although_its_round_counts_it_too():
    failed = a_round(failures={"interrupted": 1})
    child = Child((attempt("again"), attempt("interrupted")), failed_as="interrupted")
    found = tally([failed], NOBODY, {"job-0:2": child})
    assert found.interruptions == {"again": 1, "interrupted": 1}
    assert (found.attempts, found.at_least) == (4, False)


def test_a_child_that_never_started_was_no_attempt():
    failed = a_round(failures={"aborted": 1})
    found = tally([failed], NOBODY, {"job-0:2": Child((), failed_as="aborted")})
    assert (found.attempts, found.interruptions) == (2, {})


def test_of_what_batch_forgot_the_rounds_alone_tell():
    rounds = [a_round(failures={"interrupted": 2}), a_round(1, 2, queue="on-demand")]
    found = tally(rounds, witness([("job-0:0", 3), ("job-1:0", 1)], []), {})
    assert found.interruptions == {"interrupted": 2}
    assert (found.attempts, found.at_least, found.lost_seconds) == (7, True, None)
    assert found.on_demand_share == 0.4


def test_a_round_that_left_inputs_and_of_which_nothing_is_told_makes_it_at_least():
    gone, last = a_round(), a_round(1, 1)
    found = tally([last, gone], NOBODY, {})
    assert (found.attempts, found.lost_seconds, found.at_least) == (4, None, True)
    assert tally([gone], NOBODY, {}, remains=True).at_least
    assert not tally([gone], NOBODY, {}).at_least
    settled, left = (a_round(1, 1, epoch=2, settled_before=count) for count in (3, 2))
    assert not tally([gone, settled], NOBODY, {}).at_least
    assert tally([gone, left], NOBODY, {}).at_least
    # The next epoch opened failures again: the round before had left nothing.
    assert not tally([gone, left], NOBODY, {}, reopened=[2]).at_least


def test_a_plain_job_is_its_own_child():
    plain = a_round(jobs=1, failures={"again": 1})
    found = tally([plain], NOBODY, {"job-0": Child((attempt("again", 9.0),), failed_as="again")})
    assert (found.attempts, found.interruptions, found.lost_seconds) == (1, {"again": 1}, 9.0)


def test_an_attempt_that_never_began_lost_nothing():
    view = AttemptView("Task failed to start", "CannotPullContainerError: 503", None, None, 5.0)
    found = tally([a_round()], NOBODY, {"job-0:0": Child((view, attempt(None)))})
    assert (found.interruptions, found.lost_seconds) == ({"image_pull": 1}, 0.0)


def test_jobs_of_other_shards_are_not_counted():
    found = tally(
        [a_round()], witness([("other:1", 3)], []), {"other:1": Child((attempt("again"),))}
    )
    assert found == Effort(1, 3, 0, 3)


def test_a_pack_has_as_many_attempts_as_the_highest_that_settled_one_of_its_inputs():
    settled_by = [("job-0:1", 1), ("job-0:1", 3), ("job-0:1", 2), (None, None), ("job-0:2", None)]
    found = tally([a_round()], witness(settled_by, []), {})
    assert (found.attempts, found.at_least) == (5, True)


# -- in whatever order

ends = st.sampled_from(list(ENDS))
children = st.lists(st.builds(attempt, ends, st.integers(0, 100).map(float)), max_size=4).map(tuple)


@st.composite
def shards(draw):
    """Rounds whose failed children are counted, and what Batch still knows of any child."""
    rounds, told, highest = [], {}, []
    for number in range(draw(st.integers(0, 3))):
        jobs = draw(st.integers(2, 4))
        failures = {}
        for index in range(jobs):
            attempts = draw(children)
            last = attempts[-1] if attempts else attempt("again")
            status = (last.status_reason, last.container_reason, last.exit_code)
            failed_as = next(name for name, end in ENDS.items() if end == status)
            if failed_as is not None:
                failures[failed_as] = failures.get(failed_as, 0) + 1
            highest.append((f"job-{number}:{index}", len(attempts)))
            if draw(st.booleans()):
                told[f"job-{number}:{index}"] = Child(attempts, failed_as)
        queue = draw(st.sampled_from(["spot", "on-demand"]))
        rounds.append(a_round(number, jobs, failures=failures, queue=queue))
    return rounds, told, highest


@given(shards(), st.randoms(use_true_random=False))
def test_the_order_in_which_it_is_told_does_not_matter(shard, shuffle):
    rounds, told, highest = shard
    found = tally(rounds, witness(highest, []), told)
    again, retold, rehighest = list(rounds), list(told.items()), list(highest)
    for each in (again, retold, rehighest):
        shuffle.shuffle(each)
    assert tally(again, witness(rehighest, []), dict(retold)) == found


@given(shards())
def test_what_batch_knows_whole_is_counted_whole(shard):
    rounds, _, highest = shard
    told = {
        f"{each.job_id}:{index}": Child((attempt("again"), attempt(None)))
        for each in rounds
        for index in range(each.jobs)
    }
    each_epoch = [
        a_round(r.number, r.jobs, epoch=r.number + 1, settled_before=9 * r.number) for r in rounds
    ]
    found = tally(each_epoch, witness(highest, []), told)
    assert found.attempts == 2 * found.jobs == 2 * sum(r.jobs for r in rounds)
    assert found.interrupted == found.jobs
    assert not found.at_least


@given(shards())
def test_each_failed_child_is_counted_at_least_once(shard):
    rounds, told, highest = shard
    found = tally(rounds, witness(highest, []), told)
    for name in ENDS:
        ended_so = sum(each.failures.get(name, 0) for each in rounds)
        never_started = sum(
            1 for child in told.values() if child.failed_as == name and not child.attempts
        )
        assert found.interruptions.get(name, 0) >= ended_so - never_started
    assert found.attempts <= sum(max(1, count) for _, count in highest)
    unknown = any(each.failures for each in rounds) and not told
    assert found.at_least or not unknown


efforts = st.builds(
    Effort,
    rounds=st.integers(0, 9),
    jobs=st.integers(0, 99),
    on_demand_jobs=st.integers(0, 9),
    attempts=st.integers(0, 99),
    interruptions=st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)),
    lost_seconds=st.integers(0, 999).map(float),
) | st.builds(
    Effort, interruptions=st.just({"a": 1}), lost_seconds=st.none(), at_least=st.just(True)
)


@given(st.lists(efforts, max_size=6), st.integers(0, 6))
def test_efforts_add_up_in_whatever_groups(found, cut):
    whole = add_up_efforts(found)
    halves = (add_up_efforts(found[:cut]), add_up_efforts(found[cut:]))
    assert add_up_efforts(halves) == add_up_efforts(found[::-1]) == whole
    assert whole.attempts == sum(each.attempts for each in found)
    assert whole.interrupted == sum(each.interrupted for each in found)
    assert whole.at_least == any(each.at_least for each in found)


@pytest.mark.parametrize(("jobs", "on_demand", "share"), [(0, 0, 0.0), (4, 1, 0.25), (3, 3, 1.0)])
def test_the_share_of_on_demand_is_of_the_jobs(jobs, on_demand, share):
    assert Effort(jobs=jobs, on_demand_jobs=on_demand).on_demand_share == share
