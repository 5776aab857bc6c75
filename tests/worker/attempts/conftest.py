"""Attempts with a tool that only counts, over S3 in this process: for thousands of requests."""

import boto3
import pytest
from moto import mock_aws

import worker.attempt
from tests.worker.attempts.counting import CountingTool
from tests.worker.support import CONTROL, DATA, Shard
from worker.agent import main


@pytest.fixture
def client():
    """S3 in this process: these tests make thousands of requests."""
    with mock_aws():
        client = boto3.client("s3")
        for bucket in (CONTROL, DATA):
            client.create_bucket(Bucket=bucket)
        yield client


@pytest.fixture
def shard(store):
    def make(*inputs, **values):
        return Shard(store, list(inputs), receptor=b"small", **values)

    return make


@pytest.fixture
def tool(monkeypatch):
    made = CountingTool()
    monkeypatch.setattr(worker.attempt, "_POLL_S", 0.0)
    monkeypatch.setattr(worker.attempt, "make_tool", lambda *_: made)
    return made


@pytest.fixture
def run(store, scratch):
    def run(shard, child=0, using=None, **extra):
        return main(shard.environment(scratch, child, **extra), using or store)

    return run


@pytest.fixture
def eager(monkeypatch):
    """Every part's period is over at once."""
    monkeypatch.setattr(worker.attempt.History, "seconds", lambda _self: 1e6)
