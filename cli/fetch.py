"""Brings the results of a run to this machine."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cli.look import Doors, run_of
from drydock.concurrency import each
from drydock.detection import run_keys
from drydock.errors import Malformed
from drydock.store import Listed

_AT_ONCE = 8
# What each shard left for MergeResults is in the merged files, but for the tables of all scores.
_SHARDS = "shards/"
# Says in a folder whose results it holds: run.json comes with a run's end alone.
_CLAIM = ".run_id"
_TABLES = "scores/shard=*/*.parquet"
_TABLE = re.compile(r"scores/shard=\d{6,}/\d{5,}\.parquet")


class OtherRun(Exception):
    """Raised when a folder holds what is not this run's; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many files were brought, how many were here already, and the bytes of the former.

    ``removed`` were here and are no longer among the results.
    """

    brought: int
    kept: int
    size_bytes: int
    removed: int = 0


def results_of(doors: Doors, run_id: str) -> tuple[str, str, list[Listed]]:
    """Bucket and prefix of a run's results, and the files below it.

    What consoles make to show a folder (a key that ends with a slash) is no file.

    Raises:
        RunNotFound: there is no such run in this stack.
    """
    run = run_of(doors, run_id)
    prefix = run_keys(run).results_folder()
    files = [
        found
        for found in doors.store.list(run.output_bucket, prefix)
        if not found.key.removeprefix(prefix).startswith(_SHARDS) and not found.key.endswith("/")
    ]
    return run.output_bucket, prefix, files


def fetch(doors: Doors, run_id: str, folder: Path, told: Callable[[int], None]) -> Fetched:
    """Bring the results into a folder; ``told`` hears the bytes of each file once it is here.

    A file that is here as it is there stays. One that is being brought has another name until it
    is whole. A table of scores that is no longer there is removed: whoever reads all tables of the
    folder would count it.

    Raises:
        RunNotFound: there is no such run in this stack.
        OtherRun: the folder holds the results of another run.
        Malformed: a key would lead out of the folder.
        OSError: the folder cannot be written to.
    """
    bucket, prefix, files = results_of(doors, run_id)

    names = {found.key.removeprefix(prefix) for found in files}
    if names:
        _claim(folder, run_id)

    def bring(found: Listed) -> int:
        path = _within(folder, found.key.removeprefix(prefix))
        size = 0 if _is_here(path, found) else _bring(doors, bucket, found, path)
        told(found.size)
        return size

    sizes = each(bring, files, readers=_AT_ONCE)
    brought = [size for size in sizes if size]
    removed = _remove_all_but(folder, names)
    return Fetched(len(brought), len(files) - len(brought), sum(brought), removed)


def _claim(folder: Path, run_id: str) -> None:
    """Let the folder say whose results it holds, before the first of them is there.

    Raises:
        OtherRun: it holds what is not this run's, or what may not be.
    """
    said = {said for said in (_claimed_by(folder), _ended_as(folder)) if said is not None}
    for other in said - {run_id}:
        what = f"results of run {other}" if other else "a run.json that is of no run"
        raise OtherRun(f"{folder} holds {what}, not those of {run_id}: choose another --to")
    if not said and any(folder.glob(_TABLES)):
        raise OtherRun(f"{folder} holds scores, and nothing says whose: choose another --to")
    if _claimed_by(folder) is None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _CLAIM).write_text(run_id)


def _claimed_by(folder: Path) -> str | None:
    """The run whose results the folder holds; None where that was not said."""
    path = folder / _CLAIM
    return (path.read_text(errors="replace").strip() or None) if path.exists() else None


def _ended_as(folder: Path) -> str | None:
    """The run of the folder's run.json: empty of one that is no run's, None where there is none."""
    path = folder / "run.json"
    if not path.exists():
        return None
    try:
        return str(json.loads(path.read_bytes())["run_id"])
    except (ValueError, KeyError, TypeError):
        return ""


def _remove_all_but(folder: Path, names: set[str]) -> int:
    """Remove the tables of scores that are not among the names; how many there were.

    Links are left alone, and so is everything where S3 has no table any more: this is a copy of it.
    """
    if not any(map(_TABLE.fullmatch, names)) or (folder / "scores").is_symlink():
        return 0
    here = {path.relative_to(folder).as_posix(): path for path in folder.glob(_TABLES)}
    gone = [
        path
        for name, path in here.items()
        if _TABLE.fullmatch(name)
        and name not in names
        and not (path.is_symlink() or path.parent.is_symlink())
    ]
    for path in gone:
        path.unlink()
    return len(gone)


def _within(folder: Path, name: str) -> Path:
    """Anybody who may write to the bucket may have put any key there."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise Malformed(f"{name!r} among the results would lead out of {folder}")
    return path


def _bring(doors: Doors, bucket: str, found: Listed, path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    stream = doors.store.get_stream(bucket, found.key, etag=found.etag)
    with unfinished.open("wb") as file:
        for chunk in stream.chunks():
            file.write(chunk)
    unfinished.replace(path)
    return found.size


def _is_here(path: Path, found: Listed) -> bool:
    """Whether the file has the object's bytes: an ETag is their MD5, but for uploads in parts.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    if not path.is_file() or path.stat().st_size != found.size:
        return False
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest() == found.etag
