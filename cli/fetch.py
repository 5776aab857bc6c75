"""Brings the results of a run to this machine."""

from __future__ import annotations

import hashlib
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


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many files were brought, how many were here already, and the bytes of the former."""

    brought: int
    kept: int
    size_bytes: int


def results_of(doors: Doors, run_id: str) -> tuple[str, str, list[Listed]]:
    """Bucket and prefix of a run's results, and the files below it.

    Raises:
        RunNotFound: there is no such run in this stack.
    """
    run = run_of(doors, run_id)
    prefix = run_keys(run).results_folder()
    files = [
        found
        for found in doors.store.list(run.output_bucket, prefix)
        if not found.key.removeprefix(prefix).startswith(_SHARDS)
    ]
    return run.output_bucket, prefix, files


def fetch(doors: Doors, run_id: str, folder: Path, told: Callable[[int], None]) -> Fetched:
    """Bring the results into a folder; ``told`` hears the bytes of each file once it is here.

    A file that is here as it is there stays. One that is being brought has another name until it
    is whole.

    Raises:
        RunNotFound: there is no such run in this stack.
        Malformed: a key would lead out of the folder.
        OSError: the folder cannot be written to.
    """
    bucket, prefix, files = results_of(doors, run_id)

    def bring(found: Listed) -> int:
        path = _within(folder, found.key.removeprefix(prefix))
        size = 0 if _is_here(path, found) else _bring(doors, bucket, found, path)
        told(found.size)
        return size

    sizes = each(bring, files, readers=_AT_ONCE)
    brought = [size for size in sizes if size]
    return Fetched(len(brought), len(files) - len(brought), sum(brought))


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
