"""Uploading a large object in parts, in bounded memory. :mod:`drydock.store` alone calls it.

A multipart upload is an object only when it is completed, and the completion takes the same
conditions as PutObject. S3 compares the CRC-32 of every part and that of the whole object
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
"""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import zlib
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from drydock.checksums import joined_crc32

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# What is not larger goes up by one PutObject.
THRESHOLD_BYTES = 16 << 20
PART_BYTES = 8 << 20
MAX_PARTS = 10_000
# Parts in memory at once: those under way, and the one being read.
_SENDERS = 4
_GRAIN_BYTES = 1 << 20


class _Sent(NamedTuple):
    part: CompletedPartTypeDef
    checksum: int
    size: int


def size_of(body: bytes | IO[bytes]) -> int:
    """How many bytes a body has from where it stands."""
    if isinstance(body, bytes):
        return len(body)
    start = body.tell()
    size = body.seek(0, os.SEEK_END) - start
    body.seek(start)
    return size


def part_bytes(size: int) -> int:
    """How large the parts of an object of ``size`` bytes are, so that S3 takes their number."""
    least = -(-size // MAX_PARTS)
    return max(PART_BYTES, -(-least // _GRAIN_BYTES) * _GRAIN_BYTES)


def upload(
    client: S3Client,
    where: Mapping[str, str],
    body: IO[bytes],
    size: int,
    properties: Mapping[str, Any],
    condition: Mapping[str, Any],
) -> str:
    """Upload ``size`` bytes of ``body`` from where it stands; returns the ETag, unquoted.

    ``where`` names bucket and key, ``properties`` are the object's (its encryption above all).
    Whatever goes wrong, nothing is left behind that costs storage, as far as S3 can be reached.

    Raises:
        ClientError, BotoCoreError: as S3 answers. After a 409 the upload is gone and has to be
            begun anew.
        OSError: the body ends early.
    """
    target: dict[str, Any] = dict(where)
    created = client.create_multipart_upload(
        **target, **properties, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )
    target["UploadId"] = created["UploadId"]
    try:
        parts, checksum = _send(client, target, body, size)
        answer = client.complete_multipart_upload(
            **target,
            **condition,
            MultipartUpload={"Parts": parts},
            ChecksumCRC32=checksum,
            ChecksumType="FULL_OBJECT",
            MpuObjectSize=size,
        )
    except BaseException:
        with contextlib.suppress(ClientError, BotoCoreError):
            client.abort_multipart_upload(**target)
        raise
    return answer["ETag"].strip('"')


def _send(
    client: S3Client, target: Mapping[str, Any], body: IO[bytes], size: int
) -> tuple[list[CompletedPartTypeDef], str]:
    """Send all parts; returns them in order, and the checksum of the whole."""

    def send(number: int, chunk: bytes) -> _Sent:
        checksum = zlib.crc32(chunk)
        text = _base64(checksum)
        answer = client.upload_part(**target, PartNumber=number, Body=chunk, ChecksumCRC32=text)
        part: CompletedPartTypeDef = {
            "PartNumber": number,
            "ETag": answer["ETag"],
            "ChecksumCRC32": text,
        }
        return _Sent(part, checksum, len(chunk))

    sent: list[Future[_Sent]] = []
    with ThreadPoolExecutor(_SENDERS, thread_name_prefix="parts") as pool:
        try:
            under_way: set[Future[_Sent]] = set()
            for number, chunk in enumerate(_chunks(body, size), start=1):
                sent.append(pool.submit(send, number, chunk))
                under_way.add(sent[-1])
                while len(under_way) >= _SENDERS:
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for part in done:
                        part.result()
            done_parts = [part.result() for part in sent]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    whole = functools.reduce(
        lambda checksum, part: joined_crc32(checksum, part.checksum, part.size), done_parts, 0
    )
    return [part.part for part in done_parts], _base64(whole)


def _base64(checksum: int) -> str:
    return base64.b64encode(checksum.to_bytes(4, "big")).decode()


def _chunks(body: IO[bytes], size: int) -> Iterator[bytes]:
    step = part_bytes(size)
    for start in range(0, size, step):
        wanted = min(step, size - start)
        chunk = body.read(wanted)
        if len(chunk) != wanted:
            raise OSError(f"the file became shorter than {size} bytes while it was sent")
        yield chunk
