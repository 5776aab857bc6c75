"""What the tests of EnumerateInputs ask of a world."""

import json

import pytest

from drydock.errors import RequestRejected
from tests.steps.world import DATA


def manifest(world, prefix="out/"):
    return {key: world.get(DATA, key) for key in world.keys(DATA, prefix + "manifest/")}


def items(world, prefix="out/"):
    return world.json(DATA, prefix + "manifest/shards.json")


def uris(world, run_id, shard=0):
    return [record.uri.rpartition("/")[2] for record in world.records(run_id, shard)]


def refused(world, event, execution="one"):
    with pytest.raises(RequestRejected) as caught:
        world.enumerate(event, execution)
    return caught.value.problems


def put_list(world, text, key="lists/inputs.txt"):
    world.put(DATA, key, text if isinstance(text, bytes) else text.encode())
    return f"s3://{DATA}/{key}"


def upload(world, key="run.json", sequencer="1", **changes):
    return world.upload(key, json.dumps(world.request(**changes)).encode(), sequencer)
