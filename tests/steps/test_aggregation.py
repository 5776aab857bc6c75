"""AggregateShard: from markers to accounts, and what is not whole is not believed."""

import contextlib
import csv
import gzip
import io
import json

import pyarrow.parquet
import pytest

from drydock import aggregation
from drydock.aggregation import aggregate_shard
from drydock.errors import RunSuperseded
from drydock.keys import RunKeys
from drydock.markers import InputSummary, encode_done
from drydock.resubmission import resubmit_interrupted
from drydock.run_document import Stop, put_stop
from tests.steps.stand_ins import Killed
from tests.steps.world import CONTROL, DATA, EXECUTION

WHOLE = {"status": "aggregated", "cursor": None, "inputs": 4, "done": 4, "failed": 0}
WHOLE |= {"skipped": 0, "remaining": 0}


@pytest.fixture
def run_id(world):
    world.inputs(4)
    return world.start()


@pytest.fixture
def job(world, run_id):
    world.submit(run_id)
    (found,) = world.batch.live()
    return found


def finish(world, job, **how):
    world.work(job, **how)
    resubmit_interrupted(world.services, world.ended(job))


def rows(world, run_id, shard=0):
    """All rows of a shard's score tables."""
    found = []
    for key in world.keys(DATA, f"out/results/scores/shard={shard:06d}/"):
        table = pyarrow.parquet.read_table(io.BytesIO(world.get(DATA, key)))
        found += table.to_pylist()
    return found


def failures(world, shard=0):
    text = world.get(DATA, f"out/results/shards/{shard:06d}/failures.csv").decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


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


def accounts_of(world, shard=0):
    return world.json(DATA, f"out/results/shards/{shard:06d}/accounts.json")["accounts"]


def results(world):
    """Everything that a run's shards say, but for the count of what came late."""
    found = {key: world.get(DATA, key) for key in world.keys(DATA, "out/results/")}
    return {key: body for key, body in found.items() if not key.endswith("/accounts.json")}


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


# -- what is not whole


def test_a_cut_marker_is_voided_and_its_input_remains(world, run_id, job):
    finish(world, job)
    key = RunKeys(run_id, "out/").done_marker(0, 1, 1)
    world.put(DATA, key, world.get(DATA, key)[:-3])
    assert world.aggregate(run_id) == {"status": "remains", "cursor": None}
    assert world.detect(run_id)["remains"] == 1
    assert world.shard(run_id).voided == ("00001-00001.done",)
    world.submit(run_id, token="again")
    (again,) = world.batch.live()
    finish(world, again)
    assert world.executions.answers["again"] == [{"ended": "complete"}]
    assert world.aggregate(run_id) == WHOLE
    accounts = world.json(DATA, "out/results/shards/000000/accounts.json")["accounts"]
    assert (accounts["effort"]["rounds"], accounts["voided_markers"]) == (2, 1)


@pytest.mark.parametrize("damage", ["gone", "another size", "another body"])
def test_a_marker_whose_output_is_not_what_it_says_is_voided(world, run_id, job, damage):
    finish(world, job)
    key = RunKeys(run_id, "out/").input_folder(0, 2) + "poses.pdbqt.gz.0"
    body = world.get(DATA, key)
    if damage == "gone":
        world.remove(DATA, key)
    else:
        world.put(DATA, key, body + b"x" if damage == "another size" else bytes(len(body)))
    assert world.aggregate(run_id)["status"] == "remains"
    assert world.detect(run_id) == {"remains": 1, "done": 3, "failed": 0, "skipped": 0}


def test_a_marker_that_names_outputs_elsewhere_is_voided(world, run_id, job):
    finish(world, job)
    key = RunKeys(run_id, "out/").done_marker(0, 1, 1)
    summary = json.loads(world.get(DATA, key).splitlines()[0])
    for output in summary["chain"][0]["outputs"]:
        elsewhere = "elsewhere/" + output["key"]
        world.put(DATA, elsewhere, world.get(DATA, output["key"]))
        output["key"] = elsewhere
    world.put(DATA, key, json.dumps(summary).encode() + b'\n{"end": 1}\n')
    assert world.aggregate(run_id)["status"] == "remains"


@pytest.mark.parametrize(
    "content",
    [
        b'{"place":1}\n{"end": 1}\n',
        (
            b'{"place":1,"index":1,"input_etag":"e","chain":[],"molecules":"many",'
            b'"failed_molecules":0,"seconds":1}\n{"end": 1}\n'
        ),
        b"\xff\xfe\n",
        b"[]\n",
    ],
)
def test_a_marker_of_another_form_is_voided(world, run_id, job, content):
    finish(world, job)
    world.put(DATA, RunKeys(run_id, "out/").done_marker(0, 1, 1), content)
    assert world.aggregate(run_id)["status"] == "remains"
    assert world.detect(run_id)["remains"] == 1


def test_a_whole_marker_below_a_voided_one_speaks_next(world, run_id, job):
    finish(world, job)
    keys = RunKeys(run_id, "out/")
    world.put(DATA, keys.done_marker(0, 0, 1), b"cut")
    assert world.aggregate(run_id)["status"] == "remains"
    assert world.detect(run_id)["remains"] == 0
    assert world.aggregate(run_id) == WHOLE


def test_a_marker_that_another_writes_meanwhile_is_not_removed(world, run_id, job):
    finish(world, job)
    key = RunKeys(run_id, "out/").done_marker(0, 1, 1)
    whole = world.get(DATA, key)
    world.put(DATA, key, b"cut")

    def mend(name):
        if name.endswith("/shards/000000.json"):
            world.put(DATA, key, whole)

    world.store.before_put = mend
    assert world.aggregate(run_id)["status"] == "remains"
    world.store.before_put = None
    assert world.get(DATA, key) == whole
    assert world.aggregate(run_id) == WHOLE


def test_voiding_is_recorded_whenever_it_is_cut_short(world, run_id, job):
    finish(world, job)
    keys = [RunKeys(run_id, "out/").done_marker(0, place, place) for place in (1, 2)]
    for key in keys:
        world.put(DATA, key, b"cut")
    for _ in range(3):
        for at in range(3):
            world.faults.arm(at)
            with contextlib.suppress(Killed):
                world.aggregate(run_id)
    world.faults.arm(None)
    assert world.aggregate(run_id) == {"status": "remains", "cursor": None}
    assert sorted(world.shard(run_id).voided) == ["00001-00001.done", "00002-00002.done"]
    assert world.detect(run_id)["remains"] == 2


def test_work_that_is_never_whole_does_not_go_on_for_ever(world):
    """Somebody rewrites the outputs, whatever is done: that ends as inputs that remain."""
    world.inputs(2)
    run_id = world.start(max_rounds=3)
    for turn in range(20):
        world.submit(run_id, token=f"token-{turn}")
        for job in world.batch.live():
            world.work(job)
            for place in range(2):
                key = RunKeys(run_id, "out/").input_folder(0, place) + "poses.pdbqt.gz.0"
                world.put(DATA, key, b"rewritten")
            resubmit_interrupted(world.services, world.ended(job))
        answer = world.aggregate(run_id)
        if answer["status"] == "aggregated":
            break
    assert (answer["done"], answer["remaining"]) == (0, 2)
    assert len(world.batch.jobs) == 3
    assert world.executions.answers[f"token-{turn}"] == [{"ended": "exhausted"}]


def test_a_duplicate_whose_marker_was_damaged_is_skipped_again_and_not_worked_on(world):
    lines = "".join(f"s3://{DATA}/x/{name}\n" for name in ("a", "b", "a", "a"))
    world.put(DATA, "list.txt", lines.encode())
    run_id = world.start(input=f"s3://{DATA}/list.txt")
    world.submit(run_id)
    (job,) = world.batch.live()
    finish(world, job)
    keys = RunKeys(run_id, "out/")
    world.put(DATA, keys.skipped_marker(0, 2), b"cut")
    world.put(DATA, keys.skipped_marker(0, 1), b"stray")
    assert world.aggregate(run_id)["status"] == "remains"
    assert world.detect(run_id) == {"remains": 0, "done": 2, "failed": 0, "skipped": 2}
    assert world.aggregate(run_id) == WHOLE | {"done": 2, "skipped": 2}


def test_a_duplicate_whose_marker_was_damaged_never_remains_whoever_dies(world):
    world.put(DATA, "list.txt", f"s3://{DATA}/x/a\ns3://{DATA}/x/a\n".encode())
    run_id = world.start(input=f"s3://{DATA}/list.txt")
    world.submit(run_id)
    (job,) = world.batch.live()
    finish(world, job)
    keys = RunKeys(run_id, "out/")
    for at in range(20):
        world.put(DATA, keys.skipped_marker(0, 1), b"cut %d" % at)
        world.faults.arm(at)
        with contextlib.suppress(Killed):
            world.aggregate(run_id)
        assert world.detect(run_id)["remains"] == 0, world.faults.names
        if len(world.faults.names) <= at:
            break
    world.faults.arm(None)
    assert world.aggregate(run_id)["status"] == "aggregated"


@pytest.mark.parametrize("name", ["00001-00001.done", "00000-00003.done", "00002.1.tool.failed"])
def test_an_empty_object_where_a_marker_must_go_is_removed_before_anything_is_submitted(
    world, run_id, name
):
    key = RunKeys(run_id, "out/").markers_folder(0) + name
    world.put(DATA, key, b"")
    world.submit(run_id)
    assert world.executions.answers["token"] == [{"ended": "blocked"}]
    assert world.batch.jobs == {}
    assert world.aggregate(run_id) == {"status": "remains", "cursor": None}
    assert world.shard(run_id).voided == (name,)
    world.submit(run_id, token="again")
    (job,) = world.batch.live()
    finish(world, job)
    assert world.aggregate(run_id) == WHOLE


def test_what_came_in_the_way_of_a_running_round_goes_before_the_next(world, run_id, job):
    keys = RunKeys(run_id, "out/")
    world.work(job, children=[0, 2, 3])
    world.put(DATA, keys.done_marker(0, 1, 1), b"")
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    assert world.executions.answers["token"] == [{"ended": "blocked"}]
    assert world.aggregate(run_id)["status"] == "remains"
    world.submit(run_id, token="again")
    (again,) = world.batch.live()
    assert again.request.jobs == 1
    finish(world, again)
    assert world.aggregate(run_id) == WHOLE


def test_removing_what_is_in_the_way_may_die_anywhere(world):
    world.inputs(4)
    run_id = world.start(max_rounds=100)
    keys = RunKeys(run_id, "out/")
    for at in range(40):
        world.put(DATA, keys.done_marker(0, 1, 1), b"")
        world.faults.arm(at)
        with contextlib.suppress(Killed):
            world.submit(run_id, token=f"token-{at}")
            world.aggregate(run_id)
        if len(world.faults.names) <= at:
            break
    world.faults.arm(None)
    assert 3 < at < 40
    for turn in range(3):
        world.submit(run_id, token=f"again-{turn}")
        if world.batch.live():
            break
        assert world.aggregate(run_id)["status"] == "remains"
    (job,) = world.batch.live()
    finish(world, job)
    assert world.aggregate(run_id) == WHOLE


def test_what_was_in_the_way_and_went_of_itself_blocks_no_longer(world, run_id):
    key = RunKeys(run_id, "out/").done_marker(0, 1, 1)
    world.put(DATA, key, b"")
    world.submit(run_id)
    world.remove(DATA, key)
    assert world.aggregate(run_id)["status"] == "remains"
    world.submit(run_id, token="again")
    (job,) = world.batch.live()
    finish(world, job)
    assert world.aggregate(run_id) == WHOLE


def test_an_empty_marker_of_a_duplicate_is_written_again_and_is_no_work(world):
    lines = "".join(f"s3://{DATA}/x/{name}\n" for name in ("a", "b", "a"))
    world.put(DATA, "list.txt", lines.encode())
    run_id = world.start(input=f"s3://{DATA}/list.txt")
    world.put(DATA, RunKeys(run_id, "out/").skipped_marker(0, 2), b"")
    world.submit(run_id)
    assert world.executions.answers["token"] == [{"ended": "blocked"}]
    assert world.aggregate(run_id)["status"] == "remains"
    assert world.detect(run_id) == {"remains": 2, "done": 0, "failed": 0, "skipped": 1}


def test_strange_objects_among_the_markers_are_counted_and_count_as_nothing(world, run_id, job):
    finish(world, job)
    folder = RunKeys(run_id, "out/").markers_folder(0)
    for name in ("notes.txt", "00001.done", "00009-00009.done", "00002.skipped.bak"):
        world.put(DATA, folder + name)
    world.put(DATA, folder + "00003.skipped", b"")
    assert world.aggregate(run_id) == WHOLE
    accounts = world.json(DATA, "out/results/shards/000000/accounts.json")["accounts"]
    assert accounts["strange_markers"] == 5


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


@pytest.mark.parametrize(
    "row",
    [
        {"id": "nan", "score": float("nan"), "index": 0},
        {"id": "failed", "score": None, "reason": "no atoms", "index": 0},
        {"id": "failed", "reason": "no atoms", "index": 0},
    ],
)
def test_a_row_without_a_score_is_kept_and_not_ranked(world, run_id, job, row):
    finish(world, job)
    keys = RunKeys(run_id, "out/")
    body = gzip.compress(json.dumps(row).encode() + b"\n", mtime=0)
    scores = keys.input_folder(0, 0) + "scores.0.jsonl.gz"
    etag = world.put(DATA, scores, body)
    marker = keys.done_marker(0, 0, 0)
    summary = json.loads(world.get(DATA, marker).splitlines()[0])
    summary["chain"][0]["outputs"][1] |= {"size": len(body), "etag": etag}
    world.put(DATA, marker, json.dumps(summary).encode() + b'\n{"end": 1}\n')
    assert world.aggregate(run_id) == WHOLE
    assert len(rows(world, run_id)) == 4
    top = world.get(DATA, "out/results/shards/000000/top-00000.tsv").decode()
    assert [line.split("\t")[1] for line in top.splitlines()] == ["m3", "m2", "m1"]


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
