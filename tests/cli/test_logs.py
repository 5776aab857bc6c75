"""What the containers of an input wrote, from CloudWatch Logs."""

import time

import boto3
import pytest

from cli.log_group import LogGroup, Reading
from cli.logs import LogView, Told, Wish
from tests.cli.conftest import STACK
from tests.steps.world import DATA

GROUP = STACK.worker_log_group
MS = 1000


@pytest.fixture
def logs(world):
    """CloudWatch Logs with the worker's group; what writes to a stream of it."""
    client = boto3.client("logs", region_name="us-east-1")
    client.create_log_group(logGroupName=GROUP)
    began = int(time.time() * MS)

    def write(stream, *lines):
        where = {"logGroupName": GROUP, "logStreamName": stream}
        found = client.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=stream)
        if not found["logStreams"]:
            client.create_log_stream(**where)
        events = [{"timestamp": began, "message": line} for line in lines]
        client.put_log_events(**where, logEvents=events)

    write.began = began
    return write


class Screen(list):
    """What is printed, notes with a `#`."""

    def told(self):
        return Told(self.append, lambda text: self.append(f"# {text}"))

    @property
    def lines(self):
        return [line for line in self if not line.startswith("# ")]

    @property
    def notes(self):
        return [line for line in self if line.startswith("# ")]


def view(doors, run_id, index, **wish):
    screen = Screen()
    group = LogGroup(GROUP, boto3.client("logs", region_name="us-east-1"))
    return LogView(doors, group, run_id, index, Wish(**wish), screen.told()), screen


def shown(doors, run_id, index, **wish):
    logs, screen = view(doors, run_id, index, **wish)
    return logs.show(), screen


def attempt(stream, reason="Host EC2 (instance i-0) terminated."):
    container = {"logStreamName": stream} if stream else {}
    return {
        "startedAt": 1_700_000_000_000,
        "stoppedAt": 1_700_000_060_000,
        "statusReason": reason,
        "container": container,
    }


def job(status, *streams, **values):
    """A job as DescribeJobs has it, with an ended attempt for each stream."""
    return {"status": status, "attempts": [attempt(each) for each in streams], **values}


@pytest.fixture
def begun(world):
    """A run whose first shard was submitted, and that job."""
    world.inputs(6)
    run_id = world.start()
    world.submit(run_id)
    return run_id, world.batch.live()[0].job_id


def test_all_attempts_come_in_order_each_under_a_line_of_its_own(world, doors, logs, begun):
    run_id, job_id = begun
    world.batch.described[f"{job_id}:1"] = job("FAILED", "worker/1", "worker/2")
    logs("worker/1", "one", "two")
    logs("worker/2", "three")
    found, screen = shown(doors, run_id, 1)
    assert found
    assert screen.lines == ["one", "two", "three"]
    first, second = screen.notes
    assert first.startswith("# ==> round 0, attempt 1: 2023-11-14 22:13:20 UTC, 1 min 0 s: Host")
    assert first.endswith("no exit code; worker/1 <==")
    assert screen.index(second) == 3


def test_one_attempt_its_last_lines_and_their_times(world, doors, logs, begun):
    run_id, job_id = begun
    world.batch.described[f"{job_id}:1"] = job("FAILED", "worker/1", "worker/2")
    logs("worker/1", "one")
    logs("worker/2", "two", "three", "four")
    _, screen = shown(doors, run_id, 1, round=0, attempt=2, tail=2)
    assert screen.lines == ["three", "four"]
    _, screen = shown(doors, run_id, 1, attempt=1, timestamps=True)
    stamp, _, text = screen.lines[0].partition(" ")
    assert (len(stamp), stamp[-1], text) == (24, "Z", "one")
    assert not shown(doors, run_id, 1, round=1)[0]
    assert not shown(doors, run_id, 1, attempt=3)[0]


@pytest.mark.parametrize("tail", [None, 12_001, 10_001])
def test_more_lines_than_one_answer_has_are_read_on(logs, tail):
    numbers = [str(number) for number in range(12_003)]
    logs("long", *numbers[:9000])
    logs("long", *numbers[9000:])
    group = LogGroup(GROUP, boto3.client("logs", region_name="us-east-1"))
    reading = Reading("long", "")
    found = group.forward(reading) if tail is None else group.tail(reading, tail)
    assert [line.text for line in found] == numbers[-(tail or 0) :]
    logs("long", "more")
    assert [line.text for line in group.forward(reading)] == ["more"]


def test_what_batch_has_forgotten_is_said_with_what_finds_it(doors, logs, begun):
    run_id, job_id = begun
    found, screen = shown(doors, run_id, 1)
    assert not found
    (note,) = screen.notes
    assert f"its job {job_id}:1 no more" in note
    assert f"--log-group-name {GROUP} --start-time 1700000000000" in note
    assert f"""--filter-pattern '"{job_id}:1"'""" in note


def test_what_has_no_log_yet_says_where_it_is(world, doors, logs, begun):
    run_id, job_id = begun
    world.batch.described[f"{job_id}:0"] = job("RUNNABLE")
    world.batch.described[f"{job_id}:1"] = job(
        "RUNNING", container={"logStreamName": "worker/new"}, startedAt=1_700_000_000_000
    )
    world.batch.described[f"{job_id}:2"] = job("FAILED", None)
    notes = [shown(doors, run_id, index)[1].notes for index in (0, 1, 2, 5)]
    assert notes[0] == ["# round 0, attempt 1 has no log stream: RUNNABLE"]
    assert notes[1][0].startswith("# the log stream worker/new is not in /lab/worker: nothing was")
    assert notes[2][0].startswith("# round 0, attempt 1 has no log stream: 2023-11-14 22:13:20")
    assert notes[3] == ["# input 5 is in no round yet: no container has worked on it"]


def test_a_failures_own_stream_is_found_without_batch(world, doors, logs, begun):
    run_id, _ = begun
    world.work(world.batch.live()[0], fail={1: "bad_input"})
    marker = next(key for key in world.keys(DATA) if key.endswith(".failed"))
    body = world.get(DATA, marker)
    world.put(DATA, marker, body.replace(b'"log_stream":null', b'"log_stream":"worker/1"'))
    logs("worker/1", "it cannot be read")
    found, screen = shown(doors, run_id, 1)
    assert (found, screen.lines) == (True, ["it cannot be read"])
    assert screen.notes[-1] == "# ==> the attempt that found bad_input; worker/1 <=="


def test_following_goes_on_through_attempts_until_the_input_is_settled(world, doors, logs, begun):
    run_id, job_id = begun
    child = f"{job_id}:1"
    running = {"startedAt": 1_700_000_000_000, "container": {"logStreamName": "worker/1"}}
    world.batch.described[child] = job("RUNNING", **running)
    logs("worker/1", "one")
    looks, screen = view(doors, run_id, 1)

    def steps():
        yield logs("worker/1", "two")
        world.batch.described[child] = job("RUNNABLE", "worker/1")
        for _ in range(5):
            yield None
        # The last lines of an attempt come after its end.
        logs("worker/1", "three")
        logs("worker/2", "four")
        world.batch.described[child] = job("SUCCEEDED", "worker/1", "worker/2")
        world.work(world.batch.live()[0])
        for _ in range(20):
            yield None

    going = steps()
    assert looks.follow(lambda _s: next(going))
    assert screen.lines == ["one", "two", "three", "four"]


def test_following_ends_with_the_run(world, doors, logs, begun):
    run_id, _ = begun
    world.executions.running.clear()
    looks, screen = view(doors, run_id, 5)
    assert not looks.follow(lambda _s: None)
    assert screen.notes == ["# input 5 is in no round yet: no container has worked on it"]
