"""One figure that is aimed at: what others' idea takes, what ours takes, both from the same run."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

# Where benchmarks/figures.py wants to be told.
_FILE = "DRYDOCK_FIGURES"


@dataclass(frozen=True)
class Figure:
    """``baseline`` and ``ours`` are text with their units; ``aim`` is what ours should reach."""

    what: str
    baseline: str
    ours: str
    ratio: str
    aim: str
    holds: bool

    def tell(self) -> None:
        """Hand it to benchmarks/figures.py, if that runs."""
        if _FILE in os.environ:
            with Path(os.environ[_FILE]).open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(asdict(self))}\n")


def read(path: Path) -> list[Figure]:
    """The figures that were told so far."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Figure(**json.loads(line)) for line in lines]


def environment(path: Path) -> dict[str, str]:
    """For a benchmark that is to tell its figures in a file."""
    return {**os.environ, _FILE: str(path)}


def ratio(ours: float, baseline: float) -> str:
    """Ours over the baseline's, to two digits."""
    return f"{ours / baseline:.2g}"
