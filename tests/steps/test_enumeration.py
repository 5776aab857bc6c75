"""EnumerateInputs: a manifest that is the same however it is written."""

import json

import pytest

from drydock.errors import Conflict, RunSuperseded
from drydock.keys import RunKeys
from drydock.markers import parse_skipped
from local.images import digest_of
from tests.steps.enumerating import items, manifest, put_list, uris
from tests.steps.stand_ins import Killed
from tests.steps.world import DATA, ECR, EXECUTION, INTAKE, World


def test_a_prefix_becomes_shards_of_its_inputs_in_key_order(world):
    world.inputs(10)
    answer = world.enumerate(world.request())
    run_id = answer["run_id"]
    assert answer == {
        "status": "ready",
        "run_id": run_id,
        "owner": EXECUTION + "one",
        "epoch": 1,
        "image": f"{ECR}/drydock@{digest_of('the worker')}",
        "bucket": DATA,
        "items": {"phase": "shards", "key": "out/manifest/shards.json", "verdict": None},
        "max_concurrency": 40,
        "reconcile_seconds": 21600,
        "cursor": None,
        "duplicate_of": None,
        "warnings": [],
    }
    assert items(world) == [
        {"shard": 0, "inputs": 4},
        {"shard": 1, "inputs": 4},
        {"shard": 2, "inputs": 2},
    ]
    records = [record for shard in range(3) for record in world.records(run_id, shard)]
    assert [record.index for record in records] == list(range(10))
    assert [record.place for record in records] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert records[9].uri == "s3://drydock-data/input/009.pdbqt"
    assert records[9].etag == world.store.head(DATA, "input/009.pdbqt").etag
    text = world.get(DATA, "out/manifest/000002.txt").decode()
    assert text == "s3://drydock-data/input/008.pdbqt\ns3://drydock-data/input/009.pdbqt\n"


def test_the_source_s_own_listing_has_h27_at_index_2(world):
    for name in ("H27.db2.tgz", "H25.db2.tgz", "H26.db2.tgz"):
        world.put(DATA, f"zinc/{name}")
    for stray in ("zinc/", "zinc/old/H24.db2.tgz", "zinc/old/", "zinc.txt", "zincs/H00.db2.tgz"):
        world.put(DATA, stray)
    for given in (f"s3://{DATA}/zinc/", f"s3://{DATA}/zinc"):
        output = f"s3://{DATA}/out{len(given)}/"
        run_id = world.start(str(len(given)), input=given, output=output)
        assert uris(world, run_id) == ["H25.db2.tgz", "H26.db2.tgz", "H27.db2.tgz"]
        assert world.records(run_id)[2].index == 2


def test_everything_below_is_taken_when_asked_for(world):
    for key in ("input/b", "input/a/1", "input/a/", "input/a/2/x"):
        world.put(DATA, key)
    options = world.request()["options"] | {"recursive": True}
    run_id = world.start(options=options)
    found = [record.uri for record in world.records(run_id)]
    assert found == [f"s3://{DATA}/input/{name}" for name in ("a/1", "a/2/x", "b")]


def test_a_list_becomes_shards_and_what_is_named_twice_is_skipped(world):
    names = ["a", "b", "a", "c", "b", "d", "a"]
    text = "# inputs\r\n\r\n" + "\r\n".join(f"s3://{DATA}/x/{name}" for name in names)
    run_id = world.start(input=put_list(world, text))
    assert uris(world, run_id, 0) == ["a", "b", "a", "c"]
    keys = RunKeys(run_id, "out/")
    skipped = [keys.skipped_marker(0, 2), keys.skipped_marker(1, 0), keys.skipped_marker(1, 2)]
    assert world.keys(DATA, "out/markers/") == skipped
    assert [parse_skipped(world.get(DATA, key)) for key in skipped] == [(2, 0), (4, 1), (6, 0)]
    assert world.detect(run_id, 1) == {"remains": 1, "done": 0, "failed": 0, "skipped": 2}
    assert [r.duplicate_of for r in world.records(run_id, 1)] == [1, None, 0]


def test_a_list_in_the_intake_bucket_is_read_too(world):
    world.put(INTAKE, "mine.txt", f"s3://{DATA}/x/a\n".encode())
    assert uris(world, world.start(input=f"s3://{INTAKE}/mine.txt")) == ["a"]


# -- cut short and gone on with


def test_what_there_is_no_time_for_goes_on_with_a_cursor(world):
    world.inputs(10)
    whole = world.start("whole", output=f"s3://{DATA}/whole/")
    event, cursor, turns = world.request(), None, 0
    while True:
        answer = world.enumerate(event, cursor=cursor, remaining_s=lambda: 59.0)
        turns, cursor = turns + 1, answer["cursor"]
        if cursor is None:
            break
        assert answer["status"] == "more"
        assert len(json.dumps(cursor)) < 200
    assert (turns, answer["status"]) == (4, "ready")
    assert items(world) == items(world, "whole/")
    for shard in range(3):
        assert world.records(answer["run_id"], shard) == world.records(whole, shard)


@pytest.mark.parametrize("source", ["prefix", "list"])
def test_killed_after_any_write_and_started_again_the_manifest_is_the_same(source):
    world = World(SHARD_SIZE="3")
    world.inputs(7)
    text = "".join(f"s3://{DATA}/input/{n:03d}.pdbqt\n" for n in (0, 1, 1, 2, 3, 0, 6))
    given = f"s3://{DATA}/input/" if source == "prefix" else put_list(world, text)
    world.faults.arm(None)
    run_id = world.start("whole", input=given, output=f"s3://{DATA}/whole/")
    count = world.faults.count
    expected = {key.removeprefix("whole/"): body for key, body in manifest(world, "whole/").items()}
    skips = [key.rpartition("/")[2] for key in world.keys(DATA, f"whole/markers/{run_id}/")]
    assert count > 8
    for at in range(count):
        request = world.request(input=given, output=f"s3://{DATA}/o{at}/")
        world.batch.registered.clear()
        world.faults.arm(at)
        with pytest.raises(Killed):
            world.enumerate(request, f"run-{at}")
        world.faults.arm(None)
        answer = world.enumerate(request, f"run-{at}")
        assert answer["status"] == "ready"
        written = manifest(world, f"o{at}/")
        assert {key.removeprefix(f"o{at}/"): body for key, body in written.items()} == expected
        markers = world.keys(DATA, f"o{at}/markers/{answer['run_id']}/")
        assert [key.rpartition("/")[2] for key in markers] == skips
        assert answer["epoch"] == 1


def test_keys_that_appear_behind_the_last_shard_are_not_part_of_the_run(world):
    world.inputs(6)
    answer = world.enumerate(
        world.request(), remaining_s=lambda: 900.0 if len(manifest(world)) < 3 else 0
    )
    assert answer["status"] == "more"
    world.put(DATA, "input/999.pdbqt")
    answer = world.enumerate(world.request(), cursor=answer["cursor"])
    assert items(world) == [{"shard": 0, "inputs": 4}, {"shard": 1, "inputs": 2}]
    assert uris(world, answer["run_id"], 1) == ["004.pdbqt", "005.pdbqt"]


def test_the_stack_s_new_shard_size_does_not_cut_a_manifest_in_two_ways(world):
    world.inputs(10)
    answer = world.enumerate(world.request(), remaining_s=lambda: 0.0)
    object.__setattr__(world.services.settings, "shard_size", 3)
    world.enumerate(world.request(), cursor=answer["cursor"])
    assert [item["inputs"] for item in items(world)] == [4, 4, 2]
    indices = [r.index for shard in range(3) for r in world.records(answer["run_id"], shard)]
    assert indices == list(range(10))


def test_two_enumerations_at_once_write_one_manifest(world):
    world.inputs(10)

    def overtake(key):
        if key.endswith("000001.tasks"):
            world.store.before_put = None
            world.enumerate(world.request())

    world.store.before_put = overtake
    answer = world.enumerate(world.request())
    assert answer["status"] == "ready"
    assert [item["inputs"] for item in items(world)] == [4, 4, 2]


def test_two_enumerations_that_see_different_prefixes_do_not_mix(world):
    world.inputs(10)

    def overtake(key):
        if key.endswith("000001.tasks"):
            world.store.before_put = None
            world.put(DATA, "input/005a.pdbqt")
            world.enumerate(world.request())

    world.store.before_put = overtake
    with pytest.raises(Conflict):
        world.enumerate(world.request())
    answer = world.enumerate(world.request())
    found = [r for shard in range(3) for r in world.records(answer["run_id"], shard)]
    assert [r.index for r in found] == list(range(11))
    assert len({r.uri for r in found}) == 11


def test_a_cursor_is_for_the_owner_alone(world):
    world.inputs(10)
    cursor = world.enumerate(world.request(), remaining_s=lambda: 0.0)["cursor"]
    with pytest.raises(RunSuperseded):
        world.enumerate(world.request(), "other", cursor=cursor)
