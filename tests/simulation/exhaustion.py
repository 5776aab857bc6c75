"""Search every scene through: ``python -m tests.simulation.exhaustion [--faults N] [SCENE ...]``.

Prints for each scene how many histories there are, how many states, and what it took; a violation
with its story and the script that replays it.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.explorer import Explored, Violated, explore
from tests.simulation.sameness import turns_begin_anew
from tests.simulation.scenes import SCENES
from tests.simulation.stage import Scene, SceneWorld, crashes_and_lost_answers


def search(scene: Scene, most_faults: int, told=None) -> Explored:
    """Search one scene.

    Raises:
        Violated: something does not hold.
    """
    buckets = scene.buckets()
    with turns_begin_anew():
        return explore(
            lambda chooser: SceneWorld(chooser, scene, buckets),
            crashes_and_lost_answers,
            most_faults,
            told,
        )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make exhaust", description=__doc__)
    parser.add_argument("scenes", nargs="*", help="names of scenes; all by default")
    parser.add_argument("--faults", type=int, default=1, help="most faults in a history (1)")
    options = parser.parse_args()
    bad = 0
    for scene in SCENES:
        if options.scenes and scene.name not in options.scenes:
            continue
        began = time.monotonic()

        def told(explored: Explored, scene: Scene = scene, began: float = began) -> None:
            if sys.stderr.isatty() and (explored.histories + explored.pruned) % 200 == 0:
                took = time.monotonic() - began
                line = f"\r{scene.name}: {explored.states} states, {took:.0f} s "
                sys.stderr.write(line)

        try:
            found = search(scene, options.faults, told)
        except Violated as violated:
            sys.stdout.write(f"\n{scene.name}: VIOLATED\n{violated}\n")
            bad += 1
            continue
        took = time.monotonic() - began
        sys.stdout.write(
            f"{scene.name:40} {found.histories:7} histories {found.states:8} states "
            f"{found.pruned:8} turned back {took:7.1f} s\n"
        )
        sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
