"""An input's ligands in batches: what lies in scratch for vina, and what must be prepared first."""

import json
import os
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from worker.tools.ligands import Ligand

# Ligands of one start of vina: bounds the command line, and with their bytes the scratch.
MOST_LIGANDS = 2000
MOST_BYTES = 256 << 20
# Preparation comes before docking. Small first batches let docking begin early, so that short
# attempts go on too; later ones make it rare that vina must make its grid again.
_FIRST_PREPARED = 32
_GROWTH = 4
_MOLECULES = "molecules.jsonl"
_PREPARED = "prepared.jsonl"
# What the preparing program ends with where RDKit or Meeko is not here, or cannot be loaded.
EXIT_MISSING = 3
_NOT_ANSWERED = "its preparation gave no answer"


class Batches:
    """The ligands of an input, in order; those of the batch at hand wait to be settled.

    A ligand's text lies in the batch's folder, and in memory no longer.
    """

    def __init__(self, ligands: Iterator[Ligand], folder: Path) -> None:
        self.waiting: deque[Ligand] = deque()
        self.unprepared = 0
        self.folder = folder / "batch-0"
        self._ligands = ligands
        self._base = folder
        self._number = 0
        self._most_prepared = _FIRST_PREPARED

    def begin(self) -> bool:
        """Take the next ligands; false when there are none. The last batch's files go."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._number += 1
        self.folder = self._base / f"batch-{self._number}"
        self.folder.mkdir()
        self.unprepared = size = 0
        with (self.folder / _MOLECULES).open("w", encoding="utf-8") as molecules:
            for ligand in self._ligands:
                size += len(ligand.text)
                if ligand.problem is None and ligand.kind == "pdbqt":
                    self._write(ligand.ordinal, ligand.text)
                elif ligand.problem is None:
                    self.unprepared += 1
                    molecules.write(_molecule(ligand) + "\n")
                ligand.text = b""
                self.waiting.append(ligand)
                if self._is_full(size):
                    break
        if self.unprepared:
            self._most_prepared = min(self._most_prepared * _GROWTH, MOST_LIGANDS)
        return bool(self.waiting)

    def _is_full(self, size: int) -> bool:
        most = self._most_prepared if self.unprepared else MOST_LIGANDS
        return len(self.waiting) >= most or size >= MOST_BYTES

    @property
    def to_prepare(self) -> tuple[str, str]:
        """The names of the file of molecules and of what comes of it."""
        return _MOLECULES, _PREPARED

    def take_prepared(self) -> None:
        """Read what the preparation has answered; what it left out has a problem."""
        answers: dict[int, dict[str, str]] = {}
        with (self.folder / _PREPARED).open(encoding="utf-8") as lines:
            for line in lines:
                answer = json.loads(line)
                if "pdbqt" in answer:
                    self._write(answer["ordinal"], answer.pop("pdbqt").encode())
                answers[answer["ordinal"]] = answer
        self.waiting = deque(_answered(ligand, answers) for ligand in self.waiting)
        self.unprepared = 0

    def names(self) -> list[str]:
        """The files of the ligands that wait and can be docked, in order."""
        return [f"{ligand.ordinal}.pdbqt" for ligand in self.waiting if ligand.problem is None]

    def settle(self) -> None:
        """Be done with the ligand at the front, and with its file."""
        ligand = self.waiting.popleft()
        (self.folder / f"{ligand.ordinal}.pdbqt").unlink(missing_ok=True)

    def _write(self, ordinal: int, text: bytes) -> None:
        # Objects for a path and a file would take as long as the system does.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        file = os.open(f"{self.folder}/{ordinal}.pdbqt", flags, 0o666)
        try:
            while text:  # a disk that fills up takes a part, and refuses the rest
                text = text[os.write(file, text) :]
        finally:
            os.close(file)


def _molecule(ligand: Ligand) -> str:
    text = ligand.text.decode(errors="replace")
    return json.dumps({"ordinal": ligand.ordinal, "kind": ligand.kind, "text": text})


def _answered(ligand: Ligand, answers: dict[int, dict[str, str]]) -> Ligand:
    if ligand.kind == "pdbqt" or ligand.problem is not None:
        return ligand
    answer = answers.get(ligand.ordinal, {"problem": _NOT_ANSWERED})
    if "problem" in answer:
        return replace(ligand, problem=f"it cannot be prepared: {answer['problem']}")
    # What the input says stays; an SDF says nothing.
    smiles = ligand.smiles or answer["smiles"]
    return replace(ligand, kind="pdbqt", smiles=smiles, prepared_with=answer["with"])
