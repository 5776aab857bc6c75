"""Counts what a run asks of AWS, for the bill: docs/counts.json, which scripts/costs.py prices.

usage: python -m tests.costs.counting [--inputs 100000] > docs/counts.json

The functions' calls are counted in virtual time, where machines are reclaimed and containers are
cheap (tests/simulation); a container's are those of the real worker with Vina over S3 in this
process.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
from moto import mock_aws

import worker.attempt
from drydock.store import Store
from tests.simulation.crowd import Crowd
from tests.simulation.executions import Execution
from tests.simulation.resources import template
from tests.simulation.scale import run_of
from tests.worker.support import CONTROL, DATA, Shard, ligand
from worker.agent import main as work

# How S3 charges: https://aws.amazon.com/s3/pricing/; removals cost nothing.
_PUTS = ("Put", "Copy", "Post", "List", "Create", "Upload", "Complete")
_GETS = ("Get", "Head")
# What CloudWatch Logs adds to each line.
_LINE_BYTES = 26
# Lambda's own three lines and the function's one.
_CALL_LOG_BYTES = 1000
PACKS = (1, 100)
# Records in a container's task list, of which it works on the first.
_LIST = 1000
# What is called by the clock whether anything runs or not.
_SCHEDULED = ("StopRun",)


def kind(call: str) -> str:
    """Which price a call of S3 has."""
    if call.startswith(_PUTS):
        return "put"
    return "get" if call.startswith(_GETS) else "free"


def of_functions(inputs: int, pack: int, **values: Any) -> dict[str, Any]:
    """What the state machine and the functions took for a run that settles every input."""
    crowd = Crowd(inputs, pack, **values)
    seconds = time_invocations(crowd)
    return of_run(crowd, run_of(crowd), seconds)


def of_run(crowd: Crowd, execution: Execution, seconds: Counter[str]) -> dict[str, Any]:
    """What a run took that has ended; ``seconds`` are those of :func:`time_invocations`."""
    calls = crowd.counts.calls.items()
    s3: Counter[str] = Counter()
    for (_, call), count in calls:
        service, _, name = call.partition(" ")
        if service == "s3":
            s3[kind(name)] += count
    return {
        "inputs": crowd.inputs,
        "inputs_per_job": crowd.pack,
        "shards": len(execution.children),
        "containers": crowd.stack.batch.attempts,
        # The start of an execution inside a Distributed Map is charged as a transition too:
        # https://docs.aws.amazon.com/step-functions/latest/dg/concepts-statemachines.html
        "transitions": crowd.stack.states.transitions + len(execution.children),
        "batch_calls": sum(crowd.stack.batch.calls.values()),
        "invocations": sum(
            count
            for name, count in crowd.stack.lambdas.calls.items()
            if name.removesuffix("Function") not in _SCHEDULED
        ),
        "gb_seconds": round(
            sum(
                spent * memory_mib(name) / 1024
                for name, spent in seconds.items()
                if name not in _SCHEDULED
            )
        ),
        "s3_put": s3["put"],
        "s3_get": s3["get"],
        "messages": crowd.stack.queues.sent + 2 * crowd.stack.queues.received,
    }


def of_scheduled_call() -> dict[str, float]:
    """What a call takes that the clock makes: beside a small run, so a little more than idle."""
    crowd = Crowd(600, shard_size=300, machines=2)
    seconds = time_invocations(crowd)
    run_of(crowd)
    calls = crowd.stack.lambdas.calls["StopRunFunction"]
    gb_seconds = seconds["StopRun"] / calls * memory_mib("StopRun") / 1024
    return {"gb_seconds": round(gb_seconds, 2), "log_bytes": _CALL_LOG_BYTES}


def time_invocations(crowd: Crowd) -> Counter[str]:
    """From now on, the seconds of each function."""
    seconds: Counter[str] = Counter()
    lambdas = crowd.stack.lambdas
    invoke = lambdas.invoke

    def timed(name: str, *rest: Any) -> Any:
        process, began = invoke(name, *rest), crowd.kernel.now

        def ended() -> None:
            function = name.rpartition(":")[2].removesuffix("Function")
            seconds[function] += crowd.kernel.now - began

        process.ended.then(ended)
        return process

    lambdas.invoke = timed
    return seconds


def memory_mib(name: str) -> int:
    """What a function is given."""
    document = template()
    given = document["Globals"]["Function"]["MemorySize"]
    properties = document["Resources"][f"{name}Function"]["Properties"]
    return int(properties.get("MemorySize", given))


def of_worker(inputs: int) -> dict[str, int]:
    """What one container took for so many inputs of one ligand each."""
    with mock_aws(), tempfile.TemporaryDirectory() as folder:
        client = boto3.client("s3", region_name="us-east-1")
        for bucket in (CONTROL, DATA):
            client.create_bucket(Bucket=bucket)
        body = ligand("caffeine")
        given = [(f"in/{number}.pdbqt", body) for number in range(inputs)]
        shard = Shard(Store(client), given, inputs_per_job=inputs)
        # A short list would come with one request less than a whole shard's.
        more = range(inputs, _LIST)
        shard.records += [replace(shard.records[0], place=each, index=each) for each in more]
        shard.write_round()
        calls: Counter[str] = Counter()
        client.meta.events.register(
            "before-call.s3", lambda model, **_: calls.update([kind(model.name)])
        )
        said = io.StringIO()
        with redirect_stdout(said), mock.patch.object(worker.attempt, "_POLL_S", 0.01):
            code = work(shard.environment(Path(folder)), Store(client))
        assert code == 0, said.getvalue()
        lines = said.getvalue().splitlines(keepends=True)
    log_bytes = sum(len(line.encode()) + _LINE_BYTES for line in lines)
    return {"s3_put": calls["put"], "s3_get": calls["get"], "log_bytes": log_bytes}


def of_container(inputs: int = 11) -> dict[str, dict[str, int]]:
    """What a container takes for its first input, and for each further one."""
    first, many = of_worker(1), of_worker(inputs)
    each = {name: round((many[name] - first[name]) / (inputs - 1)) for name in first}
    return {"first_input": first, "further_input": each}


def main() -> None:
    """Print all counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    given = parser.parse_args()
    gc.set_threshold(200_000, 50, 1000)
    counts = {
        "runs": [of_functions(given.inputs, pack) for pack in PACKS],
        "container": of_container(),
        "scheduled_call": of_scheduled_call(),
    }
    json.dump(counts, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
