"""Take each safety out in turn: ``python -m tests.simulation.mutate [NAME ...]``.

A mutation changes a text of the project while it is imported, in a process of its own, whose
histories are then run until one of them violates something: first the one that found it last time,
then others. Some races are so rare that a scene which is searched through finds them instead. A
safety that can be taken out without anybody noticing is not proven, and ends this with 1.

``--record`` writes down what caught each, and the table of docs/proof.md.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path
from types import CodeType, ModuleType

from tests.simulation.caught import Caught, known, record
from tests.simulation.mutations import MUTATIONS
from tests.simulation.safeties import Mutation

ROOT = Path(__file__).parents[2]
# Histories of each, at most.
HISTORIES = 400
# The project's own packages; all others stay as they are imported.
_OWN = ("drydock", "worker", "functions", "local", "tests")

_KEPT = tuple(f"tests.simulation.{name}" for name in ("mutat", "safeties", "caught"))


def mutated_texts(mutation: Mutation) -> dict[Path, str]:
    """The files that a mutation changes, as they are then.

    Raises:
        ValueError: a text is not there exactly once: the project has moved on.
    """
    texts: dict[Path, str] = {}
    for edit in mutation.edits:
        path = ROOT / edit.file
        text = texts.get(path) or path.read_text()
        if text.count(edit.old) != 1:
            found = text.count(edit.old)
            raise ValueError(f"{mutation.name}: {edit.file} has {edit.old!r} {found} times")
        texts[path] = text.replace(edit.old, edit.new)
    return texts


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from another text than that of its file."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._text, self.path, "exec", dont_inherit=True)


@dataclass(frozen=True)
class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules whose files are mutated."""

    texts: dict[Path, str]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in _OWN:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        text = self.texts.get(Path(spec.origin).resolve())
        if text is not None:
            spec.loader = _Loader(fullname, spec.origin, text)
        return spec


def _mutate(mutation: Mutation) -> None:
    """Make this process one in which everything of the project is imported anew, mutated."""
    texts = mutated_texts(mutation)
    for name in [name for name in sys.modules if name.partition(".")[0] in _OWN]:
        # What tells of mutations is the same on both sides.
        if not name.startswith(_KEPT):
            del sys.modules[name]
    sys.meta_path.insert(0, _Finder(texts))


def catch(mutation: Mutation, first: Sequence[int], most: int) -> Caught:
    """Look for a violation: in the mutation's scene, or else in so many histories.

    For a process that does nothing else, and nothing afterwards.
    """
    began = time.process_time()
    _mutate(mutation)
    caught = _by_scene(mutation) if mutation.scene else _by_seed(mutation, first, most)
    return replace(caught, seconds=time.process_time() - began)


def _by_seed(mutation: Mutation, first: Sequence[int], most: int) -> Caught:
    from tests.simulation.__main__ import run_one
    from tests.simulation.containers import simulated
    from tests.simulation.plan import plan_of

    def bears_on_it(seed: int) -> bool:
        deeds = {action.deed for action in plan_of(seed).actions}
        return not mutation.deeds or not deeds.isdisjoint(mutation.deeds)

    with simulated():
        for seed in islice(filter(bears_on_it, chain(first, count())), most):
            ran = run_one(seed)
            if ran.rule is not None:
                return Caught(mutation.name, ran.rule, seed=seed, seen=ran.seen)
    return Caught(mutation.name)


def _by_scene(mutation: Mutation) -> Caught:
    from tests.simulation.exhaustion import search
    from tests.simulation.explorer import Violated
    from tests.simulation.scenes import SCENES

    scene = next(scene for scene in SCENES if scene.name == mutation.scene)
    try:
        search(scene, mutation.faults)
    except Violated as violated:
        seen = str(violated.__cause__)
        return Caught(mutation.name, seen.splitlines()[0], scene=scene.name, seen=str(violated))
    return Caught(mutation.name)


def told(mutation: Mutation, seed: int) -> str:
    """The story of what catches a mutation, made small. For a process as :func:`catch`."""
    _mutate(mutation)
    if mutation.scene:
        return _by_scene(mutation).seen
    from tests.simulation.containers import simulated
    from tests.simulation.shrink import shrink
    from tests.simulation.story import tell

    with simulated():
        return tell(*shrink(seed))


def processes(jobs: int) -> ProcessPoolExecutor:
    """Processes that have read everything of others, each for one mutation."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.simulation.__main__", "tests.simulation.exhaustion"])
    return ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1)


def all_caught(
    mutations: Sequence[Mutation], most: int, jobs: int
) -> Iterator[tuple[Mutation, Caught]]:
    """What catches each of ``most`` histories: that of last time, then the seeds from 0 on."""
    before = known()
    with processes(jobs) as pool:
        tries = {}
        for mutation in mutations:
            last = before.get(mutation.name)
            first = [] if last is None or last.seed is None else [last.seed]
            tries[pool.submit(catch, mutation, first, most)] = mutation
        for tried in as_completed(tries):
            yield tries[tried], tried.result()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("names", nargs="*", help="names of mutations; all by default")
    parser.add_argument("--histories", type=int, default=HISTORIES, help="most of each (400)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--record", action="store_true", help="write down what catches each")
    parser.add_argument("--tell", action="store_true", help="tell the story of what catches it")
    given = parser.parse_args()
    chosen = [each for each in MUTATIONS if not given.names or each.name in given.names]
    missed = 0
    for mutation, caught in all_caught(chosen, given.histories, given.jobs):
        missed += caught.rule is None
        sys.stdout.write(f"{mutation.name:34} {caught.seconds:6.1f} s  {caught.by}\n")
        if caught.rule is not None and given.tell:
            with processes(1) as pool:
                sys.stdout.write(pool.submit(told, mutation, caught.seed or 0).result() + "\n")
        if caught.rule is not None and given.record:
            record(caught)
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - missed} of {len(chosen)} mutations were caught\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
