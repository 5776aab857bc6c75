"""A directory that holds what is in S3, object by object, so that it outlives the embedded AWS.

    <directory>/s3/<bucket>/<key>        the object itself, a file that anybody can open
    <directory>/s3-index/<bucket>.jsonl  what a file cannot say: ETag, metadata, encryption
    <directory>/tmp/                     files not yet whole

A file comes into its place by a rename, after its line in the index: whenever the process is
killed, the file is one whole object, and the line that fits it (same key, same MD5) is there.
Only the current version of an object is kept, without tags.
"""

import contextlib
import hashlib
import json
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local.s3_paths import beside_folder, key_of, relative_path


@dataclass(frozen=True)
class ObjectFacts:
    """What S3 knows of an object beside its bytes. `etag` is without quotes."""

    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    encryption: str | None = None
    kms_key_id: str | None = None


@dataclass(frozen=True)
class StoredObject:
    """An object as it was read back; `modified_s` is seconds since 1970."""

    key: str
    body: bytes
    facts: ObjectFacts
    modified_s: float


class S3Mirror:
    """Writes objects through to a directory and reads them back; safe to call from many threads."""

    def __init__(self, directory: Path) -> None:
        self._objects = directory / "s3"
        self._index = directory / "s3-index"
        self._unfinished = directory / "tmp"
        shutil.rmtree(self._unfinished, ignore_errors=True)
        for folder in (self._objects, self._index, self._unfinished):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()

    def buckets(self) -> list[str]:
        """The buckets that are there, in order of their names."""
        return sorted(path.name for path in self._objects.iterdir() if path.is_dir())

    def add_bucket(self, bucket: str) -> None:
        """Make the bucket's folder, if it is not there."""
        (self._objects / bucket).mkdir(exist_ok=True)

    def remove_bucket(self, bucket: str) -> None:
        """Remove an empty bucket with whatever folders its objects left."""
        shutil.rmtree(self._objects / bucket, ignore_errors=True)
        (self._index / f"{bucket}.jsonl").unlink(missing_ok=True)

    def write(self, bucket: str, key: str, body: bytes, facts: ObjectFacts) -> None:
        """Put the object into its place, whole or not at all. Raises OSError (a full disk)."""
        unfinished = self._unfinished / uuid.uuid4().hex
        unfinished.write_bytes(body)
        line = {"key": key, "md5": _md5(body), **asdict(facts)}
        with self._lock:
            self._append(bucket, line)
            unfinished.replace(self._place_for(bucket, key))

    def remove(self, bucket: str, key: str) -> None:
        """Remove the object, if it is there."""
        with self._lock:
            plain = self._objects / bucket / relative_path(key)
            for path in (plain, Path(beside_folder(str(plain)))):
                if path.is_file():
                    path.unlink()

    def objects(self, bucket: str) -> Iterator[StoredObject]:
        """Every object of the bucket; a file that was put there by hand is one too.

        Read them to the end before the first write: then the index is written anew.
        """
        lines, found = self._read_index(bucket), {}
        root = self._objects / bucket
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            key, body = key_of(path.relative_to(root).as_posix()), path.read_bytes()
            md5 = _md5(body)
            line = found[key, md5] = lines.get((key, md5), {"etag": md5})
            yield StoredObject(key, body, ObjectFacts(**line), path.stat().st_mtime)
        self._write_index(bucket, found)

    def _place_for(self, bucket: str, key: str) -> Path:
        """The file for `key`, with its folders made and whatever stands in the way moved aside."""
        root = self._objects / bucket
        plain = root / relative_path(key)
        for folder in reversed(plain.relative_to(root).parents):
            in_the_way = root / folder
            if in_the_way.is_file():
                in_the_way.rename(beside_folder(str(in_the_way)))
            in_the_way.mkdir(parents=True, exist_ok=True)
        beside = Path(beside_folder(str(plain)))
        return beside if beside.is_file() or plain.is_dir() else plain

    def _append(self, bucket: str, line: Mapping[str, Any]) -> None:
        with (self._index / f"{bucket}.jsonl").open("a", encoding="utf-8") as index:
            index.write(json.dumps(line) + "\n")

    def _read_index(self, bucket: str) -> dict[tuple[str, str], dict[str, Any]]:
        """The last line of each key and MD5; a line that a kill cut short says nothing."""
        lines: dict[tuple[str, str], dict[str, Any]] = {}
        with contextlib.suppress(FileNotFoundError):
            text = (self._index / f"{bucket}.jsonl").read_text(encoding="utf-8")
            for row in text.splitlines():
                with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError):
                    line = json.loads(row)
                    lines[line.pop("key"), line.pop("md5")] = line
        return lines

    def _write_index(self, bucket: str, lines: Mapping[tuple[str, str], dict[str, Any]]) -> None:
        unfinished = self._unfinished / uuid.uuid4().hex
        with unfinished.open("w", encoding="utf-8") as index:
            for (key, md5), line in lines.items():
                index.write(json.dumps({"key": key, "md5": md5, **line}) + "\n")
        unfinished.replace(self._index / f"{bucket}.jsonl")


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
