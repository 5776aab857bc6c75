"""Run histories: ``python -m tests.simulation --seeds 0:3000``; ``--replay SEED`` tells one."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.chance import CHANCES, FAULTS
from tests.simulation.containers import simulated
from tests.simulation.history import history_of
from tests.simulation.shrink import shrink
from tests.simulation.story import tell

_AT_ONCE = 10
KNOWN_SEEDS = Path(__file__).with_name("known_seeds.txt")


@dataclass(frozen=True)
class Ran:
    """One history, as much of it as is kept."""

    seed: int
    rule: str | None
    seen: str
    counts: Counter[str]
    figures: Counter[str]


def run_one(seed: int) -> Ran:
    """Run the history of a seed."""
    history = history_of(seed)
    violated = history.run()
    rule, seen = (None, "") if violated is None else (violated.rule, violated.seen)
    return Ran(seed, rule, seen, history.chooser.counts, history.figures())


def known_seeds() -> list[int]:
    """Seeds that once found something."""
    lines = KNOWN_SEEDS.read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="0:1000", help="FIRST:AFTER, or one seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--replay", type=int, help="tell the history of a seed, made small")
    parser.add_argument(
        "--whole", action="store_true", help="tell every request, made small or not"
    )
    parser.add_argument("--brief", action="store_true", help="tell no history of a violation")
    parser.add_argument("--all", action="store_true", help="go on after a violation")
    given = parser.parse_args(arguments)
    if given.replay is not None:
        return _replay(given.replay, whole=given.whole)
    first, _, after = given.seeds.partition(":")
    seeds = range(int(first), int(after) if after else int(first) + 1)
    return _run(seeds, given.jobs, go_on=given.all, is_brief=given.brief)


def _run(seeds: range, jobs: int, *, go_on: bool, is_brief: bool) -> int:
    began, done = time.monotonic(), 0
    counts, figures, bad = Counter[str](), Counter[str](), list[Ran]()
    for ran in _ran(seeds, jobs):
        done += 1
        counts.update(ran.counts)
        figures.update(ran.figures)
        if ran.rule is not None:
            bad.append(ran)
            _say(f"\nseed {ran.seed}: {ran.rule}: {ran.seen[:300]}\n")
            if not go_on:
                break
        _progress(done, len(seeds), time.monotonic() - began)
    seconds = time.monotonic() - began
    _say(f"\n{done} histories in {seconds:.0f} s: {done / seconds:.1f} a second\n")
    _table("what went wrong in them", counts, (*FAULTS, *CHANCES))
    _table("what happened in them", figures, tuple(sorted(figures)))
    if not bad:
        _say("every invariant held in every history\n")
        return 0
    rules = Counter(ran.rule for ran in bad)
    _say(f"VIOLATED: {dict(rules)}; seeds {[ran.seed for ran in bad][:20]}\n\n")
    return 1 if is_brief else _replay(bad[0].seed, whole=False)


def _ran(seeds: range, jobs: int) -> Iterator[Ran]:
    some = [seeds[at : at + _AT_ONCE] for at in range(0, len(seeds), _AT_ONCE)]
    if jobs <= 1:
        for each in some:
            yield from _run_some(each)
        return
    with multiprocessing.get_context("fork").Pool(jobs, _end_in_order) as pool:
        for found in pool.imap_unordered(_run_some, some):
            yield from found


def _end_in_order() -> None:
    """Let a process that the pool ends take its scratch with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def _run_some(seeds: range) -> list[Ran]:
    with simulated():
        return [run_one(seed) for seed in seeds]


def _replay(seed: int, *, whole: bool) -> int:
    try:
        if whole:
            history = history_of(seed)
            violated = history.run()
        else:
            history, violated = shrink(seed)
    except ValueError as error:
        _say(f"{error}\n")
        return 0
    if violated is None:
        _say(f"nothing is violated in the history of seed {seed}\n")
        return 0
    left = [f"  {key}: {what}" for key, what in history.chooser.injected.items()]
    _say(tell(history, violated, whole=whole) + "\n\nFaults:\n" + "\n".join(left) + "\n")
    _say(f"Replay it: python -m tests.simulation --replay {seed}\n")
    return 1


def _table(title: str, counts: Counter[str], names: tuple[str, ...]) -> None:
    _say(f"\n{title}:\n")
    for name in names:
        _say(f"  {name:32} {counts[name]:>10,}\n")


def _progress(done: int, of: int, seconds: float) -> None:
    if done % 10 == 0 or done == of:
        width = 30 * done // of
        bar = "#" * width + "." * (30 - width)
        _say(f"\r[{bar}] {done:,} of {of:,} histories, {done / seconds:.1f} a second")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
