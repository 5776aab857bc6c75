"""Shards of bundles, S3 in this process, and the stand-in of dock64 on PATH."""

import os
import sys
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

import worker.attempt
from drydock.task_document import PinnedAsset, PinnedObject
from tests.worker.dock38.bundles import bundle
from tests.worker.support import CONTROL, DATA, Shard
from worker.agent import main

STAND_IN = Path(__file__).with_name("stand_in.py")


@pytest.fixture
def client():
    """S3 in this process: these tests make thousands of requests."""
    with mock_aws():
        client = boto3.client("s3")
        for bucket in (CONTROL, DATA):
            client.create_bucket(Bucket=bucket)
        yield client


@pytest.fixture
def dock64():
    """The stand-in as an executable's bytes."""
    return f"#!{sys.executable} -IS\n".encode() + STAND_IN.read_bytes()


@pytest.fixture
def on_path(dock64, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "dock64"
    program.parent.mkdir()
    program.write_bytes(dock64)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def indock(**own):
    """INDOCK as it is prepared elsewhere; ``own`` are keys of the stand-in."""
    values = {
        "ligand_atom_file": "split_database_index",
        "output_file_prefix": "other.",
        "flush_int": "1000",
        "receptor_sphere_file": "/home/lab/dockfiles/matching_spheres.sph",
        "chemgrid_file_prefix": "../dockfiles/vdw",
        "minimize": "no",
    }
    values |= {f"standin_{name}": str(value) for name, value in own.items()}
    lines = [f"{key:30s}{value}" for key, value in values.items()]
    return "\n".join(["DOCK 3.8 parameter", *lines, ""])


@pytest.fixture
def shard(store):
    """Makes a shard; ``indock`` are keys for the stand-in, ``files`` more dockfiles."""

    def make(*inputs, indock_keys=None, files=None, text=None, **values):
        contents = {
            "INDOCK": (text or indock(**(indock_keys or {}))).encode(),
            "matching_spheres.sph": b"spheres",
            "vdw.vdw": b"grid",
            **(files or {}),
        }
        prefix = f"s3://{DATA}/dockfiles/"
        objects = []
        for name, body in contents.items():
            if body is not None:
                etag = store.put(DATA, f"dockfiles/{name}", body)
                objects.append(PinnedObject(f"{prefix}{name}", etag, len(body)))
        pinned = PinnedAsset(prefix, tuple(objects))
        values = {"tool": "dock38", "options": {}, "receptor": b"x", "dockfiles": pinned} | values
        return Shard(store, list(inputs), **values)

    return make


@pytest.fixture
def run(store, scratch, on_path, monkeypatch):
    monkeypatch.setattr(worker.attempt, "_POLL_S", 0.005)

    def run(shard, child=0, using=None, **extra):
        return main(shard.environment(scratch, child, **extra), using or store)

    return run


@pytest.fixture
def by_hand(store, scratch, dock64, monkeypatch):
    """Starts the worker with the contract's variables; dock64 comes from S3."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    store.put(DATA, "dockfiles/INDOCK", indock().encode())
    store.put(DATA, "dockfiles/matching_spheres.sph", b"spheres")
    store.put(DATA, "dockfiles/vdw.vdw", b"grid")
    store.put(DATA, "bin/dock64", dock64)
    store.put(DATA, "input/a.db2.tgz", bundle("a", "b"))
    store.put(DATA, "input/b.db2.tgz", bundle("c"))

    def start(index, using=None, **extra):
        environment = {
            "S3_INPUT_LOCATION": f"s3://{DATA}/input",
            "S3_OUTPUT_LOCATION": f"s3://{DATA}/output",
            "S3_DOCKFILES_LOCATION": f"s3://{DATA}/dockfiles",
            "S3_DOCKEXEC_LOCATION": f"s3://{DATA}/bin/dock64",
            "AWS_BATCH_JOB_ARRAY_INDEX": str(index),
            "SHRTCACHE": str(scratch),
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_ACCESS_KEY": "T",
        }
        return main(environment | extra, using or store)

    return start
