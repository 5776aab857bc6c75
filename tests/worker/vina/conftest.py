"""Shards of molecules, S3 in this process, and real vina in a small box."""

import boto3
import pytest
from moto import mock_aws

import worker.attempt
from tests.worker.support import CONTROL, DATA, Shard
from tests.worker.vina.molecules import QUICK
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
        values["options"] = QUICK | values.get("options", {})
        return Shard(store, list(inputs), **values)

    return make


@pytest.fixture
def run(store, scratch, monkeypatch):
    monkeypatch.setattr(worker.attempt, "_POLL_S", 0.005)

    def run(shard, child=0, using=None, **extra):
        return main(shard.environment(scratch, child, **extra), using or store)

    return run
