"""Take each safety out in turn: ``python -m tests.simulation.mutate [NAME ...]``.

A mutation is a line of the project changed in a tree of its own, whose histories are then run until
one of them violates something: first the seed that found it last time, then others. A safety that
can be taken out without anybody noticing is not proven, and ends this with 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
# What a tree needs to run histories.
_PARTS = ("src", "functions", "worker", "local", "tests", "statemachine", "template.yaml", "events")
SEEDS = 300
_FOUND = re.compile(r"^seed (\d+): ([^:]+): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Caught:
    """What became of a mutation: the seed and the rule that caught it, None when nothing did."""

    mutation: Mutation
    seed: int | None
    rule: str
    seconds: float
    output: str


def mutated(mutation: Mutation, tree: Path) -> None:
    """Make a tree with one place changed; all else is the project's own.

    Raises:
        ValueError: the place is not there exactly once: the project has moved on.
    """
    top = mutation.file.partition("/")[0]
    for part in _PARTS:
        if part != top:
            (tree / part).symlink_to(ROOT / part)
    shutil.copytree(ROOT / top, tree / top, ignore=shutil.ignore_patterns("__pycache__"))
    path = tree / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        raise ValueError(
            f"{mutation.name}: {mutation.file} has it {text.count(mutation.old)} times"
        )
    path.write_text(text.replace(mutation.old, mutation.new))


def catch(mutation: Mutation, seeds: int = SEEDS) -> Caught:
    """Run histories over a mutation until one of them violates something."""
    began, output = time.monotonic(), ""
    with tempfile.TemporaryDirectory(prefix="drydock-mutation-") as folder:
        tree = Path(folder)
        mutated(mutation, tree)
        for some in (str(mutation.seed), f"0:{seeds}"):
            output = _run(tree, some)
            if found := _FOUND.search(output):
                seconds = time.monotonic() - began
                return Caught(mutation, int(found[1]), found[2], seconds, output)
    return Caught(mutation, None, "", time.monotonic() - began, output)


def _run(tree: Path, seeds: str) -> str:
    """Histories of a tree; where the tree's modules come from is its own folders alone."""
    path = os.pathsep.join(str(tree / part) for part in ("src", "."))
    ended = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seeds", seeds, "--jobs", "1", "--brief"],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout + ended.stderr


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("names", nargs="*", help="names of mutations; all by default")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"most seeds of each ({SEEDS})")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    chosen = [each for each in MUTATIONS if not given.names or each.name in given.names]
    missed = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        for caught in pool.map(lambda each: catch(each, given.seeds), chosen):
            missed += caught.seed is None
            what = "NOT CAUGHT" if caught.seed is None else f"seed {caught.seed}: {caught.rule}"
            sys.stdout.write(f"{caught.mutation.name:40} {caught.seconds:6.1f} s  {what}\n")
            if caught.seed is None:
                sys.stdout.write(caught.output[-1500:] + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - missed} of {len(chosen)} mutations were caught\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
