"""moto's S3 as a server, one for the whole session, and a clean pair of buckets for each test."""

import importlib.util

import boto3
import pytest
from moto.server import ThreadedMotoServer

from drydock.store import Store
from tests.worker.support import CONTROL, DATA, Shard

# Where there is no binding (Python 3.13 and newer), a vina program on PATH docks alone.
collect_ignore = [] if importlib.util.find_spec("vina") else ["test_vina_batch.py"]


@pytest.fixture(scope="session")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(endpoint):
    client = boto3.client("s3", endpoint_url=endpoint)
    for bucket in (CONTROL, DATA):
        client.create_bucket(Bucket=bucket)
    yield client
    for bucket in (CONTROL, DATA):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for found in page.get("Contents", []):
                client.delete_object(Bucket=bucket, Key=found["Key"])
        client.delete_bucket(Bucket=bucket)


@pytest.fixture
def store(client):
    return Store(client)


@pytest.fixture
def scratch(tmp_path):
    """A base for scratch that holds another's file, which must stay."""
    base = tmp_path / "scratch"
    base.mkdir()
    (base / "drydock-somebody-else").mkdir()
    (base / "drydock-somebody-else" / "kept").write_text("kept")
    yield base
    assert [path.name for path in base.rglob("*")] == ["drydock-somebody-else", "kept"]


@pytest.fixture
def shard(store):
    """Makes a shard."""

    def make(*inputs, **values):
        return Shard(store, list(inputs), **values)

    return make
