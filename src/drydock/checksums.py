"""What S3 says of an object's content, and computing the same while the object is received.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html: a checksum of
the whole object can be compared; one that is made of its parts' checksums (``COMPOSITE``, or with
``-<parts>`` at its end) cannot, by somebody who does not know the parts. CRC-32C and CRC-64/NVME
are computed where the package ``awscrt`` is installed.
"""

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

try:
    from awscrt import checksums as crt
except ImportError:
    crt = None

_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


class Running(Protocol):
    """A checksum on its way through an object."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""

    def digest(self) -> bytes:
        """The checksum of all bytes so far."""


class Checksum(NamedTuple):
    """What an object's checksum must be; ``algorithm`` is one that can be computed here."""

    algorithm: str
    expected: bytes

    def start(self) -> Running:
        """A fresh computation."""
        return _MAKERS[self.algorithm]()


class _Crc:
    def __init__(self, function: Callable[[bytes, int], int], size_bytes: int) -> None:
        self._function = function
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")


# The quickest first.
_MAKERS: dict[str, Callable[[], Running]] = {
    "CRC64NVME": lambda: _Crc(crt.crc64nvme, 8),
    "CRC32C": lambda: _Crc(crt.crc32c, 4),
    "CRC32": lambda: _Crc(zlib.crc32, 4),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "MD5": lambda: hashlib.md5(usedforsecurity=False),
}
# CRC-32's polynomial as zlib writes it: the highest bit is the coefficient of x to the 0th.
_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31
_X = 1 << 30
_OF_CRT = ("CRC64NVME", "CRC32C")


def joined_crc32(first: int, second: int, second_bytes: int) -> int:
    """The CRC-32 of two pieces in a row, from those of each and the second one's length.

    Every byte that follows multiplies what was before by x to the 8th, modulo the polynomial.
    """
    shift, factor, power = _ONE, _X, 8 * second_bytes
    while power:
        if power & 1:
            shift = _product(shift, factor)
        factor = _product(factor, factor)
        power >>= 1
    return _product(first, shift) ^ second


def _product(first: int, second: int) -> int:
    """Of two polynomials, modulo that of CRC-32."""
    product = 0
    for bit in range(31, -1, -1):
        if first >> bit & 1:
            product ^= second
        second = (second >> 1) ^ (_POLYNOMIAL if second & 1 else 0)
    return product


def of_answer(bucket: str, answer: Mapping[str, Any]) -> Checksum | None:
    """The checksum in an answer to GetObject for a whole object; None without one to compare."""
    if answer.get("ChecksumType") != "COMPOSITE":
        for algorithm in _MAKERS:
            text = answer.get(f"Checksum{algorithm}", "")
            if text and "-" not in text and (crt is not None or algorithm not in _OF_CRT):
                return _checksum(algorithm, text)
    return _of_etag(bucket, answer)


def _checksum(algorithm: str, text: str) -> Checksum | None:
    try:
        return Checksum(algorithm, base64.b64decode(text, validate=True))
    except binascii.Error:
        return None


def _of_etag(bucket: str, answer: Mapping[str, Any]) -> Checksum | None:
    """The ETag is the content's MD5, unless KMS or the user's key encrypts, or it has parts.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html; directory buckets, whose names
    end with --x-s3, have other ETags.
    """
    plain = answer.get("ServerSideEncryption", "AES256") == "AES256"
    match = _MD5.fullmatch(answer.get("ETag", ""))
    if match is None or not plain or "SSECustomerAlgorithm" in answer or bucket.endswith("--x-s3"):
        return None
    return Checksum("MD5", bytes.fromhex(match[1]))
