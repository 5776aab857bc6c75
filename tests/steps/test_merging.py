"""MergeResults: every input accounted for, the best molecules of all shards, how the run ended."""

import csv
import gzip
import io
import json
from dataclasses import replace

import pytest

from drydock.errors import RunSuperseded
from drydock.job_views import AttemptView, FailedChild
from drydock.merging import merge_results, poses_name
from drydock.resubmission import resubmit_interrupted
from drydock.run_document import Stop, put_stop
from tests.steps.merged import merge, settle
from tests.steps.world import DATA, EXECUTION, POSES


@pytest.fixture
def run_id(world):
    world.inputs(10)
    return world.start()


def counts(answer):
    names = ("inputs", "done", "failed", "skipped", "remaining")
    return tuple(answer["accounting"][name] for name in names)


def table(world, name):
    return list(csv.DictReader(io.StringIO(world.get(DATA, f"out/results/{name}").decode())))


def test_a_run_whose_every_input_is_settled_is_done(world, run_id):
    settle(world, run_id, 0, fail={2: "unreadable"})
    settle(world, run_id, 1)
    settle(world, run_id, 2)
    answer = merge(world, run_id)
    assert (answer["status"], answer["error"], answer["cause"]) == ("done", None, None)
    assert answer["results"] == "s3://drydock-data/out/results/"
    assert counts(answer) == (10, 9, 1, 0, 0)
    best = table(world, "top.csv")
    assert [row["id"] for row in best] == [f"m{n}" for n in (9, 8, 7, 6, 5, 4, 3, 1, 0)]
    assert [row["rank"] for row in best] == [str(n) for n in range(1, 10)]
    assert gzip.decompress(world.get(DATA, "out/results/poses.pdbqt.gz")) == 9 * gzip.decompress(
        POSES
    )
    assert [row["index"] for row in table(world, "failures.csv")] == ["2"]
    accounting = world.json(DATA, "out/results/accounting.json")
    assert (accounting["status"], accounting["failures"]) == ("done", {"unreadable": 1})
    assert world.json(DATA, "out/results/run.json")["epochs"][0]["owner"] == EXECUTION + "one"
    assert world.told()[-1][0] == "drydock: a-run done"


def test_the_accounting_and_the_execution_say_what_each_shard_took(world, run_id):
    world.submit(run_id, 0, token="token-0")
    (job,) = world.batch.live()
    world.work(job, children=[0, 1])
    job.failed = [FailedChild(index, "Host EC2 (instance i-0) terminated.") for index in (2, 3)]
    taken = AttemptView("Host EC2 (instance i-0) terminated.", None, None, 1000.0, 1060.0)
    job.attempts = {f"{job.job_id}:{index}": [taken] for index in (2, 3)}
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    (again,) = world.batch.live()
    world.work(again)
    resubmit_interrupted(world.services, world.ended(again))
    with_failures(world, run_id, {"interrupted": 2})
    world.aggregate(run_id, 0)
    settle(world, run_id, 1)
    answer = merge(world, run_id)
    took = {
        "rounds": 3,
        "jobs": 10,
        "attempts": 10,
        "interruptions": {"interrupted": 2},
        "lost_seconds": 120.0,
        "on_demand_share": 0.0,
        "at_least": False,
    }
    assert {name: answer["accounting"][name] for name in took} == took
    worst = answer["accounting"]["worst_shards"]
    assert [each["shard"] for each in worst] == [2, 0]
    assert worst[1] == {
        "shard": 0,
        "remaining": 0,
        "failed": 0,
        "rounds": 2,
        "attempts": 6,
        "interruptions": {"interrupted": 2},
        "lost_seconds": 120.0,
        "on_demand_share": 0.0,
    }
    accounting = world.json(DATA, "out/results/accounting.json")
    assert {name: accounting[name] for name in took} == took
    shards = accounting["shards"]
    assert [(each["shard"], each["rounds"], each["remaining"]) for each in shards] == [
        (0, 2, 0),
        (1, 1, 0),
        (2, 0, 2),
    ]
    assert shards[0]["interruptions"] == {"interrupted": 2}


def with_failures(world, run_id, failures):
    """The first shard's first round as it is when some of its children failed."""
    known = world.documents.shard(world.run(run_id), 0, 4)
    first, *rest = known.value.rounds
    changed = replace(known.value, rounds=(replace(first, failures=failures), *rest))
    world.documents.replace_shard(run_id, known, changed)


def test_a_shard_whose_item_died_tells_of_its_rounds(world, run_id):
    settle(world, run_id, 0)
    world.submit(run_id, 1, token="token-1")
    (job,) = world.batch.live()
    world.ended(job, "FAILED")
    accounting = merge(world, run_id)["accounting"]
    assert (accounting["rounds"], accounting["jobs"], accounting["remaining"]) == (2, 8, 6)


def listed(world):
    """The lines of the list that the next run takes."""
    return world.get(DATA, "out/results/top_inputs.txt").decode().split("\n")


def uris(world):
    return [line for line in listed(world) if line and not line.startswith("#")]


def test_the_inputs_of_the_best_are_a_list_for_the_next_run(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard)
    merge(world, run_id)
    assert uris(world) == [row["input"] for row in table(world, "top.csv")]
    assert listed(world)[0] == (
        "# The inputs that the best molecules of a-run come from: of the best molecule first, each "
        "once."
    )
    world.executions.running.clear()
    refined = {"name": "refined", "output": f"s3://{DATA}/refined/", "keep_top": 3}
    taken = world.start("next", input=f"s3://{DATA}/out/results/top_inputs.txt", **refined)
    records = [record for shard in range(3) for record in world.records(taken, shard)]
    assert [record.uri for record in records] == uris(world)


def test_only_inputs_of_molecules_that_are_kept_are_listed_and_each_once(world):
    world.inputs(4)
    run_id = world.start(keep_top=2)
    world.submit(run_id, token="t")
    (job,) = world.batch.live()
    for child, score in enumerate((-1.0, -9.0, -2.0, -8.0)):
        document, records = world.child(job, child)
        world.settle(document, records[0], score=score)
    resubmit_interrupted(world.services, world.ended(job))
    world.aggregate(run_id)
    merge(world, run_id)
    assert uris(world) == [f"s3://{DATA}/input/001.pdbqt", f"s3://{DATA}/input/003.pdbqt"]


def test_of_files_that_were_cut_the_list_names_each_once_and_whole(world):
    for name in "ab":
        world.put(DATA, f"input/{name}.smi", b"CC n0\nCC n1\nCC n2\n")
    run_id = world.start(records_per_input=1)
    for shard in (0, 1):
        settle(world, run_id, shard)
    merge(world, run_id)
    assert len(table(world, "top.csv")) == 6
    assert uris(world) == [f"s3://{DATA}/input/b.smi", f"s3://{DATA}/input/a.smi"]
    assert any("slices" in line for line in listed(world))


def test_the_list_of_inputs_is_the_same_bytes_when_a_run_is_started_again(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard)
    merge(world, run_id)
    first = world.get(DATA, "out/results/top_inputs.txt")
    world.executions.running.clear()
    world.start("two")
    merge(world, run_id)
    assert world.get(DATA, "out/results/top_inputs.txt") == first


def poses(world):
    """The names of the files of poses."""
    found = world.store.list(DATA, "out/results/poses")
    return [listed.key.removeprefix("out/results/") for listed in found]


def test_poses_have_the_name_of_their_tools_format(world, run_id):
    world.put(DATA, "out/results/poses.pdbqt.gz", b"of another epoch")
    world.poses = "test.mol2.gz"
    settle(world, run_id, 0)
    merge(world, run_id)
    assert poses(world) == ["poses.mol2.gz", "poses.pdbqt.gz"]
    assert gzip.decompress(world.get(DATA, "out/results/poses.pdbqt.gz")) == b""
    whole = gzip.decompress(world.get(DATA, "out/results/poses.mol2.gz"))
    assert whole == len(table(world, "top.csv")) * gzip.decompress(POSES)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("out/shards/000000/7/poses.pdbqt.gz.12", "poses.pdbqt.gz"),
        ("out/shards/000000/7/test.mol2.gz.0", "poses.mol2.gz"),
        ("out/shards/000000/7/3/docked.sdf", "poses.sdf"),
    ],
)
def test_the_format_is_that_of_the_outputs_name(key, name):
    assert poses_name(key) == name


def test_a_shard_whose_item_died_remains_whole(world, run_id):
    settle(world, run_id, 0)
    settle(world, run_id, 2)
    answer = merge(world, run_id)
    assert (answer["status"], answer["error"]) == ("incomplete", "RunIncomplete")
    assert counts(answer) == (10, 6, 0, 0, 4)
    assert "4 of 10 inputs remain" in answer["cause"]
    assert len(table(world, "top.csv")) == 6


def test_a_stopped_run_ends_by_that_name_and_with_its_reason(world, run_id):
    settle(world, run_id, 0)
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    answer = merge(world, run_id)
    assert (answer["status"], answer["error"]) == ("stopped", "RunStopped")
    assert answer["cause"] == "user: enough (6 of 10 inputs remain)"


def test_a_misconfigured_run_ends_by_that_name(world, run_id):
    stop = Stop(1, "misconfiguration", "vina is missing in the image")
    world.documents.change_run(run_id, lambda run: put_stop(run, stop))
    answer = merge(world, run_id)
    assert answer["error"] == "RunMisconfigured"
    assert answer["cause"].startswith("vina is missing in the image")


def test_a_stop_that_came_too_late_takes_nothing_away(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard)
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    assert merge(world, run_id)["status"] == "done"


def test_a_rerun_finds_frozen_accounts_and_submits_nothing(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard)
    first = merge(world, run_id)
    world.executions.running.clear()
    world.batch.jobs.clear()
    assert world.start("two") == run_id
    for shard in range(3):
        assert world.detect(run_id, shard)["remains"] == 0
        world.aggregate(run_id, shard)
    assert merge(world, run_id) == first
    assert world.batch.jobs == {}


def test_an_earlier_epochs_accounts_count_only_as_long_as_they_are_frozen(world, run_id):
    for shard in (0, 1):
        settle(world, run_id, shard, fail={1: "unreadable"} if shard == 0 else None)
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    world.submit(run_id, 2, token="token-2")
    world.aggregate(run_id, 2)
    assert counts(merge(world, run_id)) == (10, 7, 1, 0, 2)
    world.executions.running.clear()
    world.start("two")
    assert counts(merge(world, run_id)) == (10, 7, 1, 0, 2)
    world.executions.running.clear()
    world.start("three", retry_failed=["unreadable"])
    assert counts(merge(world, run_id)) == (10, 0, 0, 0, 10)


@pytest.mark.parametrize("damage", [b"{}", b"[]", b"no JSON", b'{"epoch": 1, "accounts": {}}'])
def test_damaged_accounts_count_as_none(world, run_id, damage):
    for shard in range(3):
        settle(world, run_id, shard)
    world.put(DATA, "out/results/shards/000001/accounts.json", damage)
    assert counts(merge(world, run_id)) == (10, 6, 0, 0, 4)


def test_accounts_of_another_shard_count_as_none(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard)
    other = world.get(DATA, "out/results/shards/000002/accounts.json")
    world.put(DATA, "out/results/shards/000001/accounts.json", other)
    assert counts(merge(world, run_id)) == (10, 6, 0, 0, 4)


def test_accounts_of_another_run_count_as_none(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard)
    world.executions.running.clear()
    for key in world.keys(DATA, "out/"):
        if not key.startswith("out/results/"):
            world.remove(DATA, key)
    again = world.start("two")
    assert again != run_id
    assert counts(merge(world, again)) == (10, 0, 0, 0, 10)


def test_the_best_of_equal_molecules_is_kept_once_over_all_shards(world, run_id):
    for shard in range(3):
        world.submit(run_id, shard, token=f"token-{shard}")
        (job,) = world.batch.live()
        for child in range(job.request.jobs):
            document, records = world.child(job, child)
            world.settle(document, records[0], score=-7.0 if records[0].index == 5 else -6.0)
        resubmit_interrupted(world.services, world.ended(job))
        world.aggregate(run_id, shard)
    merge(world, run_id)
    best = [(row["id"], row["score"]) for row in table(world, "top.csv")]
    assert best[0] == ("m5", "-7.0")
    assert best[1:] == [(f"m{n}", "-6.0") for n in (0, 1, 2, 3, 4, 6, 7, 8, 9)]


def test_ids_with_odd_characters_pass_through(world, run_id, monkeypatch):
    names = ["tab\there", "new\nline", "sep\u2028arator", "form\x0cfeed", 'quote"d, comma']
    world.submit(run_id, 2, token="t")
    (job,) = world.batch.live()
    document, records = world.child(job, 0)
    compress = gzip.compress

    def odd(body, **how):
        row = json.loads(body)
        lines = [json.dumps(row | {"id": name, "score": -1.0 - n}) for n, name in enumerate(names)]
        return compress("\n".join(lines).encode(), **how)

    with monkeypatch.context() as patch:
        patch.setattr("tests.steps.world.gzip.compress", odd)
        world.settle(document, records[0])
    world.work(job, children=[1])
    resubmit_interrupted(world.services, world.ended(job))
    world.aggregate(run_id, 2)
    merge(world, run_id)
    ids = [row["id"] for row in table(world, "top.csv")]
    assert ids[1:] == ['quote"d, comma', "form\x0cfeed", "sep\u2028arator", "new line", "tab here"]


def test_a_run_with_nothing_to_show_has_its_files_all_the_same(world, run_id):
    assert counts(merge(world, run_id)) == (10, 0, 0, 0, 10)
    assert table(world, "top.csv") == []
    assert table(world, "failures.csv") == []
    assert poses(world) == []
    assert uris(world) == []


def test_the_superseded_may_not_merge(world, run_id):
    with pytest.raises(RunSuperseded):
        merge_results(world.services, run_id, EXECUTION + "other")


# -- why inputs remain


def test_a_shard_without_results_says_so(world, run_id):
    settle(world, run_id, 0)
    merge(world, run_id)
    shards = world.json(DATA, "out/results/accounting.json")["shards"]
    assert [shard.get("ending") for shard in shards] == [None, "unaggregated", "unaggregated"]
    assert "AggregateShard" in shards[1]["texts"]["unaggregated"]
    assert "may be settled" in shards[1]["texts"]["unaggregated"]


def test_a_shard_that_a_stop_kept_from_beginning_ended_by_it(world, run_id):
    settle(world, run_id, 0)
    world.submit(run_id, 1, token="token-1")
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "pilot", "too dear")))
    merge(world, run_id)
    shards = world.json(DATA, "out/results/accounting.json")["shards"]
    assert [shard.get("ending") for shard in shards] == [None, "unaggregated", "stopped"]
    assert "texts" not in shards[2]
