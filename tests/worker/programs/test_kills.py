"""Workers that are killed without notice: processes of their own, over S3 in another one."""

import json
import os
import shutil
import signal

import boto3
import psutil
import pytest

from tests.worker.programs.jobs import INPUT, NUMBERS, STEPS
from tests.worker.support import CONTROL, DATA, finish, start_worker, until


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
