"""An input's life, from the manifest, the rounds' task lists, Batch and the markers."""

import pytest

from cli.life import Attempt, life_of
from cli.look import RunNotFound
from cli.tell import told
from drydock.keys import RunKeys
from tests.steps.world import DATA

INTERRUPTED = {
    "status": "RUNNING",
    "startedAt": 1_700_000_100_000,
    "container": {"logStreamName": "worker/default/2"},
    "attempts": [
        {
            "startedAt": 1_700_000_000_000,
            "stoppedAt": 1_700_000_060_000,
            "statusReason": "Host EC2 (instance i-0) terminated.",
            "container": {"logStreamName": "worker/default/1"},
        }
    ],
}


def begun(world, inputs=6, **changes):
    world.inputs(inputs)
    run_id = world.start(**changes)
    world.submit(run_id)
    return run_id, world.batch.live()[0]


def test_an_input_is_found_by_its_number_over_all_shards(world, doors):
    run_id, _ = begun(world)
    found = life_of(doors, run_id, 5)
    assert (found.shard, found.record.place, found.record.index) == (1, 1, 5)
    assert found.record.uri == f"s3://{DATA}/input/005.pdbqt"
    assert found.rounds == ()


@pytest.mark.parametrize("index", [6, 7])
def test_a_number_beyond_the_manifest_is_refused_with_what_there_is(world, doors, index):
    run_id, _ = begun(world)
    with pytest.raises(RunNotFound, match=f"has inputs 0 to 5; {index} was given"):
        life_of(doors, run_id, index)


def test_its_child_is_the_one_that_has_its_pack(world, doors):
    run_id, job = begun(world, inputs_per_job=2)
    world.batch.described[f"{job.job_id}:1"] = INTERRUPTED
    (found,) = life_of(doors, run_id, 3).rounds
    assert found.job_id == f"{job.job_id}:1"
    first, second = found.attempts
    assert (first.started_at, first.stopped_at) == (1_700_000_000.0, 1_700_000_060.0)
    assert first.reason == "Host EC2 (instance i-0) terminated."
    assert second == Attempt(2, "RUNNING", 1_700_000_100.0, log_stream="worker/default/2")


def test_what_batch_has_forgotten_is_said(world, doors):
    run_id, _ = begun(world)
    lines = list(told(life_of(doors, run_id, 0)))
    assert any("knows this job no more" in line for line in lines)
    assert lines[-1] == "remains"


def test_how_it_ended_is_told(world, doors):
    run_id, job = begun(world)
    world.work(job, fail={1: "bad_input"})
    done, failed = (list(told(life_of(doors, run_id, index))) for index in (0, 1))
    assert "done in 2 s of work: parts 0" in done
    assert any(line.startswith("  poses: out/shards/000000/0/poses.pdbqt.gz.0 (") for line in done)
    assert failed[-2] == "failed (bad_input): it cannot be read"


def test_a_repeated_input_names_the_one_it_repeats(world, doors):
    world.inputs(1)
    uri = f"s3://{DATA}/input/000.pdbqt"
    world.put(DATA, "list.txt", f"{uri}\n{uri}\n".encode())
    run_id = world.start(input=f"s3://{DATA}/list.txt")
    assert list(told(life_of(doors, run_id, 1)))[-1] == "skipped: it repeats input 0"


def test_a_marker_that_cannot_be_read_is_a_note(world, doors):
    run_id, job = begun(world)
    world.work(job)
    world.put(DATA, RunKeys(run_id, "out/").done_marker(0, 2, 2), b"{")
    found = life_of(doors, run_id, 2)
    assert found.content is None
    assert "00002-00002.done cannot be read" in list(told(found))[-1]


def test_parts_of_other_inputs_are_not_its_own(world, doors):
    run_id, job = begun(world)
    document, records = world.child(job, 1)
    world.part(document, records[0], 0)
    world.part(document, records[0], 1)
    assert [part.part for part in life_of(doors, run_id, 1).parts] == [0, 1]
    assert life_of(doors, run_id, 0).parts == ()
