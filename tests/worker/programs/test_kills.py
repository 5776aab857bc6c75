"""Workers that are killed without notice: processes of their own, over S3 in another one."""

import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

import boto3
import psutil
import pytest

from tests.worker.programs.jobs import INPUT, NUMBERS, STEPS
from tests.worker.support import CONTROL, DATA, finish, start_worker, until
from worker.confinement import TOOL_ID


@pytest.fixture
def client(endpoint):
    client = boto3.client("s3", endpoint_url=endpoint)
    for bucket in (CONTROL, DATA):
        client.create_bucket(Bucket=bucket)
    yield client
    for bucket in (CONTROL, DATA):
        for found in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            client.delete_object(Bucket=bucket, Key=found["Key"])
        client.delete_bucket(Bucket=bucket)


def kill(process, scratch):
    """SIGKILL to a worker; returns what had been its program."""
    programs = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    for path in scratch.iterdir():
        if path.name != "drydock-somebody-else":
            shutil.rmtree(path)
    return programs


def test_a_killed_worker_takes_its_script_along_and_the_next_goes_on(script, endpoint, scratch):
    slow = STEPS.replace("0.02", "0.3")
    made = script(slow, ("in/a.txt", INPUT), shard={"checkpoint_seconds": 1})
    first = start_worker(made, scratch, endpoint)
    until(made.part_records)
    programs = kill(first, scratch)
    assert programs
    assert psutil.wait_procs(programs, timeout=10)[1] == []
    second = start_worker(made, scratch, endpoint, attempt=2)
    code, events, stderr = finish(second)
    assert code == 0, stderr
    (begun,) = (event for event in events if event["event"] == "start")
    assert begun["progress"] >= 1
    outputs = made.results()[0]
    assert json.loads(outputs["result.json"])["done"] == NUMBERS


def test_sigterm_to_the_worker_is_a_stop_of_the_script(script, endpoint, scratch):
    made = script(STEPS.replace("0.02", "0.3"), ("in/a.txt", INPUT))
    first = start_worker(made, scratch, endpoint)
    until(lambda: list(scratch.glob("drydock-*/*/checkpoint/state.json")))
    first.terminate()
    code, events, stderr = finish(first)
    assert code == 1, stderr
    (part,) = (event for event in events if event["event"] == "part")
    assert part["progress"] == 1
    code, events, stderr = finish(start_worker(made, scratch, endpoint, attempt=2))
    assert code == 0, stderr
    assert json.loads(made.results()[0]["result.json"])["done"] == NUMBERS
    assert [event["stdout"] for event in events if "stdout" in event] == ["finished 12"]


def test_a_script_owns_its_folders_whoever_it_runs_as(script, endpoint):
    """A worker that is root lets it run as another user, to whom the folders are given."""
    text = (
        "#!/bin/sh\n"
        'if [ -e "$CHECKPOINT_DIR/x" ]; then\n'
        '  echo 2 > "$CHECKPOINT_DIR/x.tmp"; mv "$CHECKPOINT_DIR/x.tmp" "$CHECKPOINT_DIR/x"\n'
        '  id -u > "$OUTPUT_DIR/user"; cat "$INPUT" > "$OUTPUT_DIR/copy"\n'
        '  touch here "$TMPDIR/there"\n'
        "  exit 0\n"
        "fi\n"
        'echo 1 > "$CHECKPOINT_DIR/x"\n'
        "exit 9\n"
    )
    made = script(text)
    base = Path(tempfile.mkdtemp(prefix="drydock-test-", dir="/tmp"))
    base.chmod(0o755)
    try:
        for attempt, expected in ((1, 1), (2, 0)):
            code, _, stderr = finish(start_worker(made, base, endpoint, attempt=attempt))
            assert code == expected, stderr
        assert list(base.iterdir()) == []
    finally:
        shutil.rmtree(base)
    outputs = made.results()[0]
    user = TOOL_ID if os.geteuid() == 0 else os.geteuid()
    assert outputs == {"user": f"{user}\n".encode(), "copy": b"b\na\n"}
