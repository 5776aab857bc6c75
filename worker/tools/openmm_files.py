"""What a simulation is made of, by file: an input alone, an archive of files, and the assets.

A file's role is told by its content (the root element of XML), so that names are the users' own.
A structure is .pdb, .cif or .pdbx; System, State and Integrator are as OpenMM serialises them.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from worker.archives import ArchiveError, form_of, members, open_unpacked

MMCIF = (".cif", ".mmcif", ".pdbx")
STRUCTURES = (".pdb", ".ent", *MMCIF)
PACKED = (".gz", ".bz2")
FORCEFIELD = "forcefield"
ROLES = ("structure", "system", "state", "integrator")
# What may come before the root element of XML, and that element.
_PROLOG = re.compile(rb"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>]*>", re.DOTALL)
_ROOT = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<([A-Za-z]\w*)[\s/>]")
_HEAD_BYTES = 64 << 10
_ROOTS = {
    "System": "system",
    "State": "state",
    "Integrator": "integrator",
    "ForceField": FORCEFIELD,
}


class FilesError(Exception):
    """Raised when the files make no simulation; the message says what is missing or too much."""


@dataclass(frozen=True, slots=True)
class Files:
    """One path for each role that is filled, and force field files in their order."""

    structure: Path | None = None
    system: Path | None = None
    state: Path | None = None
    integrator: Path | None = None
    forcefield: tuple[Path, ...] = field(default=())


def from_assets(assets: Mapping[str, Path]) -> Files:
    """The files that all inputs share: an asset for each kind, else what the dockfiles hold.

    Raises:
        FilesError: an asset is a folder where a file must be, or the other way round.
    """
    folder = assets.get("dockfiles")
    roles, forcefield = ({}, []) if folder is None else _of_folder(folder)
    for role in ROLES:
        if role in assets:
            roles[role] = assets[role]
            if not assets[role].is_file():
                raise FilesError(f"assets.{role} must be one object")
    given = assets.get("forcefield")
    if given is not None:
        forcefield = [given]
        if given.is_dir():
            forcefield = sorted(path for path in given.rglob("*.xml") if path.is_file())
        if not forcefield:
            raise FilesError("assets.forcefield holds no .xml")
    return Files(**roles, forcefield=tuple(forcefield))


def with_input(shared: Files, given: Path, folder: Path) -> Files:
    """The shared files with what an input adds or replaces; ``folder`` takes what is unpacked.

    Raises:
        FilesError: the input is nothing of this kind, or holds two of one.
    """
    try:
        found = _files_of(given, folder)
    except ArchiveError as error:
        raise FilesError(str(error)) from error
    roles, forcefield = _by_role(found)
    if forcefield:  # its scripts are code: it comes from who starts the run
        raise FilesError(f"{forcefield[0].name} is a force field: give it as assets.forcefield")
    if not roles:
        raise FilesError(
            f"the input must be a structure ({', '.join(STRUCTURES)}), a serialised System or "
            "State (.xml), or an archive of such files"
        )
    return replace(shared, **roles)  # type: ignore[arg-type] # none of them is forcefield


def role_of(name: str, path: Path) -> str | None:
    """Which role a file has, or ``forcefield``; None for what is none of ours, such as a README.

    Raises:
        FilesError: XML that is none.
    """
    if name.lower().endswith(STRUCTURES):
        return "structure"
    if not name.lower().endswith(".xml"):
        return None
    with path.open("rb") as file:
        root = _ROOT.match(_PROLOG.sub(b"", file.read(_HEAD_BYTES)))
    if root is None:
        raise FilesError(f"{name} is no XML")
    return _ROOTS.get(root[1].decode())


def _of_folder(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return _by_role([(path.relative_to(folder).as_posix(), path) for path in paths])


def _by_role(found: list[tuple[str, Path]]) -> tuple[dict[str, Path], list[Path]]:
    """One path for each role, and force fields in their order."""
    roles: dict[str, Path] = {}
    forcefield = []
    for name, path in found:
        role = role_of(name, path)
        if role == FORCEFIELD:
            forcefield.append(path)
        elif role in roles:
            raise FilesError(f"there are two for one: {roles[role].name} and {name}")
        elif role is not None:
            roles[role] = path
    return roles, forcefield


def _files_of(given: Path, folder: Path) -> list[tuple[str, Path]]:
    """Names and paths of what is in an input."""
    if form_of(given.name) is None:
        name = given.name
        if not name.lower().endswith(PACKED):
            return [(name, given)]
        name = PurePosixPath(name).stem
        target = folder / name
        with open_unpacked(given) as stream, target.open("xb") as file:
            shutil.copyfileobj(stream, file)
        return [(name, target)]
    found = []
    for number, member in enumerate(members(given)):
        if not member.name.lower().endswith((*STRUCTURES, ".xml")):
            continue
        # The number makes names of several folders one folder's; the name's end is kept.
        target = folder / f"{number}-{PurePosixPath(member.name).name[-100:]}"
        with target.open("xb") as file:
            shutil.copyfileobj(member.stream, file)
        found.append((member.name, target))
    return found
