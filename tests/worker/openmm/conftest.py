"""Shards of argon, and S3 in this process."""

import boto3
import pytest
from moto import mock_aws

import worker.attempt
from drydock.task_document import PinnedAsset, PinnedObject
from tests.worker.openmm import argon
from tests.worker.support import CONTROL, DATA, Shard
from worker.agent import main

# Reference sums in one order: what is interrupted must come to the very same numbers.
OPTIONS = {
    "steps": 60,
    "temperature_k": 120,
    "seed": 7,
    "report_steps": 1,
    "trajectory_steps": 5,
    "platform": "Reference",
}


@pytest.fixture
def client():
    with mock_aws():
        client = boto3.client("s3")
        for bucket in (CONTROL, DATA):
            client.create_bucket(Bucket=bucket)
        yield client


@pytest.fixture(scope="session")
def pdb():
    return argon.structure()


@pytest.fixture(scope="session")
def system():
    return argon.system()


@pytest.fixture
def shard(store, pdb, system):
    """Makes a shard of one input or several; by default argon's structure with its system."""

    def make(*inputs, assets=None, options=None, **values):
        bodies = {"system": ("system.xml", system)} if assets is None else assets
        pinned = {}
        for name, (key, body) in bodies.items():
            uri, etag = f"s3://{DATA}/{key}", store.put(DATA, key, body)
            pinned[name] = PinnedAsset(uri, (PinnedObject(uri, etag, len(body)),))
        values = {
            "tool": "openmm",
            "options": OPTIONS | (options or {}),
            "more_assets": pinned,
            "receptor": b"x",
        } | values
        return Shard(store, list(inputs or [("in/argon.pdb", pdb)]), **values)

    return make


@pytest.fixture
def run(store, scratch, monkeypatch):
    monkeypatch.setattr(worker.attempt, "_POLL_S", 0.005)

    def run(shard, child=0, using=None, **extra):
        return main(shard.environment(scratch, child, **extra), using or store)

    return run
