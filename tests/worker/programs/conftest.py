"""Shards of scripts and commands, with S3 in this process."""

import json
import os
from dataclasses import dataclass

import boto3
import pytest
from moto import mock_aws

import worker.attempt
import worker.tools.checkpoint
from drydock.store import Store
from drydock.task_document import PinnedAsset, PinnedObject
from tests.worker.support import CONTROL, DATA, Shard
from worker.agent import main


@pytest.fixture
def client():
    with mock_aws():
        client = boto3.client("s3")
        for bucket in (CONTROL, DATA):
            client.create_bucket(Bucket=bucket)
        yield client


@dataclass
class ProgramShard(Shard):
    """A shard whose inputs' outputs are files."""

    def results(self):
        """By input, what it came to: the outputs of its chain of parts, by their own names."""
        found = {}
        for name in self.markers():
            if not name.endswith(".done"):
                continue
            for summary in self.marker(name):
                outputs = [output for part in summary.chain for output in part.outputs]
                found[summary.index] = {
                    output.name.removeprefix("output/"): self.body(output)
                    for output in outputs
                    if output.name.startswith("output/")
                }
        return found

    def body(self, output):
        body = self.store.get(DATA, output.key, etag=output.etag).body
        assert len(body) == output.size
        return body

    def failures(self):
        return [self.marker(name) for name in self.markers() if name.endswith(".failed")]


@pytest.fixture
def pin(store):
    """Puts assets; an asset is its key and its content."""

    def pin(**assets):
        pinned = {}
        for name, (key, body) in assets.items():
            etag = store.put(DATA, key, body)
            uri = f"s3://{DATA}/{key}"
            pinned[name] = PinnedAsset(uri, (PinnedObject(uri, etag, len(body)),))
        return pinned

    return pin


@pytest.fixture
def command(store, pin):
    """A shard of a command: its templates, its inputs, and more options."""

    def make(templates, *inputs, assets=None, shard=None, **options):
        inputs = inputs or (("in/a.txt", b"b\na\n"),)
        return ProgramShard(
            store,
            list(inputs),
            tool="command",
            options={"command": templates, **options},
            receptor=b"x",
            more_assets=pin(**(assets or {})),
            **(shard or {}),
        )

    return make


@pytest.fixture
def script(store, pin):
    """A shard of a script: its text, its inputs, and more options."""

    def make(text, *inputs, key="jobs/myjob.sh", shard=None, **options):
        body = text if isinstance(text, bytes) else text.encode()
        inputs = inputs or (("in/a.txt", b"b\na\n"),)
        return ProgramShard(
            store,
            list(inputs),
            tool="script",
            options=options,
            receptor=b"x",
            more_assets=pin(script=(key, body)),
            **(shard or {}),
        )

    return make


@pytest.fixture
def run(store, scratch, monkeypatch):
    """Runs one child; what the worker's environment has, the program's may have too."""
    monkeypatch.setattr(worker.attempt, "_POLL_S", 0.005)
    monkeypatch.setattr(worker.tools.checkpoint, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(worker.tools.checkpoint, "LOOKS_SHARE", 1.0)
    monkeypatch.setattr(worker.tools.checkpoint, "QUIET_S", 0.0)

    def run(shard, child=0, using=None, **extra):
        environment = shard.environment(scratch, child, **extra)
        for name in [name for name in os.environ if name.startswith("AWS_BATCH_")]:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return main(environment, using or Store(store._client))

    return run


@pytest.fixture
def events(capsys):
    """What the worker said since the last time, one event after another."""

    def events(kind=None):
        lines = capsys.readouterr().out.splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in found if kind in (None, event["event"])]

    return events
