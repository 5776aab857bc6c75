"""What the tests of AggregateShard ask of a world."""

import csv
import io

import pyarrow.parquet

from drydock.resubmission import resubmit_interrupted
from tests.steps.world import DATA

WHOLE = {"status": "aggregated", "cursor": None, "inputs": 4, "done": 4, "failed": 0}
WHOLE |= {"skipped": 0, "remaining": 0}


def finish(world, job, **how):
    world.work(job, **how)
    resubmit_interrupted(world.services, world.ended(job))


def rows(world, run_id, shard=0):
    """All rows of a shard's score tables."""
    found = []
    for key in world.keys(DATA, f"out/results/scores/shard={shard:06d}/"):
        table = pyarrow.parquet.read_table(io.BytesIO(world.get(DATA, key)))
        found += table.to_pylist()
    return found


def failures(world, shard=0):
    text = world.get(DATA, f"out/results/shards/{shard:06d}/failures.csv").decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def accounts_of(world, shard=0):
    return world.json(DATA, f"out/results/shards/{shard:06d}/accounts.json")["accounts"]


def results(world):
    """Everything that a run's shards say, but for the count of what came late."""
    found = {key: world.get(DATA, key) for key in world.keys(DATA, "out/results/")}
    return {key: body for key, body in found.items() if not key.endswith("/accounts.json")}
