"""When shards were worked on: told as lanes of few shards, and as a crowd of many."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.errors import Malformed
from drydock.shard_document import Round
from drydock.timeline import MOST_LANES, Activity, Span, Timeline, history_of, parse_history


def a_round(number=0, began=1000.0, ended=1600.0, **changes):
    values = {
        "number": number,
        "epoch": 1,
        "unique": "u",
        "size": 4,
        "jobs": 4,
        "queue": "spot",
        "state": "ended",
        "lease_until": 0.0,
        "claimed_at": began,
        "settled_before": 0,
        "parts_before": 0,
        "job_id": f"job-{number}",
        "ended_at": ended,
    }
    return Round(**(values | changes))


def a_span(began, ended, epoch=1):
    return Span(epoch, 0, "spot", 1, began, ended, {})


def test_a_shards_rounds_and_interruptions_come_back_from_json():
    told = history_of(
        [a_round(failures={"interrupted": 2}), a_round(1, 1700.0, None)],
        [("interrupted", 1200.5), ("again", 1300.0), ("interrupted", 1201.0)],
    )
    assert parse_history(json.loads(json.dumps(told.as_json()))) == told
    assert [(each.number, each.ended_at) for each in told.rounds] == [(0, 1600.0), (1, None)]
    assert {name: found.count for name, found in told.interruptions.items()} == {
        "again": 1,
        "interrupted": 2,
    }


def test_a_round_for_which_no_job_was_submitted_is_none():
    assert history_of([a_round(job_id=None)]).rounds == ()


def test_of_very_many_rounds_the_newest_are_kept():
    told = history_of([a_round(number) for number in range(1000)])
    assert len(told.rounds) < 100
    assert told.rounds[-1].number == 999


@pytest.mark.parametrize("fields", [None, {}, {"rounds": [{}], "interruptions": {}}])
def test_what_is_no_history_is_refused(fields):
    with pytest.raises(Malformed):
        parse_history(fields)


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 5000)), max_size=40))
def test_as_many_rounds_are_at_work_as_have_begun_and_not_ended(rounds):
    activity = Activity()
    for began, seconds in rounds:
        activity.add(a_span(float(began), float(began + seconds)))
    told = activity.at_work()
    width = max(activity.began.width, activity.ended.width)
    for at, going_on in told:
        # As closely as bins tell: those that went on through all of it, and none that did not.
        least = sum(began < at and began + took >= at + width for began, took in rounds)
        most = sum(began < at + width and began + took >= at - width for began, took in rounds)
        assert least <= going_on <= most
    assert not told or told[-1][1] == 0


def test_a_round_that_has_not_ended_goes_on():
    activity = Activity()
    activity.add(a_span(1000.0, None))
    assert (activity.open, activity.at_work()) == (1, [(1000.0, 1)])


def test_few_shards_are_lanes_and_many_a_crowd_of_bounded_size():
    few, many = Timeline(MOST_LANES), Timeline(100_000)
    history = history_of([a_round()], [("interrupted", 1100.0)])
    for timeline, shards in ((few, MOST_LANES), (many, 3000)):
        for shard in range(shards):
            timeline.enter(shard, history)
    assert len(few.as_json()["lanes"]) == MOST_LANES
    assert many.as_json()["lanes"] == []
    assert len(json.dumps(many.as_json())) < 2000
    assert many.interruptions["interrupted"].count == 3000
    assert many.ended_at == 1600.0


def test_epochs_are_told_apart():
    timeline = Timeline(1)
    timeline.enter(0, history_of([a_round(), a_round(1, 9000.0, 9100.0, epoch=3)]))
    told = timeline.as_json()["epochs"]
    assert [(each["epoch"], each["from"], each["to"]) for each in told] == [
        (1, 1000.0, 1600.0),
        (3, 9000.0, 9100.0),
    ]
