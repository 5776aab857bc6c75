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
from worker.tools.pdbqt import split_ligands

_Split = Callable[[Iterable[bytes], str], Iterator[Ligand]]

SPLITTERS: dict[str, _Split] = {
    ".pdbqt": split_ligands,
    ".sdf": split_sdf,
    ".sd": split_sdf,
    ".smi": split_smiles,
    ".smiles": split_smiles,
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
    split = _splitter(name) or split_ligands
    return split(bounded_lines(stream), stem)


def _splitter(name: str) -> _Split | None:
    name = name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return SPLITTERS.get(PurePosixPath(name).suffix)
