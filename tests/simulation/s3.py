"""Amazon S3 as :class:`drydock.store.Store` uses it: strongly consistent, conditional, paged.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html: ``If-None-Match``
answers 412 where an object is, ``If-Match`` 412 where it is another and 404 where none is, and a
conditional write beside another write of its key may be answered 409.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.exceptions import ClientError, IncompleteReadError
from sortedcontainers import SortedDict

from tests.simulation.resources import REGION, resources

if TYPE_CHECKING:
    from tests.simulation.stack import Stack

_PAGE = 1000
_STATUS = {
    "NoSuchKey": 404,
    "NoSuchBucket": 404,
    "404": 404,
    "PreconditionFailed": 412,
    "InvalidRange": 416,
    "ConditionalRequestConflict": 409,
}

Alone = Callable[[], bool]
Watch = Callable[[str, str, "Stored | None", "Stored | None"], None]


@dataclass(frozen=True, slots=True)
class Stored:
    """An object; ``etag`` without quotation marks is its MD5, as without KMS."""

    body: bytes
    etag: str


class BrokenOff(io.BytesIO):
    """An answer whose connection breaks in its middle."""

    def read(self, size: int | None = -1, /) -> bytes:
        whole = len(self.getbuffer())
        rest = whole // 2 - self.tell()
        if rest > 0 and size is not None and size >= 0:
            return super().read(min(rest, size))
        raise IncompleteReadError(actual_bytes=whole // 2, expected_bytes=whole)


class S3:
    """The stack's buckets.

    ``watchers`` are told of every change: bucket, key, before, after. Meanwhile ``condition`` is
    what it was made under: an ETag, ``*`` where nothing was to be there, or None.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        settings = stack.settings
        names = (settings.control_bucket, settings.intake_bucket, *settings.data_buckets)
        self.buckets: dict[str, SortedDict] = {name: SortedDict() for name in names}
        self.calls: Counter[str] = Counter()
        self.watchers: list[Watch] = []
        self.condition: str | None = None
        # Writes of a key, by bucket and key: begun and ended.
        self.begun: Counter[tuple[str, str]] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        self._told = resources(settings).told_of_uploads
        self._numbers = itertools.count(1)

    def client(self) -> S3Client:
        """A client of it; all are alike."""
        return S3Client(self)

    def digest(self) -> list[tuple[str, str, str]]:
        """All that is stored, as a value to compare."""
        return [
            (bucket, key, found.etag)
            for bucket, objects in self.buckets.items()
            for key, found in objects.items()
        ]

    def change(
        self, bucket: str, key: str, after: Stored | None, condition: str | None = None
    ) -> None:
        """Write or remove an object, and tell of it."""
        objects, self.condition = self.buckets[bucket], condition
        before = objects.get(key)
        if after is not None:
            objects[key] = after
        elif before is not None:
            del objects[key]
        for watch in self.watchers:
            watch(bucket, key, before, after)
        self.condition = None
        if after is not None and bucket in self._told:
            self._tell(bucket, key, after)

    def _tell(self, bucket: str, key: str, stored: Stored) -> None:
        detail = {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {
                "key": key,
                "size": len(stored.body),
                "etag": stored.etag,
                "sequencer": f"{next(self._numbers):018X}",
            },
            "request-id": "C3D13FE58DE4C810",
            "reason": "PutObject",
        }
        self.stack.bus.publish(
            {
                "source": "aws.s3",
                "detail-type": "Object Created",
                "resources": [f"arn:aws:s3:::{bucket}"],
                "detail": detail,
            }
        )


class S3Client:
    """The methods of botocore's client that the store calls."""

    meta = SimpleNamespace(region_name=REGION)

    def __init__(self, s3: S3) -> None:
        self._s3 = s3
        self._kernel = s3.stack.kernel

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes | Any,
        IfMatch: str | None = None,
        IfNoneMatch: str | None = None,
        **properties: str,
    ) -> dict[str, Any]:
        del properties
        body = Body if isinstance(Body, bytes) else Body.read()
        after = Stored(body, hashlib.md5(body, usedforsecurity=False).hexdigest())
        name = f"s3 PutObject {Bucket}/{Key}"

        def do(alone: Alone) -> dict[str, Any]:
            before = self._objects("PutObject", Bucket).get(Key)
            if (IfMatch is not None or IfNoneMatch is not None) and not alone():
                self._may_conflict("PutObject", Bucket, Key)
            if IfNoneMatch is not None and before is not None:
                _refuse("PutObject", "PreconditionFailed")
            if IfMatch is not None:
                _must_match("PutObject", before, IfMatch)
            self._s3.change(Bucket, Key, after, IfMatch or IfNoneMatch)
            return {"ETag": f'"{after.etag}"', "ServerSideEncryption": "AES256"}

        return self._write(name, Bucket, Key, do)

    def delete_object(self, *, Bucket: str, Key: str, IfMatch: str | None = None) -> dict[str, Any]:
        def do(alone: Alone) -> dict[str, Any]:
            before = self._objects("DeleteObject", Bucket).get(Key)
            if IfMatch is not None:
                if not alone():
                    self._may_conflict("DeleteObject", Bucket, Key)
                _must_match("DeleteObject", before, IfMatch)
            self._s3.change(Bucket, Key, None, IfMatch)
            return {}

        return self._write(f"s3 DeleteObject {Bucket}/{Key}", Bucket, Key, do)

    def get_object(
        self, *, Bucket: str, Key: str, Range: str | None = None, IfMatch: str | None = None
    ) -> dict[str, Any]:
        def do() -> dict[str, Any]:
            found = self._objects("GetObject", Bucket).get(Key)
            if found is None:
                _refuse("GetObject", "NoSuchKey")
            if IfMatch is not None:
                _must_match("GetObject", found, IfMatch)
            return self._answer(found, Range, f"{Bucket}/{Key}")

        return self._kernel.effect(f"s3 GetObject {Bucket}/{Key}", do, writes=False)

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        def do() -> dict[str, Any]:
            # A HEAD has no body that could say more than the status.
            found = self._objects("HeadObject", Bucket, "404").get(Key)
            if found is None:
                _refuse("HeadObject", "404")
            return {"ETag": f'"{found.etag}"', "ContentLength": len(found.body)}

        return self._kernel.effect(f"s3 HeadObject {Bucket}/{Key}", do, writes=False)

    def head_bucket(self, *, Bucket: str) -> dict[str, Any]:
        def do() -> dict[str, Any]:
            self._objects("HeadBucket", Bucket, "404")
            return {"BucketRegion": REGION}

        return self._kernel.effect(f"s3 HeadBucket {Bucket}", do, writes=False)

    def list_objects_v2(
        self,
        *,
        Bucket: str,
        Prefix: str = "",
        MaxKeys: int = _PAGE,
        StartAfter: str | None = None,
        ContinuationToken: str | None = None,
        Delimiter: str | None = None,
    ) -> dict[str, Any]:
        def do() -> dict[str, Any]:
            objects = self._objects("ListObjectsV2", Bucket)
            after = ContinuationToken or StartAfter
            start = objects.bisect_left(Prefix)
            if after is not None:
                start = max(start, objects.bisect_right(after))
            listing = Listing(objects, Prefix, Delimiter, min(MaxKeys, _PAGE))
            return listing.page(start, ContinuationToken)

        return self._kernel.effect(f"s3 ListObjectsV2 {Bucket}/{Prefix}", do, writes=False)

    def _objects(self, call: str, bucket: str, absent: str = "NoSuchBucket") -> SortedDict:
        self._s3.calls[call] += 1
        if bucket not in self._s3.buckets:
            _refuse(call, absent)
        return self._s3.buckets[bucket]

    def _write(self, name: str, bucket: str, key: str, do: Callable[[Alone], Any]) -> Any:
        begun, ended, place = self._s3.begun, self._s3.ended, (bucket, key)
        others = begun[place] - ended[place]
        begun[place] += 1
        mine = begun[place]
        try:
            # Nobody wrote it when this began, and nobody began to since.
            return self._kernel.effect(
                name, lambda: do(lambda: not others and begun[place] == mine), writes=True
            )
        finally:
            ended[place] += 1

    def _may_conflict(self, call: str, bucket: str, key: str) -> None:
        if self._kernel.chooser.happens(f"{call} {bucket}/{key}", "409"):
            self._kernel.note(self._kernel.current, f"s3 {call} {bucket}/{key}: 409")
            _refuse(call, "ConditionalRequestConflict")

    def _answer(self, found: Stored, wanted: str | None, name: str) -> dict[str, Any]:
        body, size = found.body, len(found.body)
        answer: dict[str, Any] = {"ETag": f'"{found.etag}"', "ServerSideEncryption": "AES256"}
        if wanted is not None:
            first, last = _bounds(wanted, size)
            body = body[first : last + 1]
            answer["ContentRange"] = f"bytes {first}-{last}/{size}"
        chooser = self._kernel.chooser
        breaks = bool(body) and self._kernel.current is not None
        breaks = breaks and chooser.happens(f"GetObject {name}", "answer breaks off")
        if breaks:
            self._kernel.note(self._kernel.current, f"s3 GetObject {name}: breaks off")
        answer["Body"] = (BrokenOff if breaks else io.BytesIO)(body)
        return answer | {"ContentLength": len(body)}


def _bounds(wanted: str, size: int) -> tuple[int, int]:
    """The first and the last byte of ``bytes=a-b``, or of ``bytes=a-``."""
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last), size - 1) if last else size - 1
    if start >= size or end < start:
        _refuse("GetObject", "InvalidRange")
    return start, end


@dataclass(frozen=True)
class Listing:
    """A list of objects, or of folders and what lies beside them, in pages of ``most``."""

    objects: SortedDict
    prefix: str
    delimiter: str | None
    most: int

    def page(self, start: int, token: str | None) -> dict[str, Any]:
        """The page from a place on; a token is the last key or folder of the page before."""
        found: list[dict[str, Any]] = []
        folders: list[str] = []
        last = token or ""
        # Text is compared by code points, which is the order of its UTF-8.
        for key in self.objects.islice(start):
            if not key.startswith(self.prefix):
                break
            folder = self._folder(key)
            if folder is not None and folder == last:
                continue
            if len(found) + len(folders) == self.most:
                page = _contents(found, folders)
                return page | {"IsTruncated": True, "NextContinuationToken": last}
            if folder is None:
                stored = self.objects[key]
                found.append({"Key": key, "Size": len(stored.body), "ETag": f'"{stored.etag}"'})
            else:
                folders.append(folder)
            last = folder or key
        return _contents(found, folders) | {"IsTruncated": False}

    def _folder(self, key: str) -> str | None:
        if not self.delimiter:
            return None
        end = key.find(self.delimiter, len(self.prefix))
        return None if end < 0 else key[: end + len(self.delimiter)]


def _contents(found: list[dict[str, Any]], folders: list[str]) -> dict[str, Any]:
    answer: dict[str, Any] = {"KeyCount": len(found) + len(folders)}
    if found:
        answer["Contents"] = found
    if folders:
        answer["CommonPrefixes"] = [{"Prefix": folder} for folder in folders]
    return answer


def _must_match(call: str, found: Stored | None, etag: str) -> None:
    if found is None:
        _refuse(call, "NoSuchKey")
    if found.etag != etag.strip('"'):
        _refuse(call, "PreconditionFailed")


def _refuse(call: str, code: str) -> NoReturn:
    answer: Any = {
        "Error": {"Code": code, "Message": code},
        "ResponseMetadata": {"HTTPStatusCode": _STATUS[code]},
    }
    raise ClientError(answer, call)
