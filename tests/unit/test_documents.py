"""The control documents: what is read is what was written, and each transition by itself."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.errors import Malformed
from drydock.run_document import (
    Epoch,
    RunDocument,
    Stop,
    identity_of,
    open_epoch,
    parse_run_document,
    put_stop,
)
from drydock.shard_document import (
    Ended,
    Frozen,
    Round,
    ShardDocument,
    ask_to_end,
    claim_round,
    close_round,
    end,
    enter_epoch,
    freeze,
    join_ranges,
    parse_shard_document,
    record_job,
    renew_claim,
    void,
)
from drydock.task_document import (
    PinnedAsset,
    PinnedObject,
    TaskDocument,
    encode_assets,
    parse_assets,
    parse_task_document,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.dictionaries(
    st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=3
)
epochs = st.builds(Epoch, started_at=finite, request=values)
runs = st.builds(
    RunDocument,
    identity=values,
    epochs=st.lists(epochs, min_size=1, max_size=3).map(tuple),
    stop=st.none() | st.builds(Stop),
    reopened=st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
rounds = st.builds(
    Round,
    lease_until=finite,
    claimed_at=finite,
    job_id=st.none() | st.text(max_size=5),
    ended_at=st.none() | finite,
    progress=st.none() | st.booleans(),
    reason=st.none() | st.text(max_size=5),
)
shards = st.builds(
    ShardDocument,
    rounds=st.lists(rounds, max_size=3).map(tuple),
    not_before=st.none() | finite,
    ended=st.none() | st.builds(Ended),
    frozen=st.none() | st.builds(Frozen),
    voided=st.lists(st.text(max_size=5), max_size=2).map(tuple),
)
assets = st.builds(PinnedAsset, objects=st.lists(st.builds(PinnedObject), max_size=2).map(tuple))
named = st.dictionaries(st.text(max_size=5), assets, max_size=2)
tasks = st.builds(TaskDocument, options=values, assets=named, dockfiles=st.none() | assets)


@pytest.mark.parametrize(
    ("documents", "parse"),
    [(runs, parse_run_document), (shards, parse_shard_document), (tasks, parse_task_document)],
    ids=["run", "shard", "round"],
)
@given(data=st.data())
def test_a_document_reads_as_it_was_written_or_is_malformed(documents, parse, data):
    document = data.draw(documents)
    body = document.to_json()
    assert parse(body) == document
    with pytest.raises(Malformed):
        parse(body[: data.draw(st.integers(0, len(body) - 1))])


@given(tasks)
def test_a_worker_leaves_out_what_newer_functions_say_of_a_round(document):
    newer = json.loads(document.to_json()) | {"a_field_of_tomorrow": {"is": "set"}}
    assert parse_task_document(json.dumps(newer).encode()) == document


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"7", b"\xff", b'{"rounds":[{}]}'])
@pytest.mark.parametrize("parse", [parse_run_document, parse_shard_document, parse_task_document])
def test_anything_else_is_malformed(parse, body):
    with pytest.raises(Malformed):
        parse(body)


@given(named, st.none() | assets)
def test_assets_read_as_they_were_pinned(found, dockfiles):
    assert parse_assets(json.loads(encode_assets(found, dockfiles))) == (found, dockfiles)


def test_assets_are_pinned_alike_in_any_order():
    a, b = PinnedAsset("a", ()), PinnedAsset("b", ())
    assert encode_assets({"a": a, "b": b}, None) == encode_assets({"b": b, "a": a}, None)


@pytest.mark.parametrize("fields", [{}, {"assets": {}}, {"assets": {"a": 1}, "dockfiles": None}])
def test_what_pins_no_assets_is_malformed(fields):
    with pytest.raises(Malformed):
        parse_assets(fields)


# -- the run's


def run(*owners):
    found = tuple(
        Epoch(n, owner, 0.0, {}, "image", "definition") for n, owner in enumerate(owners, start=1)
    )
    return RunDocument("r", "b", "p/", {}, found)


def test_the_newest_epoch_owns_the_run():
    document = run("one", "two")
    assert (document.epoch, document.owner) == (2, "two")


def test_the_first_stop_of_an_epoch_is_the_one_that_counts():
    first, second = Stop(1, "user", "enough"), Stop(1, "misconfiguration", "no vina")
    stopped = put_stop(put_stop(run("one"), first), second)
    assert stopped.active_stop == first


def test_a_stop_of_an_earlier_epoch_counts_no_more():
    stopped = put_stop(run("one"), Stop(1, "user", "enough"))
    opened = open_epoch(stopped, Epoch(2, "two", 0.0, {}, "i", "d"), [])
    assert opened.active_stop is None
    assert put_stop(opened, Stop(1, "user", "late")).active_stop is None
    assert put_stop(opened, Stop(2, "user", "now")).active_stop == Stop(2, "user", "now")


def test_an_epoch_opens_the_failures_that_it_names():
    second = open_epoch(run("one"), Epoch(2, "two", 0.0, {}, "i", "d"), ["bad", "worse"])
    third = open_epoch(second, Epoch(3, "three", 0.0, {}, "i", "d"), ["bad"])
    assert third.reopened == {"bad": 3, "worse": 2}
    assert [epoch.owner for epoch in third.epochs] == ["one", "two", "three"]


def test_the_identity_is_what_makes_it_this_run():
    request = {"input": "i", "output": "o", "tool": "t", "options": {}, "name": "n", "keep_top": 1}
    identity = {"input": "i", "output": "o", "tool": "t", "options": {}}
    not_given = {"dockfiles": None, "records_per_input": None}
    assert identity_of(request) == identity | not_given
    assert identity_of(request | {"records_per_input": 7})["records_per_input"] == 7


# -- the shard's


def a_round(number=0, epoch=1):
    return Round(number, epoch, f"u{number}", 3, 3, "spot", "claimed", 180.0, 0.0, 0, 0)


def test_a_round_goes_from_claim_to_job_to_end():
    document = ShardDocument(0, 3, 1, not_before=9.0)
    claimed = claim_round(document, a_round())
    assert (claimed.current.state, claimed.not_before) == ("claimed", None)
    assert renew_claim(claimed, 500.0).current.lease_until == 500.0
    submitted = record_job(claimed, "job")
    assert (submitted.current.state, submitted.current.job_id) == ("submitted", "job")
    closed = close_round(submitted, now=7.0, progress=True, delay_s=0.0, reason="r")
    assert (closed.current.state, closed.current.ended_at, closed.current.reason) == (
        "ended",
        7.0,
        "r",
    )
    assert [each.number for each in claim_round(closed, a_round(1)).rounds] == [0, 1]


@pytest.mark.parametrize(("progress", "barren"), [(True, 0), (False, 3), (None, 2)])
def test_rounds_without_progress_are_counted_in_a_row(progress, barren):
    document = ShardDocument(0, 3, 1)
    for number, before in enumerate([False, True, False, None, False]):
        document = claim_round(document, a_round(number))
        document = close_round(document, now=6.0, progress=before, delay_s=0.0, reason=None)
    document = claim_round(document, a_round(5))
    assert document.barren == 2
    closed = close_round(document, now=7.0, progress=progress, delay_s=60.0, reason=None)
    assert (closed.barren, closed.not_before) == (barren, 67.0)
    assert [each.number for each in closed.barren_rounds][-2:] == ([4, 2] if barren else [])


def test_a_new_epoch_forgets_ends_and_waits_and_keeps_rounds():
    document = claim_round(ShardDocument(0, 3, 1), a_round())
    document = close_round(
        document, now=7.0, progress=False, delay_s=9.0, reason="r", withheld=[(1, 1)]
    )
    assert (document.barren, document.withheld, document.not_before) == (1, ((1, 1),), 16.0)
    document = end(document, "stopped")
    assert document.ended == Ended(1, "stopped")
    entered = enter_epoch(freeze(document, "key", {}), 2)
    assert (entered.epoch, entered.barren, entered.ended, entered.frozen) == (2, 0, None, None)
    assert (entered.withheld, entered.not_before) == ((), None)
    assert entered.rounds == document.rounds


def test_a_round_keeps_how_its_children_failed_and_what_was_asked_of_its_job():
    document = record_job(claim_round(ShardDocument(0, 3, 1), a_round()), "job")
    asked = ask_to_end(document, "cancelled")
    closed = close_round(
        asked,
        now=7.0,
        progress=None,
        delay_s=0.0,
        reason="r",
        failures={"unknown": 2},
        texts={"unknown": "why"},
    )
    read = parse_shard_document(closed.to_json())
    assert read == closed
    assert (read.current.failures, read.current.texts) == ({"unknown": 2}, {"unknown": "why"})
    assert read.current.ending == "cancelled"


def test_withheld_places_are_kept_as_ranges_that_do_not_touch():
    ranges = [(7, 7), (3, 4), (5, 5), (1, 1), (4, 6)]
    assert join_ranges(ranges) == ((1, 1), (3, 7))
    assert join_ranges([]) == ()
    document = claim_round(ShardDocument(0, 9, 1, withheld=((1, 2),)), a_round())
    closed = close_round(
        document, now=7.0, progress=None, delay_s=0.0, reason=None, withheld=[(8, 8), (3, 3)]
    )
    assert closed.withheld == ((1, 3), (8, 8))
    assert parse_shard_document(closed.to_json()) == closed


def test_a_document_of_an_earlier_version_is_read():
    known = record_job(claim_round(ShardDocument(0, 3, 1), a_round()), "job")
    fields = json.loads(known.to_json())
    for name in ("memory_mib", "failures", "texts", "ending"):
        del fields["rounds"][0][name]
    del fields["withheld"]
    assert parse_shard_document(json.dumps(fields | {"barren": 2}).encode()) == known


def test_what_is_frozen_stays_until_failures_are_reopened():
    frozen = freeze(ShardDocument(0, 3, 1), "first", {})
    assert freeze(frozen, "second", {}).frozen == Frozen("first", {})
    assert freeze(frozen, "second", {"bad": 2}).frozen == Frozen("second", {"bad": 2})


def test_voided_markers_are_recorded_once_and_open_the_shard_again():
    document = freeze(end(ShardDocument(0, 3, 1), "complete"), "key", {})
    voided = void(void(document, ("a", "b")), ("b", "c"))
    assert voided.voided == ("a", "b", "c")
    # The second one has found what the first one recorded: no work was done in between.
    assert (voided.ended, voided.frozen, voided.voidings) == (None, None, 1)
    again = void(end(voided, "complete"), ("c",))
    assert (again.voided, again.voidings) == (("a", "b", "c"), 2)
    assert void(end(again, "complete"), ()).voidings == 2
    assert enter_epoch(again, 2).voidings == 0
