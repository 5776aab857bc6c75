"""A tool whose work is to let virtual time pass, a unit of work after the other.

An input is a small object that says how much work it is and what goes wrong with it. What is
finished of it is deterministic, so the outputs of its parts, joined, are units 1 to N exactly once
or something was lost or done twice.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from drydock.errors import Malformed
from drydock.markers import InputSummary
from drydock.store import Store
from tests.simulation.containers import Container, here
from worker.endings import InputFailed, Misconfigured, RestartUnusable
from worker.tools import Contribution, Death, FetchedInput, Output, Resume, Setting

# How long a look at a tool without end lasts.
_LOOK_S = 300.0


@dataclass(frozen=True)
class Planted:
    """An input: how many units it has, what each takes, and what happens behind ``at`` of them.

    ``dies`` says how: each time at that ``place`` (a second death there is the input's own fault),
    ``once``, by somebody else's hand (``elsewhere``, the first attempt alone), for want of memory
    (the tool alone, or the ``container``, where there is less than ``needs_mib``). ``hangs`` is
    work that never ends, ``bad`` an input that the tool refuses, ``forgets`` one whose restarts
    cannot be used. ``scored`` makes a table of scores. ``salt`` tells equal inputs apart.
    """

    units: int = 3
    seconds: float = 20.0
    at: int = 0
    dies: Literal["place", "once", "elsewhere", "memory", "container"] | None = None
    needs_mib: int = 0
    hangs: bool = False
    bad: bool = False
    forgets: bool = False
    scored: bool = False
    salt: str = ""

    def to_json(self) -> bytes:
        """The object's bytes."""
        return json.dumps(asdict(self)).encode()


def planted(body: bytes) -> Planted:
    """Read an input.

    Raises:
        InputFailed: it is none.
    """
    try:
        return Planted(**json.loads(body))
    except (ValueError, TypeError) as error:
        raise InputFailed("bad_input", f"the toy cannot read it: {error}") from error


def joined(store: Store, summary: InputSummary, bucket: str = "drydock-data") -> list[int]:
    """The units that the parts of a settled input hold, part after part.

    Raises:
        Malformed: a part is of another input.
    """
    units: list[int] = []
    for part in summary.chain:
        for output in part.outputs:
            if output.name != "rows":
                continue
            rows = json.loads(store.get(bucket, output.key, etag=output.etag).body)
            if (rows["etag"], rows["index"]) != (summary.input_etag, summary.index):
                raise Malformed(f"{output.key} is of another input")
            units.extend(range(rows["from"], rows["to"] + 1))
    return units


@dataclass(frozen=True)
class Toy:
    """The tool. The option ``refuses`` makes it one that cannot work at all."""

    refuses: bool

    @classmethod
    def from_setting(cls, setting: Setting) -> Toy:
        return cls(bool(setting.options.get("refuses")))

    def prepare(self, assets: Mapping[str, Path]) -> None:
        del assets
        if self.refuses:
            raise Misconfigured("the toy was told to refuse all work")

    def open(self, fetched: FetchedInput, folder: Path, resume: Resume) -> ToySession:
        work = planted(fetched.path.read_bytes())
        if work.bad:
            raise InputFailed("bad_input", "the toy was told that it is bad", 3)
        if resume.restart is not None:
            _check(work, fetched, resume)
        return ToySession(work, fetched, folder, resume, here())


def _check(work: Planted, fetched: FetchedInput, resume: Resume) -> None:
    restart = json.loads(resume.restart.read_bytes())
    if (restart["etag"], restart["index"]) != (fetched.etag, fetched.index):
        raise AssertionError(f"{fetched.uri} was to go on from {restart}, another input's restart")
    if work.forgets or restart["progress"] != resume.progress:
        raise RestartUnusable(f"it has {restart['progress']} units, its part {resume.progress}")


class ToySession:
    """Work on one input. Units are finished as time passes."""

    def __init__(
        self,
        work: Planted,
        fetched: FetchedInput,
        folder: Path,
        resume: Resume,
        container: Container,
    ) -> None:
        self.death: Death | None = None
        self._work = work
        self._fetched = fetched
        self._folder = folder
        self._resume = resume
        self._container = container
        self._finished = self._sealed = self._from = resume.progress
        self._since = container.kernel.now
        self._parts = 0

    @property
    def unsealed(self) -> int:
        return self._finished - self._sealed

    def poll(self) -> bool:
        self._advance()
        if self._finished >= self._last:
            if self._last < self._work.units:
                return self._misfortune()
            return True
        passed = self._container.kernel.now - self._since
        next_unit = (self._finished - self._from + 1) * self._work.seconds
        self._container.stop.stride_s = next_unit - passed
        return False

    def interrupt(self) -> None:
        self._advance()

    def contribute(self) -> Contribution:
        first, last, self._sealed = self._sealed + 1, self._finished, self._finished
        self._parts += 1
        outputs = [self._output("rows", {"from": first, "to": last})] if last >= first else []
        if outputs and self._work.scored:
            outputs.append(self._scores(first, last))
        done = last == self._work.units
        restart = None if done else self._output("restart", {"progress": last})
        return Contribution(
            outputs=tuple(outputs),
            fresh=last - first + 1,
            progress=last,
            counts={"molecules": last, "failed_molecules": 0},
            best_id=f"{self._fetched.stem}/{last}" if last else None,
            best_score=float(-last) if last else None,
            restart=restart,
        )

    def close(self) -> None:
        self._container.stop.stride_s = 0.0

    @property
    def _last(self) -> int:
        """The last unit before something happens, or all of them."""
        work = self._work
        happens = work.hangs or (work.dies is not None and self._dies())
        return min(work.units, max(work.at, self._from)) if happens else work.units

    def _dies(self) -> bool:
        work, own = self._work, self._container.attempt
        if work.dies in ("memory", "container"):
            return own.memory_mib < work.needs_mib
        if work.dies == "once":
            return self._place not in self._resume.troubles
        return work.dies == "place" or own.number == 1

    @property
    def _place(self) -> str:
        return f"unit {self._work.at + 1}"

    def _misfortune(self) -> bool:
        """What happens behind the last unit that could be finished."""
        if self._work.hangs:
            self._container.stop.stride_s = _LOOK_S
            return False
        dies, place = self._work.dies, self._place
        if dies == "container":
            self._container.attempt.run_out_of_memory()
        if dies == "memory":
            self.death = Death("the toy has no memory left", None, -9, out_of_memory=True)
        elif dies == "elsewhere":
            self.death = Death("somebody killed the toy", None, -9)
        elif place in self._resume.troubles:
            raise InputFailed("tool_failed", f"the toy died at {place} again", 3)
        else:
            self.death = Death(f"the toy died at {place}", place, 3)
        return True

    def _advance(self) -> None:
        passed = self._container.kernel.now - self._since
        # A millionth, for the clock adds numbers up that are no powers of two.
        finished = self._from + int((passed + 1e-6) / self._work.seconds)
        self._finished = max(self._finished, min(finished, self._last))

    def _output(self, name: str, fields: dict[str, Any]) -> Output:
        whose = {"index": self._fetched.index, "etag": self._fetched.etag}
        return self._file(name, name, lambda _keys: json.dumps(whose | fields).encode())

    def _scores(self, first: int, last: int) -> Output:
        def rows(keys: Mapping[str, str]) -> bytes:
            lines = [
                {"id": f"{self._fetched.stem}/{unit}", "score": -float(unit), "ligand": unit}
                | {"input": self._fetched.uri, "index": self._fetched.index, "poses": keys["rows"]}
                for unit in range(first, last + 1)
            ]
            return gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

        return self._file("scores", "scores.jsonl.gz", rows)

    def _file(self, name: str, filename: str, body: Callable[[Mapping[str, str]], bytes]) -> Output:
        path = self._folder / f"{self._parts}-{filename}"

        def build(keys: Mapping[str, str]) -> Path:
            path.write_bytes(body(keys))
            return path

        return Output(name, filename, build)
