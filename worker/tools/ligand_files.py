"""The ligands of an input: a file of one kind, packed or not, or an archive of such files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import PurePosixPath
from typing import IO

from worker.archives import ArchiveError, form_of, members, open_unpacked
from worker.endings import InputFailed
from worker.tools import FetchedInput
from worker.tools.ligands import Ligand, bounded_lines, split_sdf, split_smiles
from worker.tools.pdbqt import lines_in_runs, split_ligands

_Lines = Callable[[IO[bytes]], Iterator[bytes]]
_Split = Callable[[Iterable[bytes], str], Iterator[Ligand]]

_PDBQT = (lines_in_runs, split_ligands)
_SDF = (bounded_lines, split_sdf)
_SMILES = (bounded_lines, split_smiles)
# How a kind's lines are read, and its ligands of them.
SPLITTERS: dict[str, tuple[_Lines, _Split]] = {
    ".pdbqt": _PDBQT,
    ".sdf": _SDF,
    ".sd": _SDF,
    ".smi": _SMILES,
    ".smiles": _SMILES,
}
PACKED = (".gz", ".bz2")


def read_ligands(fetched: FetchedInput, after: int) -> Iterator[Ligand]:
    """The ligands of an input from the ``after``'th on, one at a time, in the input's order.

    An archive's members with other endings than :data:`SPLITTERS` has are passed over; another
    file is taken for PDBQT, whatever its name.

    Raises:
        InputFailed: ``bad_input``; what is packed is cut, broken or hostile.
    """
    try:
        yield from islice(_all_of(fetched), after, None)
    except ArchiveError as error:
        raise InputFailed("bad_input", str(error)) from error


def _all_of(fetched: FetchedInput) -> Iterator[Ligand]:
    if form_of(fetched.path.name) is None:
        with open_unpacked(fetched.path) as stream:
            yield from _split(stream, fetched.path.name, fetched.stem)
        return
    ordinals = count()
    for member in members(fetched.path):
        if _splitter(member.name) is not None:
            stem = PurePosixPath(member.name).name.split(".")[0] or fetched.stem
            for ligand in _split(member.unpacked(), member.name, stem):
                yield replace(ligand, ordinal=next(ordinals))


def _split(stream: IO[bytes], name: str, stem: str) -> Iterator[Ligand]:
    lines, split = _splitter(name) or _PDBQT
    return split(lines(stream), stem)


def _splitter(name: str) -> tuple[_Lines, _Split] | None:
    name = name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return SPLITTERS.get(PurePosixPath(name).suffix)
