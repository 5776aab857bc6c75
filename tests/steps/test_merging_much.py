"""MergeResults of large runs: what comes first, how much is fetched at a time and written again."""

import csv
import io
import threading

import pytest

from drydock.errors import NotFound
from drydock.merging import pose_ranges
from tests.steps.merged import merge, settle
from tests.steps.world import DATA


@pytest.fixture
def run_id(world):
    world.inputs(10)
    return world.start()


def table(world, name):
    return list(csv.DictReader(io.StringIO(world.get(DATA, f"out/results/{name}").decode())))


def test_the_accounting_and_the_failures_lie_there_before_the_poses(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard, fail={2: "unreadable"})
    lost = next(key for key in world.keys(DATA, "out/shards/") if "/poses." in key)
    world.remove(DATA, lost)
    with pytest.raises(NotFound):
        merge(world, run_id)
    assert world.json(DATA, "out/results/accounting.json")["done"] == 9
    assert [row["index"] for row in table(world, "failures.csv")] == ["2"]


def test_poses_that_follow_each_other_are_fetched_together():
    rows = [("a", 0, 5), ("a", 5, 7), ("b", 12, 3), ("a", 12, 1), ("a", 14, 1), ("a", 13, 1)]

    found = list(pose_ranges(rows))
    assert found == [("a", 0, 12), ("b", 12, 3), ("a", 12, 1), ("a", 14, 1), ("a", 13, 1)]
    most = 1 << 20
    assert list(pose_ranges([("a", 0, most), ("a", most, 1)])) == [("a", 0, most), ("a", most, 1)]
    assert list(pose_ranges([])) == []


def test_poses_come_in_their_order_however_few_are_fetched_at_a_time(world, run_id, monkeypatch):
    for shard in range(3):
        settle(world, run_id, shard)
    merge(world, run_id)
    whole = world.get(DATA, "out/results/poses.pdbqt.gz")
    monkeypatch.setattr("drydock.merging._AT_A_TIME", 3)
    world.remove(DATA, "out/results/poses.pdbqt.gz")
    merge(world, run_id)
    assert world.get(DATA, "out/results/poses.pdbqt.gz") == whole


def asked(world, monkeypatch, do=lambda _key: None):
    """The keys that are read from now on; ``do`` comes before each."""
    keys, get_stream = [], type(world.store).get_stream

    def seen(store, bucket, key, **how):
        keys.append(key)
        do(key)
        return get_stream(store, bucket, key, **how)

    monkeypatch.setattr(type(world.store), "get_stream", seen)
    return keys


@pytest.mark.parametrize("name", ["failures.csv", "top-00000.tsv"])
def test_the_tables_of_several_shards_are_asked_for_at_a_time(world, run_id, monkeypatch, name):
    for shard in range(3):
        settle(world, run_id, shard, fail=dict.fromkeys((0, 4, 8), "unreadable"))
    all_three = threading.Barrier(3)
    keys = asked(
        world,
        monkeypatch,
        lambda key: key.endswith(f"/{name}") and "/shards/" in key and all_three.wait(10),
    )
    merge(world, run_id)
    assert sum(key.endswith(f"/{name}") and "/shards/" in key for key in keys) == 3
    assert [row["index"] for row in table(world, "failures.csv")] == ["0", "4", "8"]
    assert len(table(world, "top.csv")) == 7


def test_of_shards_without_failed_inputs_no_failures_are_read(world, run_id, monkeypatch):
    for shard in range(3):
        settle(world, run_id, shard, fail={5: "unreadable"})
    keys = asked(world, monkeypatch)
    merge(world, run_id)
    read = [key for key in keys if key.endswith("/failures.csv") and "/shards/" in key]
    assert read == ["out/results/shards/000001/failures.csv"]


def test_a_long_list_is_read_until_it_cannot_matter(world, monkeypatch):
    monkeypatch.setattr("drydock.merging._LIST_CHUNK_BYTES", 50)
    world.inputs(10)
    run_id = world.start(keep_top=2)
    for shard in range(3):
        settle(world, run_id, shard)
    merge(world, run_id)
    assert [row["id"] for row in table(world, "top.csv")] == ["m9", "m8"]


@pytest.mark.parametrize("damage", [b"\xff", b"class\n" + b"x" * 200_000, b"a,b\nc\rd,e,f\n"])
def test_examples_that_cannot_be_had_are_in_nobodys_way(world, run_id, damage):
    for shard in range(3):
        settle(world, run_id, shard, fail={2: "unreadable", 9: "bad_input"})
    key = "out/results/shards/000000/failures.csv"
    world.put(DATA, key, world.get(DATA, key) + damage)
    assert merge(world, run_id)["no_report"] is None
    assert world.json(DATA, "out/results/accounting.json")["failed"] == 2
    assert damage in world.get(DATA, "out/results/failures.csv")


def written(world):
    """The names of the results that are written from now on."""
    names = []
    world.store.before_put = lambda key: names.append(key.removeprefix("out/results/"))
    return names


def test_what_lies_there_with_the_same_bytes_is_not_written_again(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard)
    merge(world, run_id)
    world.executions.running.clear()
    world.start("two")
    names = written(world)
    merge(world, run_id)
    rests_on_them = {"top.csv", "top_inputs.txt", "poses.pdbqt.gz"}
    assert rests_on_them & set(names) == set()
    assert {"run.json", "accounting.json"} < set(names)


def test_results_of_the_same_size_and_other_bytes_are_written(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard)
    merge(world, run_id)
    results = ("top.csv", "poses.pdbqt.gz", "failures.csv")
    known = {name: world.get(DATA, f"out/results/{name}") for name in results}
    for name, body in known.items():
        world.put(DATA, f"out/results/{name}", body[:-1] + b"?")
    merge(world, run_id)
    assert {name: world.get(DATA, f"out/results/{name}") for name in results} == known
