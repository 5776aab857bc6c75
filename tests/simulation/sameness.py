"""When two small worlds are the same: what they hold, and what their processes have learned.

The less is told apart, the sooner a search ends; whatever could make a difference must be told
apart. Left out, or made alike, is this:

- Names that were made up are alike: where one world has the first and another the second in the
  same places, nothing can follow in one that cannot follow in the other, for nobody orders by them.
- A round's objects and an outcome's have such a name. Where nobody knows it any more, neither a
  document, a job nor a process, nobody will ever read them.
- A turn of ``advance`` begins with a look at everything and takes nothing along from the turn
  before, so that what its process learned in that one has no bearing any more. (The count of turns
  goes along; a history in which it matters would be one in which others changed the document fifty
  times.)
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from drydock import advancing, documents, resubmission, stopping, submission
from drydock.run_document import parse_run_document
from drydock.shard_document import parse_shard_document
from tests.simulation.s3 import S3, Stored

_MADE = re.compile(r"/(?:rounds|frozen)/.*([0-9a-f]{16})")


class Contents:
    """What S3 holds beyond what it held at first, kept up to date with each change.

    ``names`` are the names that were made up so far.
    """

    def __init__(self, s3: S3, names: list[str]) -> None:
        self._names = names
        self._sum = 0
        self._texts: dict[tuple[str, str], str] = {}
        self._made: dict[str, dict[str, str]] = {}
        s3.watchers.append(self._watch)

    @property
    def containers(self) -> tuple[dict[Any, Any], ...]:
        """What it holds, to be kept and brought back."""
        return self._texts, self._made

    def knows_name(self, text: str) -> bool:
        """Whether one of the names is in a text."""
        return any(name in text for name in self._names)

    def text(self, rest: str) -> str:
        """All of it and the rest, with the names in the order in which they come."""
        whole = "\0".join([f"{self._sum:x}", *sorted(self._texts.values()), rest])
        for name in sorted(filter(whole.__contains__, self._made), key=whole.index):
            whole += "\0".join(sorted(self._made[name].values()))
        known = sorted(filter(whole.__contains__, self._names), key=whole.index)
        for number, name in enumerate(known):
            whole = whole.replace(name, f"#{number}")
        return whole

    def _watch(self, bucket: str, key: str, before: Stored | None, after: Stored | None) -> None:
        made = _MADE.search(key)
        if made is not None:
            self._keep_made(made[1], f"{bucket}/{key}", after)
            return
        old = self._texts.pop((bucket, key), None)
        if before is not None and old is None:
            self._sum -= _number(bucket, key, before.etag)
        if after is None:
            return
        text = f"{bucket}/{key}={after.body.decode('latin-1')}"
        if self.knows_name(text):
            self._texts[bucket, key] = text
        else:
            self._sum += _number(bucket, key, after.etag)

    def _keep_made(self, name: str, where: str, after: Stored | None) -> None:
        objects = {key: text for key, text in self._made.get(name, {}).items() if key != where}
        if after is not None:
            body = after.body.replace(name.encode(), b"")
            objects[where] = f"{where}={hashlib.md5(body, usedforsecurity=False).hexdigest()}"
        self._made[name] = objects


@functools.lru_cache(4096)
def _number(bucket: str, key: str, etag: str) -> int:
    text = f"{bucket}/{key} {etag}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())


def learned(effect: str, answer: Any, contents: Contents) -> str:
    """What an answer of S3 or another service tells, as short as it can be told.

    What was read is told by its ETag; where names are in it by its text, for they may be alike.
    That a write succeeded is told by that: what was written its process made of what it knew.
    """
    if isinstance(answer, Exception):
        return f"{effect}: {type(answer).__name__} {answer}"
    if not isinstance(answer, dict):
        return f"{effect}: {answer!r}"
    if "Body" in answer:
        body = answer["Body"].getvalue().decode("latin-1")
        told = body if contents.knows_name(body) else f"{answer['ETag']} {len(body)}"
        return f"{effect}: {told}"
    if effect.startswith("s3 PutObject"):
        return effect
    return f"{effect}: {answer!r}"


@contextmanager
def turns_begin_anew() -> Iterator[None]:
    """Have processes forget what they learned in the turn of ``advance`` before."""
    advance, look = advancing.advance, advancing._look
    marks: dict[Any, int] = {}

    def advance_anew(services: Any, *arguments: Any) -> Any:
        kernel = services.jobs.kernel
        if kernel.current is not None:
            marks[kernel.current] = kernel.chooser.mark(kernel.current)
        try:
            return advance(services, *arguments)
        finally:
            marks.pop(kernel.current, None)

    def look_anew(services: Any, *arguments: Any) -> Any:
        kernel = services.jobs.kernel
        if kernel.current is not None:
            kernel.chooser.forget(kernel.current, marks[kernel.current])
        return look(services, *arguments)

    def kept(read: Any) -> Any:
        # What is read of the same bytes is the same, and nobody changes it.
        return functools.lru_cache(1024)(read)

    with (
        mock.patch.object(documents, "parse_run_document", kept(parse_run_document)),
        mock.patch.object(documents, "parse_shard_document", kept(parse_shard_document)),
        mock.patch.object(submission, "parse_tasks", kept(submission.parse_tasks)),
        mock.patch.object(advancing, "_look", look_anew),
        mock.patch.object(advancing, "advance", advance_anew),
        mock.patch.object(stopping, "advance", advance_anew),
        mock.patch.object(resubmission, "advance", advance_anew),
    ):
        yield
