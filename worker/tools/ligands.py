"""Ligands as they stand in an input's text: SDF and SMILES cut into molecules. Pure, streaming.

Nothing is kept but the ligand at hand, and no ligand above :data:`MAX_LIGAND_BYTES` is. PDBQT has
a module of its own, :mod:`worker.tools.pdbqt`.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, Literal, TypeVar

MAX_LIGAND_BYTES = 1 << 20
MAX_ID_CHARACTERS = 200

# CXSMILES' extension, between bars, stands before the name.
_SMILES_LINE = re.compile(rb"(\S+)(?:\s+(\|[^|]*\|))?(?:\s+(.*\S))?\s*")

Block = TypeVar("Block")


@dataclass(slots=True)
class Ligand:
    """One ligand of an input, ``ordinal`` from 0. ``problem`` says why vina need not be asked.

    ``text`` is what the input holds; it can be docked when ``kind`` is pdbqt. ``prepared_with``
    names what made PDBQT of another kind.
    """

    ordinal: int
    id: str
    text: bytes
    smiles: str | None = None
    problem: str | None = None
    kind: Literal["pdbqt", "sdf", "smi"] = "pdbqt"
    prepared_with: str | None = None


def bounded_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """A stream's lines. Of one that no ligand may hold only so much is read that this is seen."""
    read = partial(stream.readline, MAX_LIGAND_BYTES + 1)
    while line := read():
        yield line
        while len(line) > MAX_LIGAND_BYTES and not line.endswith(b"\n"):
            line = read()


def numbered(blocks: Iterable[Block], stem: str) -> Iterator[tuple[int, Block, str]]:
    """Each with its number from 0, and what it is called without a name of its own.

    That is ``stem``, with a number from 1 when there are several.
    """
    pairs = enumerate(blocks)
    first = next(pairs, None)
    if first is None:
        return
    second = next(pairs, None)
    if second is None:
        yield 0, first[1], stem
        return
    for ordinal, block in itertools.chain((first, second), pairs):
        yield ordinal, block, f"{stem}_{ordinal + 1}"


def name_of(given: bytes, otherwise: str) -> str:
    """An id of what the input calls a ligand."""
    return given.decode(errors="replace").strip()[:MAX_ID_CHARACTERS] or otherwise


def too_large(size: int) -> str | None:
    """What is wrong with a ligand of that many bytes."""
    if size > MAX_LIGAND_BYTES:
        return f"the ligand has more than {MAX_LIGAND_BYTES} bytes"
    return None


def split_sdf(lines: Iterable[bytes], stem: str) -> Iterator[Ligand]:
    """Cut an SDF into its molecules; a molecule's id is its title, its first line.

    Data items are left out: nothing of them is docked. Form:
    https://discover.3ds.com/ctfile-documentation-request-form
    """
    for ordinal, block, fallback in numbered(_mol_blocks(lines), stem):
        yield Ligand(
            ordinal=ordinal,
            id=name_of(block.lines[0], fallback),
            text=b"\n".join([*block.lines, b""]),
            problem=too_large(block.size),
            kind="sdf",
        )


def split_smiles(lines: Iterable[bytes], stem: str) -> Iterator[Ligand]:
    """Cut a file of one SMILES a line; a molecule's id is what follows its SMILES.

    That is the second column where tabs part them, else the second word. Blank lines and lines
    that begin with # are none.
    """
    wanted = (line for line in lines if line.strip() and not line.startswith(b"#"))
    for ordinal, line, fallback in numbered(wanted, stem):
        problem = too_large(len(line))
        found = None if problem else _SMILES_LINE.fullmatch(line.strip())
        if found is None:
            yield Ligand(ordinal, fallback, b"", problem=problem or "no SMILES", kind="smi")
            continue
        smiles, extension, rest = found.groups(b"")
        columns = rest.split(b"\t") if b"\t" in line else rest.split()
        yield Ligand(
            ordinal=ordinal,
            id=name_of(columns[0] if columns else b"", fallback),
            text=b" ".join(filter(None, (smiles, extension))),
            smiles=smiles.decode(errors="replace"),
            kind="smi",
        )


class _MolBlock:
    """The lines of a molecule up to M  END, without their ends."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.size = 0
        self.ended = False

    def add(self, line: bytes) -> None:
        if self.ended:
            return
        self.size += len(line)
        if self.size <= MAX_LIGAND_BYTES:
            self.lines.append(line.rstrip(b"\r\n"))
        elif not self.lines:
            self.lines.append(b"")
        self.ended = line.startswith(b"M  END")


def _mol_blocks(lines: Iterable[bytes]) -> Iterator[_MolBlock]:
    block = _MolBlock()
    for line in lines:
        if line.startswith(b"$$$$"):
            # An empty record stands for a molecule that its writer had lost.
            block.lines = block.lines or [b""]
            yield block
            block = _MolBlock()
        else:
            block.add(line)
    if any(line.strip() for line in block.lines) or block.size > MAX_LIGAND_BYTES:
        yield block
