"""CHECKPOINT_DIR: a program's folder that is kept in S3 as one object, made only when it is whole.

The object is a tar of the files below ``files/`` and, as its last member, a manifest with what a
tar's reader does not give back: links, empty folders, times, and a SHA-256 of each file. No member
of an archive may have a backslash in its name, so those of files stand there as ``%5C``. A file
whose name ends with ``.tmp`` is no part of it: programs write there and rename.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from worker.archives import ArchiveError, refuse_name, unpack
from worker.confinement import is_foreign
from worker.endings import RestartUnusable

TEMPORARY = ".tmp"
MAX_ENTRIES = 20_000
# How often a running program's folder is looked through, and the share of time that may go into it.
LOOK_EVERY_S = 1.0
LOOKS_SHARE = 0.05
# The kernel's clock for files has a grain; what changed within it could change again unseen.
QUIET_S = 0.02
_RESTLESS_LOOKS = 60
_TRIES = 3
_FILES, _MANIFEST = "files", "manifest.json"
# What file systems take; a name with backslashes is longer in the archive.
_NAME_BYTES = 255

_NOT_OURS = (
    *(ArchiveError, ValueError, KeyError, TypeError, AttributeError),
    *(FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError),
)


class _TornError(Exception):
    """Raised when a file changed, or went away, while it was read."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file, link or empty folder; ``status`` changes with whatever happens to it."""

    kind: str
    status: tuple[int, ...]
    changed_s: float
    executable: bool = False
    size: int = 0
    target: str = ""


class CheckpointFolder:
    """Makes restarts of a folder, and a folder of a restart. ``say`` writes to the journal."""

    def __init__(self, folder: Path, say: Callable[..., None]) -> None:
        self.folder = folder
        self._say = say
        self._seen: Mapping[str, _Entry] = {}
        self._digest: str | None = None
        self._made = 0
        self._look_at = 0.0
        self._restless = 0
        self._told: set[str] = set()

    def restore(self, archive: Path) -> None:
        """Fill the folder with what an earlier attempt kept.

        Raises:
            RestartUnusable: it is not what was kept.
        """
        unpacked = self.folder.with_name("restored")
        unpacked.mkdir(mode=0o700)
        try:
            unpack(archive, unpacked, ".tar")
            manifest = json.loads((unpacked / _MANIFEST).read_bytes())
            _verify(unpacked, manifest["files"])
            for name in manifest["files"]:
                path = _inside(self.folder, name)
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                (unpacked / _member(name)).rename(path)
            self._restore_rest(manifest)
        except _NOT_OURS as error:
            raise RestartUnusable(f"the checkpoint is not whole: {error}") from error
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
        self._digest = _digest(manifest)
        self._seen = _look(self.folder)

    def _restore_rest(self, manifest: Mapping[str, Any]) -> None:
        for name in manifest["folders"]:
            _inside(self.folder, name).mkdir(parents=True, exist_ok=True)
        for name, target in manifest["links"].items():
            path = _inside(self.folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not _leads_inside(name, target):
                raise ValueError(f"link {name} leads out")
            path.symlink_to(target)
        for name, about in manifest["files"].items():
            os.utime(_inside(self.folder, name), ns=(about["mtime_ns"], about["mtime_ns"]))

    def has_changed(self) -> bool:
        """Whether there is something to keep and the program has left it alone for a moment."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        with contextlib.suppress(_TornError, OSError):
            found = _look(self.folder)
            took = time.monotonic() - now
            self._look_at = now + max(LOOK_EVERY_S, took / LOOKS_SHARE)
            if found == self._seen or _is_quiet(found):
                self._restless = 0
                return found != self._seen
        self._restless += 1
        if self._restless >= _RESTLESS_LOOKS:
            self._tell_once("CHECKPOINT_DIR changes all the time: no checkpoint of it is whole")
        return False

    def take(self, *, running: bool) -> Path | None:
        """A restart of the folder as it is; None when it says nothing new or could not be read.

        While the program runs, nothing may change from before the first file is read until after
        the last: then all files are of one moment.
        """
        for _ in range(_TRIES):
            with contextlib.suppress(_TornError):
                found = _look(self.folder)
                if found == self._seen or (running and not _is_quiet(found)):
                    return None
                return self._make(found)
        return None

    def _make(self, found: Mapping[str, _Entry]) -> Path | None:
        if problem := _problem(found):
            self._tell_once(problem)
            return None
        target = self.folder.with_name(f"checkpoint-{self._made}.tar")
        target.unlink(missing_ok=True)
        self._made += 1
        target = self.folder.with_name(f"checkpoint-{self._made}.tar")
        try:
            digest = _write(self.folder, found, target)
        except _TornError:
            target.unlink(missing_ok=True)
            raise
        except OSError as error:
            target.unlink(missing_ok=True)
            self._tell_once(f"the checkpoint could not be copied: {error}")
            return None
        self._seen = found
        if digest == self._digest:
            target.unlink()
            return None
        self._digest = digest
        return target

    def _tell_once(self, why: str) -> None:
        if why not in self._told:
            self._told.add(why)
            self._say("checkpoint_not_kept", why=why)


def _look(folder: Path) -> dict[str, _Entry]:
    """All that is in a folder, by relative name with slashes.

    Raises:
        _TornError: something went away meanwhile.
    """
    try:
        return dict(_entries(folder, "", folder.lstat().st_uid))
    except FileNotFoundError as error:
        raise _TornError from error


def _entries(folder: Path, prefix: str, owner: int) -> Iterator[tuple[str, _Entry]]:
    with os.scandir(folder) as listing:
        for each in sorted(listing, key=lambda found: found.name):
            name, status = prefix + each.name, each.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                inner = dict(_entries(Path(each.path), f"{name}/", owner))
                yield from inner.items()
                if not inner:
                    yield name, _Entry("folder", (), status.st_ctime)
            elif not each.name.endswith(TEMPORARY) and not is_foreign(status, owner):
                yield name, _entry(Path(each.path), status)


def _entry(path: Path, status: os.stat_result) -> _Entry:
    # The time of the last change of status cannot be set by a program, unlike that of its content.
    known = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return _Entry("link", known, status.st_ctime, target=str(path.readlink()))
    kind = "file" if stat.S_ISREG(status.st_mode) else "other"
    executable = bool(status.st_mode & stat.S_IXUSR)
    return _Entry(kind, known, status.st_ctime, executable, status.st_size)


def _is_quiet(found: Mapping[str, _Entry]) -> bool:
    latest = max((entry.changed_s for entry in found.values()), default=0.0)
    return time.time() - latest >= QUIET_S


def _problem(found: Mapping[str, _Entry]) -> str | None:
    if len(found) > MAX_ENTRIES:
        return f"CHECKPOINT_DIR holds {len(found)} files; {MAX_ENTRIES} are kept at most"
    for name, entry in found.items():
        try:
            name.encode()
            if entry.kind == "file":
                _refuse_member(_member(name))
        except UnicodeEncodeError:
            return f"CHECKPOINT_DIR: the name {name!r} is no UTF-8"
        except ArchiveError as error:
            return f"CHECKPOINT_DIR: {error}"
    return None


def _member(name: str) -> str:
    """Where a file lies in the archive; another name for another file."""
    return f"{_FILES}/{name.replace('%', '%25').replace(chr(92), '%5C')}"


def _refuse_member(member: str) -> None:
    """Refuse what could not be unpacked again."""
    refuse_name(member, folder=False)
    if any(len(part.encode()) > _NAME_BYTES for part in member.split("/")):
        raise ArchiveError(f"{member!r} has a part of more than {_NAME_BYTES} bytes")


def _write(folder: Path, found: Mapping[str, _Entry], target: Path) -> str:
    """Write a tar of a folder; returns the digest of what is in it.

    Raises:
        _TornError: the folder was not, or is no more, as it had been found.
        OSError: it cannot be read, or there is no room.
    """
    manifest: dict[str, Any] = {"files": {}, "folders": [], "links": {}}
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, entry in found.items():
            if entry.kind == "file":
                manifest["files"][name] = _add(tar, folder / name, name, entry)
            elif entry.kind == "folder":
                manifest["folders"].append(name)
            elif entry.kind == "link" and _leads_inside(name, entry.target):
                manifest["links"][name] = entry.target
        body = json.dumps(manifest).encode()
        tar.addfile(_header(_MANIFEST, len(body), 0o600), io.BytesIO(body))
    if _look(folder) != found:
        raise _TornError
    return _digest(manifest)


def _add(tar: tarfile.TarFile, path: Path, name: str, entry: _Entry) -> dict[str, Any]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise _TornError from error
    with os.fdopen(descriptor, "rb") as file:
        if _entry(path, os.fstat(descriptor)) != entry:
            raise _TornError
        reader = _Hashing(file)
        header = _header(_member(name), entry.size, 0o700 if entry.executable else 0o600)
        try:
            tar.addfile(header, cast("IO[bytes]", reader))
        except OSError as error:
            if error.errno is None:  # tarfile's own: the file ended early
                raise _TornError from error
            raise
    return {
        "size": entry.size,
        "sha256": reader.hash.hexdigest(),
        "executable": entry.executable,
        "mtime_ns": entry.status[2],
    }


class _Hashing:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = hashlib.sha256()

    def read(self, count: int = -1) -> bytes:
        chunk = self._file.read(count)
        self.hash.update(chunk)
        return chunk


def _header(name: str, size: int, mode: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, mode
    return header


def _digest(manifest: Mapping[str, Any]) -> str:
    """One text for equal contents; files that were only touched are no change."""
    files = {
        name: [about["size"], about["sha256"], about["executable"]]
        for name, about in manifest["files"].items()
    }
    told = json.dumps([files, manifest["folders"], manifest["links"]], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _verify(folder: Path, files: Mapping[str, Any]) -> None:
    """Raise ValueError unless what was unpacked is just these files, as they were."""
    inner = folder / _FILES
    found = {path.relative_to(folder).as_posix() for path in inner.rglob("*") if not path.is_dir()}
    if found != {_member(name) for name in files}:
        raise ValueError("its files are not those of its manifest")
    for name, about in files.items():
        with (folder / _member(name)).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != about["sha256"]:
                raise ValueError(f"{name} is not what was kept")


def _leads_inside(name: str, target: str) -> bool:
    """Whether a relative link stays in the folder; one that leads out means nothing elsewhere."""
    if target.startswith("/"):
        return False
    depth = len(PurePosixPath(name).parts) - 1
    for step in PurePosixPath(target).parts:
        depth += -1 if step == ".." else 1
        if depth < 0:
            return False
    return True


def _inside(folder: Path, name: str) -> Path:
    steps = PurePosixPath(name).parts
    if not steps or ".." in steps or name.startswith("/"):
        raise ValueError(f"{name!r} is no path below the folder")
    return folder.joinpath(*steps)
