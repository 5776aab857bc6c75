"""Large objects go up in parts: the same conditions, encryption and errors, and nothing is left."""

import base64
import io
import threading
import zlib

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from drydock import multipart
from drydock.errors import AlreadyExists, StoreUnavailable
from drydock.store import Store

B = "drydock-data"
# S3 takes no smaller parts, but the last.
MIB = 1 << 20
BODY = bytes(range(256)) * (12 * MIB // 256)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(multipart, "THRESHOLD_BYTES", MIB)
    monkeypatch.setattr(multipart, "PART_BYTES", 5 * MIB)


@pytest.fixture
def s3(aws):
    aws("s3").create_bucket(Bucket=B)
    return aws("s3")


class Spy:
    """Keeps what is asked, and raises what it is told: before the call, or after it was done."""

    def __init__(self, real, *, after=(), **errors):
        self._real = real
        self._after = after
        self._errors = {name: list(given) for name, given in errors.items()}
        self._lock = threading.Lock()
        self.calls = []

    def __getattr__(self, name):
        def call(**arguments):
            with self._lock:
                self.calls.append((name, arguments))
                error = self._errors[name].pop(0) if self._errors.get(name) else None
            if error is not None and name not in self._after:
                raise error
            answer = getattr(self._real, name)(**arguments)
            if error is not None:
                raise error
            return answer

        return call

    def names(self):
        return [name for name, _ in self.calls]

    def of(self, name):
        return [arguments for called, arguments in self.calls if called == name]


def refusal(code):
    return ClientError({"Error": {"Code": code, "Message": "as told"}}, "name")


def nothing_is_left(s3):
    return "Uploads" not in s3.list_multipart_uploads(Bucket=B)


@pytest.mark.parametrize("form", [bytes, io.BytesIO])
def test_a_large_object_is_what_was_put(s3, form):
    spy = Spy(s3)
    store = Store(spy)
    etag = store.put_once(B, "k", form(BODY))
    assert store.get(B, "k", etag=etag).body == BODY
    assert etag.endswith("-3")
    assert sorted(spy.names()[:5]) == [
        "complete_multipart_upload",
        "create_multipart_upload",
        *["upload_part"] * 3,
    ]
    assert nothing_is_left(s3)


def test_a_file_goes_up_from_where_it_stands(s3):
    body = io.BytesIO(b"head" + BODY)
    body.seek(4)
    Store(s3).put(B, "k", body)
    assert Store(s3).get(B, "k").body == BODY


def test_what_is_not_larger_than_the_threshold_goes_up_at_once(s3):
    for form in (bytes, io.BytesIO):
        spy = Spy(s3)
        Store(spy).put(B, "k", form(BODY[:MIB]))
        assert spy.names() == ["put_object"]


def test_what_was_written_once_stays_and_no_upload_is_left(s3):
    Store(s3).put_once(B, "k", b"first")
    with pytest.raises(AlreadyExists):
        Store(s3).put_once(B, "k", BODY)
    assert Store(s3).get(B, "k").body == b"first"
    assert nothing_is_left(s3)


def test_the_condition_is_that_of_the_completion(s3):
    spy = Spy(s3)
    Store(spy).put_once(B, "k", BODY)
    Store(spy).put(B, "k", BODY)
    assert [given.get("IfNoneMatch") for given in spy.of("complete_multipart_upload")] == [
        "*",
        None,
    ]
    assert all("IfNoneMatch" not in given for given in spy.of("create_multipart_upload"))


def test_a_swap_of_a_large_document_compares_too(s3):
    spy = Spy(s3)
    etag = Store(spy).put(B, "k", b"1")
    Store(spy).replace(B, "k", BODY, etag)
    assert spy.of("complete_multipart_upload")[0]["IfMatch"] == f'"{etag}"'


@pytest.mark.parametrize("code", ["409", "ConditionalRequestConflict", "NoSuchUpload"])
def test_an_upload_that_raced_is_begun_anew(s3, code):
    spy = Spy(s3, complete_multipart_upload=[refusal(code)])
    Store(spy).put_once(B, "k", io.BytesIO(BODY))
    assert Store(s3).get(B, "k").body == BODY
    assert spy.names().count("create_multipart_upload") == 2
    assert nothing_is_left(s3)


def test_a_completion_whose_answer_was_lost_is_told_as_existing(s3):
    """S3 knows the upload no more when the completion is asked for again."""
    call = "complete_multipart_upload"
    spy = Spy(s3, after=(call,), **{call: [refusal("NoSuchUpload")]})
    with pytest.raises(AlreadyExists):
        Store(spy).put_once(B, "k", BODY)
    assert Store(s3).get(B, "k").body == BODY


def test_an_upload_without_condition_that_is_gone_is_an_outage(s3):
    spy = Spy(s3, complete_multipart_upload=[refusal("NoSuchUpload")])
    with pytest.raises(StoreUnavailable):
        Store(spy).put(B, "k", BODY)


@pytest.mark.parametrize("call", ["create_multipart_upload", "upload_part"])
@pytest.mark.parametrize("error", [refusal("SlowDown"), KeyboardInterrupt()], ids=repr)
def test_an_upload_that_fails_leaves_nothing(s3, call, error):
    spy = Spy(s3, **{call: [error]})
    expected = StoreUnavailable if isinstance(error, ClientError) else KeyboardInterrupt
    with pytest.raises(expected):
        Store(spy).put_once(B, "k", BODY)
    assert nothing_is_left(s3)
    assert "complete_multipart_upload" not in spy.names()


def test_an_upload_that_cannot_be_given_up_tells_of_its_first_error(s3):
    errors = {"upload_part": [refusal("first")], "abort_multipart_upload": [refusal("second")]}
    with pytest.raises(StoreUnavailable, match="first"):
        Store(Spy(s3, **errors)).put_once(B, "k", BODY)


def test_a_file_that_shrinks_is_no_object(s3):
    class Shrinking(io.BytesIO):
        def read(self, size=-1):
            return super().read(size)[:-1] if self.tell() else super().read(size)

    with pytest.raises(OSError, match="became shorter"):
        Store(s3).put_once(B, "k", Shrinking(BODY))
    assert nothing_is_left(s3)


def test_every_part_and_the_whole_have_a_checksum(s3):
    spy = Spy(s3)
    Store(spy).put_once(B, "k", BODY)
    sent = {given["PartNumber"]: given["ChecksumCRC32"] for given in spy.of("upload_part")}
    pieces = [BODY[start : start + 5 * MIB] for start in range(0, len(BODY), 5 * MIB)]
    crcs = [base64.b64encode(zlib.crc32(p).to_bytes(4, "big")).decode() for p in pieces]
    assert sent == dict(enumerate(crcs, start=1))
    completion = spy.of("complete_multipart_upload")[0]
    expected = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()
    assert (completion["ChecksumCRC32"], completion["MpuObjectSize"]) == (expected, len(BODY))
    found = s3.head_object(Bucket=B, Key="k", ChecksumMode="ENABLED")
    assert (found["ChecksumCRC32"], found["ChecksumType"]) == (expected, "FULL_OBJECT")


@pytest.mark.parametrize(
    ("key", "encryption"), [(None, ("AES256", None)), ("key-1", ("aws:kms", "key-1"))]
)
def test_parts_are_encrypted_as_configured(s3, key, encryption):
    Store(s3, key).put(B, "k", BODY, content_type="text/x")
    found = s3.head_object(Bucket=B, Key="k")
    assert (found["ServerSideEncryption"], found.get("SSEKMSKeyId")) == encryption
    assert found["ContentType"] == "text/x"


def test_only_a_few_parts_are_in_memory_at_once(s3, monkeypatch):
    """No more is read than what is under way and the one part that waits for its turn."""
    monkeypatch.setattr(multipart, "_SENDERS", 2)
    lock, read, sent, most = threading.Lock(), [0], [0], [0]

    class Body(io.BytesIO):
        def read(self, size=-1):
            with lock:
                read[0] += 1
                most[0] = max(most[0], read[0] - sent[0])
            return super().read(size)

    class Counting(Spy):
        def __getattr__(self, name):
            call = super().__getattr__(name)

            def counted(**arguments):
                answer = call(**arguments)
                with lock:
                    sent[0] += name == "upload_part"
                return answer

            return counted

    Store(Counting(s3)).put(B, "k", Body(BODY * 4))
    assert (read[0], sent[0]) == (10, 10)
    assert most[0] <= 3


@given(st.integers(1, 5 * 1024**4))
def test_parts_are_as_s3_takes_them(size):
    step = multipart.part_bytes(size)
    assert -(-size // step) <= 10_000
    assert 5 * MIB <= step <= 5 * 1024**3
