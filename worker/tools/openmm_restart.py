"""The restart of a simulation: one zip that holds everything twice, exact and portable.

``checkpoint`` is OpenMM's binary one: bit by bit what the simulation was, random numbers included,
but readable by the same version on the same kind of platform alone. ``state.xml`` is the serialised
State: full precision, readable everywhere. ``about.json`` tells of both, with their SHA-256.
"""

import hashlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

CHECKPOINT, STATE, ABOUT = "checkpoint", "state.xml", "about.json"
# Numbers as text: packing them harder takes seconds and gains little.
_LEVEL = 1
# What zipfile raises where something else was expected; for a strange method, a RuntimeError.
_BROKEN = (
    OSError,
    KeyError,
    EOFError,
    ValueError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class RestartError(Exception):
    """Raised when a restart is cut, changed or none at all."""


@dataclass(frozen=True, slots=True)
class About:
    """At which step a restart was taken, and where: what must agree for the exact one to serve."""

    step: int
    where: Mapping[str, str]
    sha256: Mapping[str, str]


def write_restart(
    path: Path, step: int, where: Mapping[str, str], checkpoint: bytes, state: str
) -> None:
    """Write a restart: whole under its name, or not at all."""
    contents = {CHECKPOINT: checkpoint, STATE: state.encode()}
    about = About(step, where, {name: _digest(body) for name, body in contents.items()})
    passing = path.with_name(f"{path.name}.tmp")
    with passing.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
            for name, body in contents.items():
                archive.writestr(name, body)
            archive.writestr(ABOUT, json.dumps(asdict(about)))
        file.flush()
        os.fsync(file.fileno())
    passing.rename(path)


def read_about(path: Path) -> About:
    """What a restart tells of itself, once all of it has been found whole.

    Raises:
        RestartError: it is not whole.
    """
    about = _about(path)
    for name in (CHECKPOINT, STATE):
        read_member(path, name, about)
    return about


def read_member(path: Path, name: str, about: About) -> bytes:
    """One of the two states.

    Raises:
        RestartError: it is not what was written.
    """
    body = _read(path, name)
    if _digest(body) != about.sha256.get(name):
        raise RestartError(f"{name} in the restart is not what was written")
    return body


def _about(path: Path) -> About:
    try:
        fields = json.loads(_read(path, ABOUT))
        return About(int(fields["step"]), dict(fields["where"]), dict(fields["sha256"]))
    except (ValueError, TypeError, KeyError) as error:
        raise RestartError(f"{ABOUT} in the restart cannot be read: {error}") from error


def _read(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except _BROKEN as error:
        raise RestartError(f"the restart is cut or broken: {error}") from error


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
