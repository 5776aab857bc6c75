"""Search every scene through: ``python -m tests.simulation.exhaustion [--faults N] [SCENE ...]``.

Prints for each scene how many histories there are, how many states, and what it took; a violation
with its story and the script that replays it: ``--replay 0,0,1 --faults 1 SCENE``. ``--record``
searches each without a fault and with one, and writes its line of the table in docs/proof.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from tests.simulation.explorer import Build, Explored, Script, Trail, Violated, explore, tell
from tests.simulation.sameness import turns_begin_anew
from tests.simulation.scenes import SCENES
from tests.simulation.stage import Scene, SceneWorld, crashes_and_lost_answers

BY_NAME = {scene.name: scene for scene in SCENES}
PAGE = Path(__file__).parents[2] / "docs" / "proof.md"
BEGIN = "<!-- scenes: python -m tests.simulation.exhaustion --record -->\n"
END = "<!-- end of scenes -->\n"
_HEAD = (
    "| scene | what is at once | histories | states | s "
    "| with a fault: histories | states | s |\n|---|---|---|---|---|---|---|---|\n"
)
_DASHES = (" \u2013 ",) * 3


@dataclass(frozen=True)
class Searched:
    """How the search of a scene ended; ``cpu_s`` is what it took of one core."""

    name: str
    faults: int
    found: Explored | None
    violated: str | None
    cpu_s: float

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.name}: VIOLATED with {self.faults} faults\n{self.violated}"
        return (
            f"{self.name:40} {self.faults:6} {self.found.histories:10} {self.found.states:8} "
            f"{self.found.pruned:12} {self.cpu_s:9.1f}"
        )


def search(
    scene: Scene, most_faults: int, told: Callable[[Explored, Trail], None] | None = None
) -> Explored:
    """Search one scene.

    Raises:
        Violated: something does not hold.
    """
    with turns_begin_anew():
        return explore(_builder(scene), crashes_and_lost_answers, most_faults, told)


def story(scene: Scene, most_faults: int, script: Script) -> str:
    """What happens in one history of a scene."""
    with turns_begin_anew():
        return tell(_builder(scene), crashes_and_lost_answers, most_faults, script)


def _builder(scene: Scene) -> Build:
    buckets = scene.buckets()
    return lambda kernel: SceneWorld(kernel, scene, buckets)


def _searched(name: str, faults: int) -> Searched:
    began = time.process_time()
    found, violated = None, None
    try:
        found = search(BY_NAME[name], faults)
    except Violated as error:
        violated = str(error)
    return Searched(name, faults, found, violated, time.process_time() - began)


def _searches(names: list[str], wanted: list[int], at_once: int) -> Iterator[Searched]:
    with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_searched, names, wanted)


def record(searched: Searched, page: Path = PAGE) -> None:
    """Write what a search came to into its scene's line of the table in the docs."""
    before, rest = page.read_text().split(BEGIN)
    table, _, after = rest.partition(END)
    cells = {line.split("|")[1].strip(): line.split("|")[3:9] for line in table.splitlines()[2:]}
    found, at = searched.found, 3 * min(searched.faults, 1)
    if found is not None:
        told = (f"{found.histories:,}", f"{found.states:,}", f"{searched.cpu_s:,.0f}")
        mine = cells.setdefault(searched.name, [*_DASHES, *_DASHES])
        mine[at : at + 3] = [f" {each} " for each in told]
    lines = (
        f"| {scene.name} | {scene.says} |{'|'.join(cells.get(scene.name, _DASHES * 2))}|\n"
        for scene in SCENES
    )
    page.write_text(before + BEGIN + _HEAD + "".join(lines) + END + after)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make exhaust", description=__doc__)
    parser.add_argument("scenes", nargs="*", choices=[[], *BY_NAME], metavar="SCENE")
    parser.add_argument("--faults", type=int, help="most faults in a history; else the scene's own")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="searches at once")
    parser.add_argument("--replay", help="tell one history: the numbers of its script, with commas")
    parser.add_argument("--record", action="store_true", help="write the table of docs/proof.md")
    options = parser.parse_args()
    names = options.scenes or list(BY_NAME)
    if options.replay is not None:
        script = tuple(int(number) for number in options.replay.split(",") if number)
        faults = BY_NAME[names[0]].faults if options.faults is None else options.faults
        sys.stdout.write(story(BY_NAME[names[0]], faults, script) + "\n")
        return 0
    sys.stdout.write(f"{'scene':40} faults  histories   states  turned back  CPU s\n")
    bad = 0
    wanted = [BY_NAME[name].faults if options.faults is None else options.faults for name in names]
    if options.record:
        names, wanted = [*names, *names], [0] * len(names) + [1] * len(names)
    for searched in _searches(names, wanted, options.jobs):
        sys.stdout.write(f"{searched}\n")
        sys.stdout.flush()
        if options.record:
            record(searched)
        bad += searched.found is None
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
