"""AggregateShard: from markers to accounts, which are frozen."""

import pytest

from drydock import aggregation
from drydock.aggregation import aggregate_shard
from drydock.errors import RunSuperseded
from drydock.keys import RunKeys
from drydock.markers import InputSummary, encode_done
from drydock.resubmission import resubmit_interrupted
from drydock.run_document import Stop, put_stop
from tests.steps.aggregating import WHOLE, accounts_of, failures, finish, results, rows
from tests.steps.world import CONTROL, DATA, EXECUTION


def test_a_settled_shard_has_accounts_tables_and_a_frozen_outcome(world, run_id, job):
    finish(world, job, fail={2: "unreadable"})
    answer = world.aggregate(run_id)
    assert answer == WHOLE | {"done": 3, "failed": 1}
    assert [row["id"] for row in rows(world, run_id)] == ["m0", "m1", "m3"]
    (failed,) = failures(world)
    assert (failed["index"], failed["class"]) == ("2", "unreadable")
    assert failed["input"] == "s3://drydock-data/input/002.pdbqt"
    frozen = world.shard(run_id).frozen
    assert len(world.get(CONTROL, frozen.key).splitlines()) == 4


def test_the_turn_that_writes_the_accounts_tells_what_the_shard_took(world, run_id, job):
    finish(world, job)
    owner = world.owner(run_id)
    took = aggregate_shard(world.services, run_id, 0, owner, None)["took"]
    accounts = world.json(DATA, "out/results/shards/000000/accounts.json")["accounts"]
    vcpu_hours = accounts["seconds"] / 3600
    assert (took["rounds"], took["attempts"], took["interruptions"]) == (1, 4, {})
    assert took["usd"] == round(vcpu_hours * world.services.settings.vcpu_hour_usd, 4)
    assert vcpu_hours > 0
    assert "took" not in aggregate_shard(world.services, run_id, 0, owner, None)


def test_the_seconds_of_failed_inputs_are_told_and_cost_money(world, run_id, job):
    for child in range(4):
        document, (record, *_) = world.child(job, child)
        world.fail(document, record, "bad_input", seconds=900.0)
    finish(world, job, children=[])
    took = aggregate_shard(world.services, run_id, 0, world.owner(run_id), None)["took"]
    assert accounts_of(world)["seconds"] == 3600.0
    assert took["usd"] == round(world.services.settings.vcpu_hour_usd, 4) > 0


def test_a_later_aggregation_tells_what_is_new(world, run_id, job):
    world.work(job, children=[0, 1])
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    first = aggregate_shard(world.services, run_id, 0, world.owner(run_id), None)["took"]
    assert (first["done"], first["remaining"], first["rounds"]) == (2, 2, 1)
    world.executions.running.clear()
    world.start("two")
    world.submit(run_id, token="again")
    (again,) = world.batch.live()
    finish(world, again)
    second = aggregate_shard(world.services, run_id, 0, world.owner(run_id), None)["took"]
    assert (second["done"], second["remaining"], second["rounds"]) == (2, -2, 1)
    total = accounts_of(world)
    assert first["attempts"] + second["attempts"] == total["effort"]["attempts"]
    usd = total["seconds"] / 3600 * world.services.settings.vcpu_hour_usd
    assert first["usd"] + second["usd"] == pytest.approx(usd, abs=1e-4)


def test_aggregating_again_changes_nothing(world, run_id, job):
    finish(world, job)
    world.aggregate(run_id)
    before = {key: world.store.head(DATA, key).etag for key in world.keys(DATA)}
    assert world.aggregate(run_id) == WHOLE
    assert {key: world.store.head(DATA, key).etag for key in world.keys(DATA)} == before


def test_what_is_written_after_the_freeze_is_late(world, run_id, job):
    finish(world, job, fail={2: "unreadable"})
    world.aggregate(run_id)
    document, records = world.child(job, 2)
    world.settle(document, records[0])
    assert world.aggregate(run_id) == WHOLE | {"done": 3, "failed": 1}


@pytest.mark.parametrize(
    ("reason", "exit_code", "log_stream"),
    [
        ("it cannot be read", None, None),
        ('line 1: "C,N,O"\nline 2;\ttab, \r\nü', 139, "drydock/default/0a1b2c"),
        ("", 0, ""),
        ("=HYPERLINK(1)", -9, "drydock/default/,"),
    ],
)
def test_a_failed_inputs_row_says_all_that_its_marker_says(
    world, run_id, job, reason, exit_code, log_stream
):
    document, records = world.child(job, 2)
    world.fail(
        document,
        records[0],
        "input_changed",
        reason=reason,
        exit_code=exit_code,
        log_stream=log_stream,
    )
    finish(world, job, children=[0, 1, 3])
    world.aggregate(run_id)
    (row,) = failures(world)
    assert row == {
        "index": "2",
        "input": "s3://drydock-data/input/002.pdbqt",
        "class": "input_changed",
        "reason": reason,
        "exit_code": "" if exit_code is None else str(exit_code),
        "epoch": "1",
        "log_stream": log_stream or "",
    }


def test_failed_inputs_have_a_row_each_in_their_order_and_no_others_have_any(world, run_id, job):
    finish(world, job, fail={3: "bad_input", 1: "tool_failed"})
    world.aggregate(run_id)
    assert [(row["index"], row["class"]) for row in failures(world)] == [
        ("1", "tool_failed"),
        ("3", "bad_input"),
    ]


LATE = {
    "a stale container is done after its replacement failed": (
        {2: "unreadable"},
        lambda world, document, records: world.settle(document, records[2]),
        1,
    ),
    "a stale container failed after its replacement was done": (
        None,
        lambda world, document, records: world.fail(document, records[1], "bad_input"),
        0,
    ),
    "another failure with an earlier name": (
        {2: "unreadable"},
        lambda world, document, records: world.fail(document, records[2], "bad_input"),
        1,
    ),
    "a range that begins earlier": (
        None,
        lambda world, document, records: world.put(
            DATA, RunKeys(document.run_id, "out/").done_marker(0, 0, 3), b"whatever"
        ),
        1,
    ),
}


@pytest.mark.parametrize("what", LATE)
def test_late_markers_are_counted_and_change_nothing(world, run_id, job, what):
    fail, write, count = LATE[what]
    document, _ = world.child(job, 0)
    records = [world.child(job, child)[1][0] for child in range(4)]
    finish(world, job, fail=fail)
    first = world.aggregate(run_id)
    before, accounts = results(world), accounts_of(world)
    assert accounts["late_markers"] == 0
    write(world, document, records)
    assert world.aggregate(run_id) == first
    assert (results(world), accounts_of(world)) == (before, accounts | {"late_markers": count})
    world.executions.running.clear()
    world.start("two")
    world.submit(run_id, token="two")
    assert world.executions.answers["two"] == [{"ended": "complete"}]
    assert world.aggregate(run_id) == first
    assert (results(world), accounts_of(world)) == (before, accounts | {"late_markers": count})


def test_late_markers_speak_once_the_outcome_is_thawed(world, run_id, job):
    """One late done, one late failure of another class: the rule picks anew among all markers."""
    document, _ = world.child(job, 0)
    records = [world.child(job, child)[1][0] for child in range(4)]
    finish(world, job, fail={1: "unreadable", 2: "unreadable"})
    world.aggregate(run_id)
    world.settle(document, records[2])
    world.fail(document, records[1], "tool_failed")
    world.executions.running.clear()
    world.start("two", retry_failed=["unreadable"])
    world.submit(run_id, token="two")
    assert world.executions.answers["two"] == [{"ended": "complete"}]
    assert world.aggregate(run_id) == WHOLE | {"done": 3, "failed": 1}
    assert accounts_of(world)["late_markers"] == 0
    assert failures(world)[0]["class"] == "tool_failed"


def test_a_marker_between_the_freeze_and_the_last_turn_is_late(world, run_id, job, monkeypatch):
    monkeypatch.setattr(aggregation, "ROWS_PER_TURN", 1)
    document, records = world.child(job, 2)
    finish(world, job, fail={2: "unreadable"})
    owner, cursor = world.owner(run_id), None
    answer = aggregate_shard(world.services, run_id, 0, owner, cursor)
    world.settle(document, records[0])
    while answer["status"] == "more":
        answer = aggregate_shard(world.services, run_id, 0, owner, answer["cursor"])
    assert answer == WHOLE | {"done": 3, "failed": 1, "took": answer["took"]}
    assert accounts_of(world)["late_markers"] == 1
    assert len(rows(world, run_id)) == 3


# -- ends that leave something


def test_a_stopped_shard_is_collated_with_what_remains(world, run_id, job):
    world.work(job, children=[0, 3])
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    assert world.aggregate(run_id) == WHOLE | {"done": 2, "remaining": 2}
    assert world.shard(run_id).frozen is None
    assert len(rows(world, run_id)) == 2


def test_a_shard_that_has_not_given_up_is_not_aggregated(world, run_id, job):
    world.work(job, children=[0])
    assert world.aggregate(run_id) == {"status": "remains", "cursor": None}


def test_a_stop_of_an_earlier_epoch_is_no_end_of_this_one(world, run_id, job):
    world.work(job, children=[0])
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    world.executions.running.clear()
    world.start("two")
    assert world.aggregate(run_id) == {"status": "remains", "cursor": None}


def test_the_superseded_may_not_aggregate(world, run_id, job):
    with pytest.raises(RunSuperseded):
        aggregate_shard(world.services, run_id, 0, EXECUTION + "other", None)


# -- failures opened again


def test_failures_opened_again_thaw_what_was_frozen(world, run_id, job):
    finish(world, job, fail={1: "unreadable", 2: "tool_failed"})
    world.aggregate(run_id)
    world.executions.running.clear()
    world.start("two", retry_failed=["unreadable"])
    assert world.detect(run_id) == {"remains": 1, "done": 2, "failed": 1, "skipped": 0}
    world.submit(run_id, token="again")
    (again,) = world.batch.live()
    assert again.request.jobs == 1
    finish(world, again)
    assert world.aggregate(run_id) == WHOLE | {"done": 3, "failed": 1}


def test_what_is_opened_again_is_pinned_anew(world, run_id, job):
    finish(world, job, fail={1: "input_changed", 2: "input_gone", 3: "tool_failed"})
    old = world.records(run_id)
    mended = world.put(DATA, "input/001.pdbqt", b"mended")
    world.remove(DATA, "input/002.pdbqt")
    other = world.put(DATA, "input/003.pdbqt", b"changed too")
    world.executions.running.clear()
    world.start("two", retry_failed=["input_changed", "input_gone"])
    world.submit(run_id, token="again")
    (again,) = world.batch.live()
    first, second = (world.child(again, child)[1][0] for child in range(2))
    assert (first.etag, first.size) == (mended, 6)
    assert second == old[2]
    assert other != old[3].etag


def test_what_is_opened_again_may_have_been_settled_meanwhile(world, run_id, job):
    """Nothing remains, so nobody submits: the old outcome must not be taken for the new one."""
    finish(world, job, fail={1: "unreadable"})
    world.aggregate(run_id)
    old = world.shard(run_id).frozen.key
    document, records = world.child(job, 1)
    world.settle(document, records[0])
    world.executions.running.clear()
    world.start("two", retry_failed=["unreadable"])
    assert world.detect(run_id)["remains"] == 0
    assert world.aggregate(run_id) == WHOLE
    assert world.shard(run_id).frozen.key != old
    assert world.aggregate(run_id) == WHOLE


def test_a_failure_of_this_epoch_is_not_opened_again(world, run_id, job):
    finish(world, job, fail={1: "unreadable"})
    world.executions.running.clear()
    world.start("two", retry_failed=["unreadable"])
    world.submit(run_id, token="again")
    (again,) = world.batch.live()
    finish(world, again, fail={1: "unreadable"})
    assert world.aggregate(run_id) == WHOLE | {"done": 3, "failed": 1}
    assert failures(world)[0]["epoch"] == "2"


# -- turns


def test_a_large_shard_takes_turns_that_leave_the_same_tables(world, run_id, job, monkeypatch):
    monkeypatch.setattr(aggregation, "ROWS_PER_TURN", 2)
    finish(world, job, fail={1: "unreadable"})
    first = aggregate_shard(world.services, run_id, 0, world.owner(run_id), None)
    assert first["status"] == "more"
    again = aggregate_shard(world.services, run_id, 0, world.owner(run_id), first["cursor"])
    assert again == WHOLE | {"done": 3, "failed": 1, "took": again["took"]}
    assert [row["id"] for row in rows(world, run_id)] == ["m0", "m2", "m3"]
    assert world.keys(DATA, "out/results/scores/") == [
        "out/results/scores/shard=000000/00000.parquet",
        "out/results/scores/shard=000000/00001.parquet",
    ]


def test_a_turn_ends_where_its_packed_rows_are_many(world, run_id, job, monkeypatch):
    monkeypatch.setattr(aggregation, "BYTES_PER_TURN", 1)
    finish(world, job, fail={1: "unreadable"})
    world.aggregate(run_id)
    assert [row["id"] for row in rows(world, run_id)] == ["m0", "m2", "m3"]
    assert len(world.keys(DATA, "out/results/scores/")) == 3


def test_tables_of_a_longer_aggregation_are_removed(world, run_id, job, monkeypatch):
    monkeypatch.setattr(aggregation, "ROWS_PER_TURN", 1)
    world.work(job, children=[0, 1, 2])
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    world.aggregate(run_id)
    assert len(world.keys(DATA, "out/results/scores/")) == 3
    monkeypatch.setattr(aggregation, "ROWS_PER_TURN", 100)
    world.aggregate(run_id)
    assert len(world.keys(DATA, "out/results/scores/")) == 1
    assert len(world.keys(DATA, "out/results/shards/000000/top-")) == 1


def test_a_table_without_rows_replaces_one_with_rows(world, run_id, job):
    world.work(job, children=[0])
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    world.aggregate(run_id)
    key = RunKeys(run_id, "out/").done_marker(0, 0, 0)
    world.put(DATA, key, b"cut")
    assert world.aggregate(run_id)["status"] == "remains"
    world.submit(run_id, token="again")
    assert world.aggregate(run_id)["remaining"] == 4
    assert rows(world, run_id) == []


def test_accounts_that_somebody_damaged_are_made_again(world, run_id, job):
    finish(world, job)
    world.aggregate(run_id)
    key = "out/results/shards/000000/accounts.json"
    whole = world.get(DATA, key)
    for damage in (b"", b"[]", b"{}", whole.replace(b'"done": 4', b'"done": 5'), b"\xff"):
        world.put(DATA, key, damage)
        assert world.aggregate(run_id) == WHOLE
        assert world.get(DATA, key) == whole


def test_lists_that_were_cut_shorter_are_made_again_for_a_longer_ranking(world):
    world.inputs(4)
    run_id = world.start(keep_top=1)
    world.submit(run_id)
    (job,) = world.batch.live()
    finish(world, job)
    world.aggregate(run_id)
    top = "out/results/shards/000000/top-00000.tsv"
    assert len(world.get(DATA, top).splitlines()) == 1
    world.executions.running.clear()
    world.start("two", keep_top=3)
    world.aggregate(run_id)
    assert len(world.get(DATA, top).splitlines()) == 3


def test_a_marker_may_speak_for_a_range(world, run_id, job):
    summaries = [
        InputSummary(place, place, "e", (), molecules=0, failed_molecules=0, seconds=1.0)
        for place in range(4)
    ]
    world.put(DATA, RunKeys(run_id, "out/").done_marker(0, 0, 3), encode_done(summaries))
    resubmit_interrupted(world.services, world.ended(job))
    assert world.aggregate(run_id) == WHOLE
