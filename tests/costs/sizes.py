"""Counts for docs/scale.json what 10^3 to 10^6 inputs ask of AWS, and what others' ideas ask.

usage: python -m tests.costs.sizes [--most 1000000] [--known FILE ...] [--at-once 1]

Every size is a run of the real state machine and functions in virtual time, in a process of its
own, but those that tests.simulation.scale has recorded (--known). scripts/scale_plot.py prices
the counts, and goes on beyond them in a way that shows.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.costs.counting import PACKS, of_functions
from tests.simulation import peers

FIRST = 1000
# A job an input is counted as far as it takes a minute: each job is a process there.
PEERS_MOST = 10_000
# What a container of the others' lists: as many lines as a job array may have.
LISTED = 10_000


def of_ours(inputs: int, pack: int) -> dict[str, Any]:
    """What a run took, and what it took to count it."""
    began = time.process_time()
    counted = of_functions(inputs, pack)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**counted, "cpu_s": round(time.process_time() - began), "peak_mib": round(peak)}


def of_peers(inputs: int) -> dict[str, Any]:
    """The same inputs by a job each."""
    container = peers.of_container(LISTED)
    found = {"map": peers.of_map(inputs), "polling": peers.of_polling(inputs)}
    s3 = {name: container[name] * inputs for name in ("s3_put", "s3_get")}
    return {"inputs": inputs, **{name: {**counted, **s3} for name, counted in found.items()}}


def _powers(most: int) -> list[int]:
    sizes = [FIRST]
    while sizes[-1] * 10 <= most:
        sizes.append(sizes[-1] * 10)
    return sizes


def _one(job: tuple[Callable[..., dict[str, Any]], tuple[int, ...]]) -> dict[str, Any]:
    # Millions of objects live long: looking through all of them again and again takes hours.
    gc.set_threshold(200_000, 50, 1000)
    count, given = job
    found = count(*given)
    sys.stderr.write(f"{count.__name__}{given}: {json.dumps(found)}\n")
    return found


def main() -> None:
    """Print all counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=1_000_000)
    parser.add_argument("--known", type=Path, nargs="*", default=[], help="recorded runs")
    parser.add_argument("--at-once", type=int, default=1, help="runs beside each other")
    given = parser.parse_args()
    known = [json.loads(path.read_text(encoding="utf-8")) for path in given.known]
    sizes = {(run["inputs"], run["inputs_per_job"]) for run in known}
    wanted = [(size, pack) for size in _powers(given.most) for pack in PACKS]
    ours = [(of_ours, each) for each in wanted if each not in sizes]
    theirs = [(of_peers, (size,)) for size in _powers(min(given.most, PEERS_MOST))]
    # The longest first, each in a fresh process.
    with multiprocessing.get_context("spawn").Pool(given.at_once, maxtasksperchild=1) as pool:
        counted = pool.map(_one, [*reversed(ours), *theirs], chunksize=1)
    runs = [*known, *counted[: len(ours)]]
    runs.sort(key=lambda run: (run["inputs_per_job"], run["inputs"]))
    json.dump({"runs": runs, "peers": counted[len(ours) :]}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
