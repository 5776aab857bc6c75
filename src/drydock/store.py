"""The only door to S3. Every object that drydock writes goes through :meth:`Store._put`; a large
one goes up in parts, and is there when their upload is completed, under the same condition.

Conditional requests (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html):
``If-None-Match: *`` writes once, ``If-Match`` compares and swaps. S3 may answer 409 to two
conditional writes at once; both callers then look again. What is sent carries a CRC-32 that S3
compares; what is received is compared by botocore where it is read as a whole.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Generator, Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from drydock import multipart
from drydock.checksums import Checksum, of_answer
from drydock.errors import (
    AlreadyExists,
    Changed,
    Conflict,
    DrydockError,
    Malformed,
    NotFound,
    StoreUnavailable,
)
from drydock.s3_session import S3Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_s3 import S3Client

P = ParamSpec("P")
R = TypeVar("R")

_MISSING = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}
_REFUSED = {
    *("403", "AccessDenied", "AllAccessDisabled"),
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"),
}
_FAILED_CONDITION = {"412", "PreconditionFailed"}
# The last: an upload in parts is gone, perhaps because it was completed and the answer was lost.
_RACE = {"409", "ConditionalRequestConflict", "OperationAborted", "NoSuchUpload"}
_BEYOND = {"416", "InvalidRange"}
_RACES = 5


class _Raced(Conflict):
    """Raised when S3 refused a conditional write because another was under way (409)."""


class AccessDenied(DrydockError):
    """Raised when the caller may not do what it asked of S3, or its keys are none."""


class Listed(NamedTuple):
    """An object as a LIST shows it; ``etag`` without its quotation marks."""

    key: str
    size: int
    etag: str


class StoredObject(NamedTuple):
    """An object's bytes (or the range that was asked for), its ETag and its whole size."""

    body: bytes
    etag: str
    size: int


class StoredStream(NamedTuple):
    """An object to read once, from its beginning; ``size`` is that of the whole object.

    ``checksum`` is that of the whole object too, None of a range and where S3 has none to compare.
    """

    body: IO[bytes]
    etag: str
    size: int
    checksum: Checksum | None = None

    def chunks(self, chunk_bytes: int = 1 << 20) -> Generator[bytes, None, None]:
        """The bytes piece by piece; the connection is given back at the end, however it comes.

        Raises:
            StoreUnavailable: reading broke off.
        """
        try:
            while chunk := self.body.read(chunk_bytes):
                yield chunk
        except (BotoCoreError, OSError) as error:
            raise StoreUnavailable(f"reading broke off: {error}") from error
        finally:
            self.body.close()


def _named(error: Exception) -> DrydockError:
    """The error of ours for one of botocore's."""
    if not isinstance(error, ClientError):
        return StoreUnavailable(str(error))
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _MISSING:
        return NotFound(str(error))
    if code in _RACE:
        return _Raced(str(error))
    if code in _FAILED_CONDITION:
        return Conflict(str(error))
    if code in _BEYOND:
        return Malformed(f"the object is shorter than it must be: {error}")
    if code in _REFUSED:
        return AccessDenied(str(error))
    return StoreUnavailable(str(error))


def _translated(call: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(call)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        # botocore lets the last through when the answer to a refused GET breaks off.
        except (ClientError, BotoCoreError, HTTPError) as error:
            raise _named(error) from error

    return wrapper


class Store:
    """S3 as drydock uses it. ``kms_key_id`` encrypts with that key, None with AES256."""

    def __init__(self, client: S3Client, kms_key_id: str | None = None) -> None:
        self._client = client
        self._kms_key_id = kms_key_id

    @classmethod
    def connect(cls, kms_key_id: str | None = None, **credentials: str) -> Store:
        """A store on the environment's credentials and endpoint."""
        config = Config(
            retries={"mode": "adaptive", "max_attempts": 8},
            # What is sent has a CRC-32: another hash of it would add nothing under TLS.
            s3={
                "payload_signing_enabled": False,
                "addressing_style": "path" if _has_own_endpoint() else "auto",
            },
            max_pool_connections=32,
            request_checksum_calculation="when_supported",
            response_checksum_validation="when_supported",
        )
        client = S3Session().create_client(
            "s3", config=config, **cast("dict[str, Any]", credentials)
        )
        return cls(cast("S3Client", client), kms_key_id)

    @property
    def region(self) -> str:
        """The Region that this store speaks to."""
        return self._client.meta.region_name

    def encrypting_with(self, kms_key_id: str | None) -> Store:
        """The same S3, with what is written encrypted by another key."""
        return Store(self._client, kms_key_id)

    def put(
        self, bucket: str, key: str, body: bytes | IO[bytes], *, content_type: str | None = None
    ) -> str:
        """Write an object whatever was there; return its ETag."""
        try:
            return self._put(bucket, key, body, content_type, {})
        except _Raced as error:
            raise StoreUnavailable(str(error)) from error

    def put_once(
        self, bucket: str, key: str, body: bytes | IO[bytes], *, content_type: str | None = None
    ) -> str:
        """Write an object that must not exist yet; return its ETag.

        Raises:
            AlreadyExists: it exists. It may be this very call's: an SDK retry after an answer that
                was lost. Whoever must know reads the object.
            StoreUnavailable: others wrote it each time, so nobody knows whether it exists.
        """
        start = 0 if isinstance(body, bytes) else body.tell()
        for _ in range(_RACES):
            try:
                return self._put(bucket, key, body, content_type, {"IfNoneMatch": "*"})
            except _Raced:
                if not isinstance(body, bytes):
                    body.seek(start)
            except Conflict as error:
                raise AlreadyExists(f"s3://{bucket}/{key} exists already") from error
        raise StoreUnavailable(f"s3://{bucket}/{key} was being written by others {_RACES} times")

    def replace(self, bucket: str, key: str, body: bytes, etag: str) -> str:
        """Write an object if it still has that ETag; return the new one.

        Raises:
            Conflict: somebody else wrote or removed it first.
        """
        try:
            return self._put(bucket, key, body, None, {"IfMatch": f'"{etag}"'})
        except NotFound as error:
            raise Conflict(str(error)) from error

    @_translated
    def _put(
        self,
        bucket: str,
        key: str,
        body: bytes | IO[bytes],
        content_type: str | None,
        condition: dict[str, str],
    ) -> str:
        extra: dict[str, Any] = {"ServerSideEncryption": "AES256"}
        if self._kms_key_id:
            extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._kms_key_id}
        if content_type:
            extra["ContentType"] = content_type
        try:
            if (size := multipart.size_of(body)) > multipart.THRESHOLD_BYTES:
                stream = io.BytesIO(body) if isinstance(body, bytes) else body
                where = {"Bucket": bucket, "Key": key}
                return multipart.upload(self._client, where, stream, size, extra, condition)
            whole = body if isinstance(body, bytes) else body.read()
            extra |= {**condition, "Bucket": bucket, "Key": key, "Body": whole}
            return self._client.put_object(**extra)["ETag"].strip('"')
        except ClientError as error:
            if not isinstance(_named(error), AccessDenied):
                raise
            from drydock.refusals import refused_put  # noqa: PLC0415 - hardly ever needed

            uri = f"s3://{bucket}/{key}"
            raise AccessDenied(refused_put(uri, self._kms_key_id, str(error))) from error

    def get(
        self,
        bucket: str,
        key: str,
        *,
        first_byte: int | None = None,
        last_byte: int | None = None,
        etag: str | None = None,
    ) -> StoredObject:
        """Read an object, or a range of it (both ends inclusive).

        Raises:
            NotFound: there is no such object.
            Changed: its ETag is not ``etag``.
            Malformed: it ends before the range begins.
        """
        stream = self.get_stream(bucket, key, first_byte=first_byte, last_byte=last_byte, etag=etag)
        try:
            body = stream.body.read()
        except (BotoCoreError, OSError) as error:
            raise StoreUnavailable(f"s3://{bucket}/{key}: {error}") from error
        finally:
            stream.body.close()
        return StoredObject(body, stream.etag, stream.size)

    def get_stream(
        self,
        bucket: str,
        key: str,
        *,
        first_byte: int | None = None,
        last_byte: int | None = None,
        etag: str | None = None,
    ) -> StoredStream:
        """Open an object for reading; arguments and errors as for :meth:`get`."""
        extra: dict[str, Any] = {}
        if first_byte is not None or last_byte is not None:
            extra["Range"] = f"bytes={first_byte or 0}-{'' if last_byte is None else last_byte}"
        if etag is not None:
            extra["IfMatch"] = f'"{etag}"'
        try:
            answer = _translated(self._client.get_object)(Bucket=bucket, Key=key, **extra)
        except Conflict as error:
            raise Changed(f"s3://{bucket}/{key} is not the object pinned as {etag}") from error
        body = cast("IO[bytes]", answer["Body"])
        etag = answer["ETag"].strip('"')
        if content_range := answer.get("ContentRange"):
            return StoredStream(body, etag, int(content_range.rpartition("/")[2]))
        return StoredStream(body, etag, answer["ContentLength"], of_answer(bucket, answer))

    @_translated
    def head(self, bucket: str, key: str) -> Listed:
        """Size and ETag of an object.

        Raises:
            NotFound: there is no such object.
        """
        answer = self._client.head_object(Bucket=bucket, Key=key)
        return Listed(key, answer["ContentLength"], answer["ETag"].strip('"'))

    def list(
        self,
        bucket: str,
        prefix: str,
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
        page_size: int = 1000,
    ) -> Iterator[Listed]:
        """The objects below a prefix in S3's order (UTF-8 bytes of the keys), page by page.

        With a delimiter only the direct children; common prefixes are left out.
        """
        for page in self.list_pages(
            bucket, prefix, start_after=start_after, delimiter=delimiter, page_size=page_size
        ):
            yield from page

    def list_pages(
        self,
        bucket: str,
        prefix: str,
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
        page_size: int = 1000,
    ) -> Iterator[Sequence[Listed]]:
        """As :meth:`list`, one list a request."""
        extra: dict[str, Any] = {"StartAfter": start_after} if start_after else {}
        if delimiter:
            extra["Delimiter"] = delimiter
        fetch = _translated(self._client.list_objects_v2)
        while True:
            page = fetch(Bucket=bucket, Prefix=prefix, MaxKeys=page_size, **extra)
            yield [
                Listed(found["Key"], found["Size"], found["ETag"].strip('"'))
                for found in page.get("Contents", [])
            ]
            if not page.get("IsTruncated"):
                return
            extra["ContinuationToken"] = page["NextContinuationToken"]

    @_translated
    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; removing one that is gone is no error."""
        self._client.delete_object(Bucket=bucket, Key=key)

    @_translated
    def delete_if_match(self, bucket: str, key: str, etag: str) -> None:
        """Remove an object if it still has that ETag.

        Raises:
            Conflict: it is another object by now.
        """
        self._client.delete_object(Bucket=bucket, Key=key, IfMatch=f'"{etag}"')

    @_translated
    def bucket_region(self, bucket: str) -> str:
        """The Region a bucket lies in.

        Raises:
            NotFound: there is no such bucket, or it is not ours to see.
        """
        return self._client.head_bucket(Bucket=bucket).get("BucketRegion", "")


def _has_own_endpoint() -> bool:
    """Whether S3 is served by an endpoint without a host name for each bucket."""
    return bool(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"))
