"""Checksums of S3: which can be compared, and that they are computed as S3 does."""

import base64
import hashlib
import types
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock import checksums
from drydock.checksums import Checksum, joined_crc32, of_answer

B = "drydock-data"
ETAG = {"ETag": f'"{hashlib.md5(b"body").hexdigest()}"'}
CRC32 = "CnZIcg=="  # of "other"


def reflected_crc(polynomial, bits):
    """A CRC as its definition says it, bit by bit; what awscrt computes by machine."""
    ones = (1 << bits) - 1

    def crc(data, previous=0):
        value = previous ^ ones
        for byte in data:
            value ^= byte
            for _ in range(8):
                value = (value >> 1) ^ (polynomial if value & 1 else 0)
        return value ^ ones

    return crc


@pytest.fixture
def crt(monkeypatch):
    made = types.SimpleNamespace(
        crc32c=reflected_crc(0x82F63B78, 32), crc64nvme=reflected_crc(0x9A6C9329AC4BC9B5, 64)
    )
    monkeypatch.setattr(checksums, "crt", made)


@pytest.fixture
def no_crt(monkeypatch):
    monkeypatch.setattr(checksums, "crt", None)


# The check values of https://reveng.sourceforge.io/crc-catalogue/, and those of hashlib.
CHECKS = [
    ("CRC32", "cbf43926"),
    ("CRC32C", "e3069283"),
    ("CRC64NVME", "ae8b14860a799888"),
    ("SHA1", hashlib.sha1(b"123456789").hexdigest()),
    ("SHA256", hashlib.sha256(b"123456789").hexdigest()),
    ("MD5", hashlib.md5(b"123456789").hexdigest()),
]


@pytest.mark.parametrize(("algorithm", "expected"), CHECKS)
def test_check_values(crt, algorithm, expected):
    running = Checksum(algorithm, b"").start()
    running.update(b"12345")
    running.update(b"")
    running.update(b"6789")
    assert running.digest().hex() == expected


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_pieces_are_as_the_whole(pieces):
    for algorithm in ("CRC32", "SHA1", "SHA256", "MD5"):
        running, whole = Checksum(algorithm, b"").start(), Checksum(algorithm, b"").start()
        for piece in pieces:
            running.update(piece)
        whole.update(b"".join(pieces))
        assert running.digest() == whole.digest()


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256", "MD5"])
def test_what_s3_says_of_the_whole_object_is_compared(no_crt, algorithm):
    value = base64.b64encode(b"1234").decode()
    answer = {**ETAG, f"Checksum{algorithm}": value, "ChecksumType": "FULL_OBJECT"}
    assert of_answer(B, answer) == Checksum(algorithm, b"1234")


@pytest.mark.parametrize("algorithm", ["CRC32C", "CRC64NVME"])
def test_what_needs_awscrt_is_compared_where_it_is(crt, monkeypatch, algorithm):
    answer = {**ETAG, f"Checksum{algorithm}": "MTIzNA==", "ChecksumType": "FULL_OBJECT"}
    assert of_answer(B, answer) == Checksum(algorithm, b"1234")
    monkeypatch.setattr(checksums, "crt", None)
    assert of_answer(B, answer).algorithm == "MD5"


@pytest.mark.parametrize(
    "answer",
    [
        {"ChecksumCRC32": CRC32, "ChecksumType": "COMPOSITE"},
        {"ChecksumCRC32": CRC32 + "-7"},
        {"ChecksumCRC32": "no base64"},
        {},
        {"ETag": ETAG["ETag"][:-1] + '-7"'},
        {**ETAG, "ServerSideEncryption": "aws:kms"},
        {**ETAG, "SSECustomerAlgorithm": "AES256"},
    ],
)
def test_what_says_nothing_of_the_whole_content_is_not_compared(answer):
    assert of_answer(B, answer) is None


@pytest.mark.parametrize("encryption", [{}, {"ServerSideEncryption": "AES256"}])
def test_an_etag_is_the_md5_of_an_object_in_one_piece(encryption):
    expected = Checksum("MD5", hashlib.md5(b"body").digest())
    assert of_answer(B, {**ETAG, **encryption}) == expected
    assert of_answer("lab--usw2-az1--x-s3", {**ETAG, **encryption}) is None


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_crc_of_two_pieces_in_a_row(first, second):
    joined = joined_crc32(zlib.crc32(first), zlib.crc32(second), len(second))
    assert joined == zlib.crc32(first + second)
