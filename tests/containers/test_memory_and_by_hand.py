"""Too little memory, and images that people start themselves."""

import json

from drydock.failures import EXIT_OUT_OF_MEMORY, classify
from tests.containers.jobs import asset
from tests.worker.programs.conftest import ProgramShard
from tests.worker.support import DATA, EXAMPLE, ligand

HUNGRY = b"""#!/usr/bin/env python3
kept = [bytearray(50_000_000) for _ in range(40)]
"""
BOX = b"""center_x = 12.8
center_y = 95.1
center_z = 58.6
size_x = 8
size_y = 8
size_z = 8
exhaustiveness = 1
max_evals = 500
"""


def test_a_tool_that_needs_more_memory_is_left_to_a_round_with_more(worker_image, store, start):
    shard = ProgramShard(
        store,
        [("in/a.txt", b"1")],
        tool="script",
        options={},
        more_assets={"script": asset(store, "jobs/hungry.py", HUNGRY)},
        receptor=b"x",
    )
    container = start(worker_image, environment=shard.environment("/scratch"), memory="200m")
    assert container.wait() == EXIT_OUT_OF_MEMORY, container.logs()
    assert shard.markers() == []


def test_a_worker_that_is_killed_for_memory_is_what_ecs_calls_so(worker_image, start):
    container = start(worker_image, environment={"TOOL": "script"}, memory="6m")
    code = container.wait()
    assert (code, container.killed_for_memory) == (137, True)
    reason = "OutOfMemoryError: Container killed due to memory usage"
    verdict = classify("Essential container in task exited", reason, code)
    assert (verdict.failure_class, verdict.policy) == ("out_of_memory", "more_memory")


def by_hand(store, **more):
    store.put(DATA, "dockfiles/receptor.pdbqt", (EXAMPLE / "receptor.pdbqt").read_bytes())
    store.put(DATA, "dockfiles/box.txt", BOX)
    for name in ("aspirin", "caffeine"):
        store.put(DATA, f"input/{name}.pdbqt", ligand(name))
    return {
        "S3_INPUT_LOCATION": f"s3://{DATA}/input",
        "S3_OUTPUT_LOCATION": f"s3://{DATA}/output",
        "S3_DOCKFILES_LOCATION": f"s3://{DATA}/dockfiles",
        **more,
    }


def keys(store):
    return [found.key for found in store.list(DATA, "output/")]


def test_the_image_works_by_hand_over_a_directory(worker_image, store, start):
    environment = by_hand(store, AWS_BATCH_JOB_ARRAY_INDEX="1")
    container = start(worker_image, environment=environment)
    assert container.wait() == 0, container.logs()
    assert keys(store) == [
        "output/1/poses.pdbqt.gz.0",
        "output/1/scores.jsonl.gz.0",
        "output/markers/by-hand/000000/00001-00001.done",
    ]


def test_the_image_works_by_hand_over_a_list(worker_image, store, start):
    environment = by_hand(store, S3_INPUT_LOCATION=f"s3://{DATA}/list.txt")
    store.put(DATA, "list.txt", f"s3://{DATA}/input/caffeine.pdbqt\n".encode())
    container = start(worker_image, environment=environment)
    assert container.wait() == 0, container.logs()
    assert f"s3://{DATA}/input/caffeine.pdbqt" in json.dumps(container.events())


def test_a_blank_line_of_a_list_is_said_and_writes_nothing(worker_image, store, start):
    location = f"s3://{DATA}/list.txt"
    environment = by_hand(store, S3_INPUT_LOCATION=location, AWS_BATCH_JOB_ARRAY_INDEX="1")
    store.put(DATA, "list.txt", f"s3://{DATA}/input/caffeine.pdbqt\n\n".encode())
    container = start(worker_image, environment=environment)
    assert container.wait() == 78
    assert container.logs()[1].startswith("drydock: ")
    assert keys(store) == []
