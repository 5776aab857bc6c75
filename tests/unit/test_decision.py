"""decide(): each case by itself. What the cases add up to is held by test_decision_machine."""

from dataclasses import replace
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.decision import (
    ABORTED,
    OWNER_NOT_RUNNING,
    STOPPED,
    SUPERSEDED,
    Answer,
    CloseRound,
    EndJob,
    EnterEpoch,
    Facts,
    JobView,
    Leave,
    Limits,
    SubmitRound,
    TakeOverClaim,
    WaitUntil,
    decide,
    is_frozen_for,
    needs_job,
)
from drydock.failures import POLICIES
from drydock.policies import (
    BARREN_ROUNDS_ON_SPOT,
    MAX_DELAY_S,
    RECLAIMED_ROUNDS_ON_SPOT,
)
from drydock.run_document import Epoch, RunDocument, Stop
from drydock.shard_document import Ended, Frozen, Round, ShardDocument

NOW = 1000.0
MEMORY, MAX_MEMORY = 2000, 16_000
ALL = Facts(settled=0, parts=0, remaining=(0, 1, 2))
DONE = Facts(settled=3, parts=0, remaining=())
ENDED = JobView("ended", "Essential container in task exited")


def run(epoch=1, stop=None, reopened=None, max_rounds=8):
    values = {"max_rounds": max_rounds, "resources": {"memory_mib": MEMORY}}
    epochs = tuple(
        Epoch(n + 1, f"owner-{n + 1}", 0.0, values, "image", "definition") for n in range(epoch)
    )
    return RunDocument("r", "b", "p/", {}, epochs, stop=stop, reopened=reopened or {})


def a_round(state="submitted", **changes):
    values = {
        "number": 0,
        "epoch": 1,
        "unique": "u",
        "size": 3,
        "jobs": 3,
        "queue": "spot",
        "state": state,
        "lease_until": 500.0,
        "claimed_at": 320.0,
        "settled_before": 0,
        "parts_before": 0,
        "job_id": None if state == "claimed" else "job",
        "memory_mib": MEMORY,
    }
    return Round(**(values | changes))


def shard(*rounds, **changes):
    return ShardDocument(**({"shard": 0, "inputs": 3, "epoch": 1, "rounds": rounds} | changes))


def ended(number=0, progress=False, **changes):  # noqa: FBT002
    return a_round("ended", number=number, progress=progress, **changes)


def after(*failures, progress=False, **changes):
    """A shard whose rounds ended with these failures each, none of them with progress."""
    rounds = [
        ended(number, progress, failures=dict.fromkeys(classes.split(), 1), **changes)
        for number, classes in enumerate(failures)
    ]
    return shard(*rounds)


OPEN = run()


def ask(document, *, run=OPEN, owner_running=True, job=None, facts=ALL, now=NOW, **limits):
    return decide(
        run,
        document,
        owner_running=owner_running,
        job=job,
        facts=facts,
        now=now,
        limits=Limits(limits.get("delay", 60.0), MAX_MEMORY, limits.get("early", 0.0)),
    )


STOP = Stop(1, "user", "enough")


def test_a_new_shard_is_submitted_whole():
    assert ask(shard()) == SubmitRound(0, (0, 1, 2), "spot", MEMORY)


def test_a_new_shard_whose_inputs_are_all_settled_is_complete():
    assert ask(shard(), facts=DONE) == Answer("complete")
    assert ask(shard(), facts=DONE, owner_running=False) == Answer("complete")
    assert ask(shard(), facts=DONE, run=run(stop=STOP)) == Answer("complete")


def test_nothing_is_submitted_for_an_owner_that_does_not_run():
    assert ask(shard(), owner_running=False) == Leave(OWNER_NOT_RUNNING)
    assert ask(shard(), owner_running=False, run=run(stop=STOP)) == Leave(OWNER_NOT_RUNNING)


def test_nothing_is_submitted_while_something_lies_in_the_way_of_a_marker():
    blocked = replace(ALL, in_the_way=True)
    assert ask(shard(), facts=blocked) == Answer("blocked")
    assert ask(shard(not_before=NOW + 1), facts=blocked) == Answer("blocked")
    assert ask(shard(), facts=blocked, run=run(stop=STOP)) == Answer("stopped")
    assert ask(shard(voidings=9), facts=blocked) == Answer("exhausted")
    assert ask(shard(), facts=blocked, owner_running=False) == Leave(OWNER_NOT_RUNNING)


def test_nothing_is_submitted_once_the_epoch_is_stopped():
    assert ask(shard(), run=run(stop=STOP)) == Answer("stopped")
    assert isinstance(ask(shard(epoch=2), run=run(epoch=2, stop=STOP)), SubmitRound)


# -- epochs


def test_a_document_of_an_earlier_epoch_is_entered_first():
    assert ask(shard(), run=run(epoch=2)) == EnterEpoch()
    assert ask(shard(ended=Ended(1, "stopped")), run=run(epoch=2)) == EnterEpoch()
    assert ask(shard(), run=run(epoch=2), owner_running=False) == Leave(OWNER_NOT_RUNNING)


@pytest.mark.parametrize("ending", ["complete", "stopped", "exhausted"])
def test_an_end_of_this_epoch_is_answered_again(ending):
    assert ask(shard(ended=Ended(1, ending)), facts=None) == Answer(ending)
    assert ask(shard(ended=Ended(1, ending)), facts=None, owner_running=False) == Answer(ending)


def test_a_frozen_shard_is_complete_in_every_epoch_until_its_failures_are_reopened():
    frozen = shard(frozen=Frozen("key", {}), ended=Ended(1, "complete"))
    assert ask(frozen, run=run(epoch=3), facts=None) == Answer("complete")
    thawed = run(epoch=3, reopened={"bad": 3})
    assert not is_frozen_for(frozen, thawed)
    assert ask(frozen, run=thawed) == EnterEpoch()
    again = shard(frozen=Frozen("key", {"bad": 3}))
    assert ask(again, run=thawed, facts=None) == Answer("complete")


# -- claims


def test_a_claim_is_waited_for_until_its_lease_ends():
    claimed = shard(a_round("claimed", lease_until=1200.0))
    assert ask(claimed, facts=None) == WaitUntil(1200.0)
    assert ask(claimed, facts=None, now=1199.9) == WaitUntil(1200.0)
    assert ask(claimed, facts=None, now=1200.0) == TakeOverClaim(claimed.current)


def test_a_claim_of_an_earlier_epoch_is_taken_over_at_once():
    claimed = shard(a_round("claimed", lease_until=1200.0), epoch=2)
    assert ask(claimed, run=run(epoch=2), facts=None) == TakeOverClaim(claimed.current)


# -- jobs


def test_an_active_job_is_left_alone():
    submitted = shard(a_round())
    assert needs_job(submitted)
    assert isinstance(ask(submitted, job=JobView("active"), facts=None), Leave)


def test_an_active_job_of_a_stopped_epoch_is_asked_to_end_once():
    active = {"job": JobView("active"), "facts": None}
    assert ask(shard(a_round()), run=run(stop=STOP), **active) == EndJob("job", now=False)
    asked = shard(a_round(ending="cancelled"))
    assert isinstance(ask(asked, run=run(stop=STOP), **active), Leave)
    in_a_hurry = run(stop=replace(STOP, now=True))
    assert ask(shard(a_round()), run=in_a_hurry, **active) == EndJob("job", now=True)
    assert ask(asked, run=in_a_hurry, **active) == EndJob("job", now=True)
    over = shard(a_round(ending="terminated"))
    assert isinstance(ask(over, run=in_a_hurry, **active), Leave)
    earlier = run(stop=replace(STOP, epoch=STOP.epoch - 1))
    assert isinstance(ask(shard(a_round()), run=earlier, **active), Leave)


def test_a_job_that_batch_does_not_show_yet_is_waited_for():
    fresh = shard(a_round(lease_until=1100.0))
    assert ask(fresh, job=JobView("gone")) == WaitUntil(1100.0)
    assert ask(fresh, job=JobView("gone"), now=1100.0) == CloseRound(False, 60.0, None)
    # One of the owner before, too: closing its round would leave it running for nobody.
    entered = replace(fresh, epoch=2)
    assert ask(entered, run=run(epoch=2), job=JobView("gone")) == WaitUntil(1100.0)


def test_where_batch_is_believed_early_a_job_that_is_gone_is_not_waited_for():
    fresh = shard(a_round(lease_until=1100.0))
    assert ask(fresh, job=JobView("gone"), early=90.0) == WaitUntil(1010.0)
    assert ask(fresh, job=JobView("gone"), early=100.0) == CloseRound(False, 60.0, None)


@pytest.mark.parametrize(
    ("facts", "progress"),
    [
        (Facts(0, 0, (0, 1, 2)), False),
        (Facts(1, 0, (1, 2)), True),
        (Facts(0, 1, (0, 1, 2)), True),
        (Facts(3, 0, ()), True),
    ],
)
def test_progress_is_a_new_marker_or_a_new_part(facts, progress):
    decision = ask(shard(a_round()), job=ENDED, facts=facts)
    assert decision == CloseRound(progress, 0.0 if progress else 60.0, ENDED.reason)


def test_what_was_there_before_the_round_is_no_progress():
    before = shard(a_round(settled_before=2, parts_before=3))
    decision = ask(before, job=ENDED, facts=Facts(2, 3, (2,)))
    assert decision == CloseRound(False, 60.0, ENDED.reason)


@pytest.mark.parametrize("reason", [ABORTED, SUPERSEDED, STOPPED])
def test_a_job_that_we_ended_says_nothing_about_progress(reason):
    job = JobView("ended", reason)
    assert ask(shard(a_round()), job=job) == CloseRound(None, 0.0, reason)
    assert ask(shard(a_round()), job=job, facts=Facts(1, 0, (1,))) == CloseRound(True, 0.0, reason)


def test_a_job_of_an_earlier_epoch_says_nothing_about_progress():
    decision = ask(shard(a_round(), epoch=2), run=run(epoch=2), job=ENDED)
    assert decision == CloseRound(None, 0.0, ENDED.reason)


@pytest.mark.parametrize(
    ("barren", "delay"), [(0, 60.0), (1, 120.0), (2, 240.0), (3, 480.0), (4, 900.0), (99, 900.0)]
)
def test_each_barren_round_delays_the_next_more_up_to_a_quarter_of_an_hour(barren, delay):
    rounds = [ended(number) for number in range(barren)]
    decision = ask(shard(*rounds, a_round()), job=ENDED)
    assert decision.delay_s == delay <= MAX_DELAY_S


# -- the next round


def test_the_next_round_takes_what_remains_after_the_delay():
    waiting = shard(ended(4), not_before=1060.0)
    assert ask(waiting) == WaitUntil(1060.0)
    assert ask(waiting, now=1060.0) == SubmitRound(5, (0, 1, 2), "spot", MEMORY)


def test_a_stop_does_not_wait_for_the_delay():
    waiting = shard(ended(), not_before=1060.0)
    assert ask(waiting, run=run(stop=STOP)) == Answer("stopped")


def test_barren_rounds_exhaust_a_shard():
    assert isinstance(ask(after("", ""), run=run(max_rounds=3)), SubmitRound)
    assert ask(after("", "", ""), run=run(max_rounds=3)) == Answer("exhausted")


def test_a_round_with_progress_and_one_that_was_taken_away_do_not_add_up():
    three = {"run": run(max_rounds=3)}
    assert isinstance(
        ask(shard(ended(0), ended(1, True), ended(2), ended(3)), **three), SubmitRound
    )
    taken = shard(ended(0), ended(1, None), ended(2), ended(3))
    assert ask(taken, **three) == Answer("exhausted")
    earlier = shard(*[ended(number) for number in range(3)], epoch=2)
    assert isinstance(ask(earlier, run=run(epoch=2, max_rounds=3)), SubmitRound)


@pytest.mark.parametrize(
    ("failures", "goes_on"),
    [
        # Two more tries for what is not known, or passes in a few.
        (["unknown"], True),
        (["unknown", "start image_pull"], True),
        (["unknown", "crashed", "scratch_full"], False),
        # Without progress in it a timeout is not repeated.
        (["timeout"], False),
        (["later"], False),
        # The most patient of a round's failures counts, and the most patient of a row.
        (["timeout interrupted"], True),
        (["later unknown"], True),
        (["unknown", "unknown", "interrupted"], True),
        (["interrupted"] * 7, True),
        (["interrupted"] * 8, False),
        (["interrupted", "interrupted", "unknown"], True),
        (["interrupted", "unknown", "unknown", "unknown"], False),
        (["interrupted", "timeout"], False),
        (["killed again derived capacity"] * 7, True),
        # What was withheld has no say.
        (["terminated"], True),
        (["terminated timeout"], False),
        # A class of an earlier version.
        (["no-such-class"] * 2, True),
        (["no-such-class"] * 3, False),
    ],
)
def test_a_class_has_its_own_patience(failures, goes_on):
    decision = ask(after(*failures))
    assert isinstance(decision, SubmitRound) == goes_on
    assert goes_on or decision == Answer("exhausted")


@given(
    st.lists(st.sets(st.sampled_from(sorted(POLICIES)), max_size=3), min_size=1, max_size=12),
    st.integers(1, 6),
)
def test_rounds_without_progress_come_to_an_end_whatever_they_say(said, max_rounds):
    """Beyond max_rounds there are only those that memory was doubled after: three times here."""
    rounds = []
    for number, classes in zip(range(20), cycle(said), strict=False):
        decision = ask(shard(*rounds), run=run(max_rounds=max_rounds))
        if isinstance(decision, Answer):
            break
        failures = dict.fromkeys(classes, 1)
        given_ = {"memory_mib": decision.memory_mib, "queue": decision.queue}
        rounds.append(ended(number, failures=failures, **given_))
    assert decision == Answer("exhausted")
    assert len(rounds) <= max_rounds + 3


def test_no_class_is_more_patient_than_the_request():
    assert ask(after("unknown"), run=run(max_rounds=1)) == Answer("exhausted")


# -- memory


def test_who_ran_out_of_memory_gets_twice_as_much_up_to_the_cap():
    assert ask(after("out_of_memory")).memory_mib == 2 * MEMORY
    assert ask(after("out_of_memory interrupted", progress=True)).memory_mib == 2 * MEMORY
    assert ask(after("out_of_memory", memory_mib=9000)).memory_mib == MAX_MEMORY
    assert ask(after("out_of_memory", memory_mib=0)).memory_mib == 2 * MEMORY


def test_memory_does_not_go_down_within_an_epoch():
    grown = shard(ended(0, failures={"out_of_memory": 1}), ended(1, memory_mib=4000, progress=True))
    assert ask(grown).memory_mib == 4000
    assert ask(replace(grown, epoch=2), run=run(epoch=2)).memory_mib == MEMORY


def test_a_request_above_the_cap_stays_as_it_is():
    wide = run()
    wide.current.request["resources"] = {"memory_mib": 30_000}
    assert ask(shard(), run=wide).memory_mib == 30_000
    assert ask(after("out_of_memory", memory_mib=30_000), run=wide) == Answer("exhausted")
    mixed = after("out_of_memory interrupted", memory_mib=30_000)
    assert ask(mixed, run=wide).memory_mib == 30_000


def test_more_memory_is_tried_as_long_as_there_is_more_and_not_blindly():
    sizes = [2000, 4000, 8000]
    rounds = [
        ended(number, memory_mib=size, failures={"out_of_memory": 1})
        for number, size in enumerate(sizes)
    ]
    assert ask(shard(*rounds), run=run(max_rounds=1)).memory_mib == MAX_MEMORY
    last = ended(3, memory_mib=MAX_MEMORY, failures={"out_of_memory": 1})
    assert ask(shard(*rounds, last)) == Answer("exhausted")
    some = ended(3, True, memory_mib=MAX_MEMORY, failures={"out_of_memory": 1})
    assert ask(shard(*rounds, some)).memory_mib == MAX_MEMORY
    assert ask(after("timeout out_of_memory")).memory_mib == 2 * MEMORY


def test_a_round_that_wanted_memory_alone_is_not_waited_after():
    job = replace(ENDED, has_failed=True, failures={"out_of_memory": 3})
    assert ask(shard(a_round()), job=job).delay_s == 0.0
    assert ask(shard(a_round(memory_mib=MAX_MEMORY)), job=job).delay_s == 60.0
    mixed = replace(job, failures={"out_of_memory": 3, "interrupted": 1})
    assert ask(shard(a_round()), job=mixed).delay_s == 60.0


# -- how it ended


def test_what_the_children_said_is_written_down():
    job = replace(
        ENDED, has_failed=True, failures={"unknown": 2}, texts={"unknown": "?"}, withheld=((1, 1),)
    )
    decision = ask(shard(a_round()), job=job)
    assert decision == CloseRound(
        False, 60.0, ENDED.reason, {"unknown": 2}, {"unknown": "?"}, ((1, 1),)
    )


def test_a_job_that_a_stop_ended_says_nothing_about_progress():
    stopped = run(stop=STOP)
    asked = shard(a_round(ending="cancelled"))
    decision = ask(asked, run=stopped, job=replace(ENDED, reason="Array Child Job failed"))
    assert (decision.progress, decision.delay_s) == (None, 0.0)
    aborted = replace(ENDED, reason="Array Child Job failed", failures={"aborted": 1})
    assert ask(shard(a_round()), job=aborted).progress is None


# -- what a user terminated


def test_what_a_user_terminated_is_withheld_in_this_epoch():
    held = shard(ended(), withheld=((0, 0), (2, 5)))
    assert ask(held) == SubmitRound(1, (1,), "spot", MEMORY)
    assert ask(held, facts=Facts(1, 0, (0, 2))) == Answer("terminated")
    assert ask(held, facts=DONE) == Answer("complete")
    assert ask(held, facts=Facts(1, 0, (0, 2)), run=run(stop=STOP)) == Answer("stopped")
    waiting = replace(held, not_before=NOW + 60.0)
    assert ask(waiting, facts=Facts(1, 0, (0, 2))) == Answer("terminated")


def test_work_that_is_never_whole_exhausts_a_shard():
    assert isinstance(ask(shard(voidings=2), run=run(max_rounds=3)), SubmitRound)
    assert ask(shard(voidings=3), run=run(max_rounds=3)) == Answer("exhausted")


def test_after_repeated_reclaims_on_demand_takes_over():
    enough = ["interrupted"] * RECLAIMED_ROUNDS_ON_SPOT
    assert ask(after(*enough[1:])).queue == "spot"
    assert ask(after(*enough)).queue == "on-demand"
    assert ask(after(*enough, progress=True)).queue == "on-demand"
    assert ask(replace(after(*enough), epoch=2), run=run(epoch=2)).queue == "spot"


def test_a_failure_that_passes_is_a_lost_machine_only_where_work_was_done():
    """The worker that is told of its machine's end says "again"; so it does while S3 is out."""
    again = ["again", "killed"]
    assert ask(after(*again, progress=True)).queue == "on-demand"
    assert ask(after(*again)).queue == "spot"
    assert ask(after(*["again"] * BARREN_ROUNDS_ON_SPOT)).queue == "on-demand"
    assert ask(after(*["unknown out_of_memory"] * 5, progress=True)).queue == "spot"
    assert ask(after("capacity", "capacity")).queue == "on-demand"


def test_what_has_gone_on_demand_stays_there():
    assert ask(shard(ended(0, True, queue="on-demand"), ended(1, True))).queue == "on-demand"


def test_a_decision_that_needs_facts_does_not_do_without():
    with pytest.raises(ValueError, match="facts"):
        ask(shard(), facts=None)
    with pytest.raises(ValueError, match="facts"):
        ask(shard(a_round()), job=ENDED, facts=None)


def test_needing_a_job_is_a_matter_of_the_current_round():
    assert not needs_job(shard())
    assert not needs_job(shard(a_round("claimed")))
    assert not needs_job(shard(a_round("ended")))
    assert not needs_job(replace(shard(a_round()), rounds=(a_round(), a_round("ended"))))
