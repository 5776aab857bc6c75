"""The door to S3, against moto."""

import io
import socket
import struct
import threading

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drydock.checksums import Checksum
from drydock.errors import (
    AlreadyExists,
    Changed,
    Conflict,
    Malformed,
    NotFound,
    StoreUnavailable,
)
from drydock.store import AccessDenied, Listed, Store

B = "drydock-data"


@pytest.fixture
def s3(aws):
    aws("s3").create_bucket(Bucket=B)
    return aws("s3")


@pytest.fixture
def store(s3):
    return Store(s3)


class Spy:
    """A client that keeps what is asked of it, and answers some calls with errors."""

    def __init__(self, real, **codes):
        self._real = real
        self._codes = {name: list(errors) for name, errors in codes.items()}
        self.calls = []

    def __getattr__(self, name):
        def call(**arguments):
            self.calls.append((name, arguments))
            body = arguments.get("Body")
            read = body.read() if hasattr(body, "read") else body
            if self._codes.get(name):
                code = self._codes[name].pop(0)
                raise ClientError({"Error": {"Code": code, "Message": "as told"}}, name)
            if body is not None:
                arguments["Body"] = read
            return getattr(self._real, name)(**arguments)

        return call


def test_an_object_is_what_was_put(store):
    etag = store.put(B, "a/ü b", b"body", content_type="text/plain")
    found = store.get(B, "a/ü b")
    assert (found.body, found.etag, found.size) == (b"body", etag, 4)
    assert store.head(B, "a/ü b") == Listed("a/ü b", 4, etag)
    assert '"' not in etag


def test_what_is_written_once_stays(store):
    store.put_once(B, "k", b"first")
    with pytest.raises(AlreadyExists):
        store.put_once(B, "k", b"second")
    assert store.get(B, "k").body == b"first"


def test_a_swap_takes_the_version_that_was_read_and_no_other(store):
    etag = store.put(B, "k", b"1")
    newer = store.replace(B, "k", b"2", etag)
    with pytest.raises(Conflict):
        store.replace(B, "k", b"3", etag)
    store.replace(B, "k", b"4", newer)
    assert store.get(B, "k").body == b"4"


def test_a_swap_of_what_is_gone_is_a_conflict(store):
    etag = store.put(B, "k", b"1")
    store.delete(B, "k")
    with pytest.raises(Conflict):
        store.replace(B, "k", b"2", etag)


def test_a_removal_takes_the_version_that_was_read_and_no_other(store):
    etag = store.put(B, "k", b"1")
    store.put(B, "k", b"2")
    with pytest.raises(Conflict):
        store.delete_if_match(B, "k", etag)
    store.delete_if_match(B, "k", store.head(B, "k").etag)
    with pytest.raises(NotFound):
        store.head(B, "k")


def test_conditions_are_etags_as_http_writes_them(s3):
    spy = Spy(s3)
    store = Store(spy)
    etag = store.put(B, "k", b"1")
    etag = store.replace(B, "k", b"2", etag)
    store.get(B, "k", etag=etag)
    store.delete_if_match(B, "k", etag)
    conditions = [arguments.get("IfMatch") for _, arguments in spy.calls]
    assert conditions[2:] == [f'"{etag}"', f'"{etag}"']
    assert conditions[1].startswith('"')


# -- two writers at once: 409 says that nobody knows yet, 412 that it exists


def test_a_write_that_raced_is_tried_again(s3):
    spy = Spy(s3, put_object=["ConditionalRequestConflict", "OperationAborted"])
    Store(spy).put_once(B, "k", b"body")
    assert Store(s3).get(B, "k").body == b"body"
    assert len(spy.calls) == 3


def test_a_file_that_raced_is_written_whole_from_where_it_stood(s3):
    body = io.BytesIO(b"head-body")
    body.seek(5)
    Store(Spy(s3, put_object=["409"])).put_once(B, "k", body)
    assert Store(s3).get(B, "k").body == b"body"


def test_a_write_that_raced_and_lost_is_told_so(s3, store):
    store.put(B, "k", b"theirs")
    with pytest.raises(AlreadyExists):
        Store(Spy(s3, put_object=["409"])).put_once(B, "k", b"mine")


def test_a_write_that_races_for_ever_is_no_claim_that_the_object_exists(s3):
    with pytest.raises(StoreUnavailable):
        Store(Spy(s3, put_object=["409"] * 20)).put_once(B, "k", b"body")


def test_a_swap_that_raced_is_a_conflict(s3, store):
    etag = store.put(B, "k", b"1")
    with pytest.raises(Conflict):
        Store(Spy(s3, put_object=["409"])).replace(B, "k", b"2", etag)


# -- reading


def test_a_range_has_both_its_ends(store):
    store.put(B, "k", b"0123456789")
    assert store.get(B, "k", first_byte=2, last_byte=4).body == b"234"
    assert store.get(B, "k", first_byte=7).body == b"789"
    assert store.get(B, "k", last_byte=2).body == b"012"
    assert store.get(B, "k", first_byte=8, last_byte=100).body == b"89"
    assert store.get(B, "k", first_byte=2, last_byte=4).size == 10


def test_a_range_beyond_the_end_says_that_the_object_is_too_short(store):
    store.put(B, "k", b"")
    with pytest.raises(Malformed):
        store.get(B, "k", first_byte=8, last_byte=15)


def test_a_pin_that_does_not_hold_is_told(store):
    etag = store.put(B, "k", b"1")
    assert store.get(B, "k", etag=etag).body == b"1"
    store.put(B, "k", b"2")
    with pytest.raises(Changed):
        store.get(B, "k", etag=etag)
    with pytest.raises(Changed):
        store.get_stream(B, "k", etag=etag)


@pytest.mark.parametrize("read", ["get", "head", "get_stream"])
def test_what_is_not_there_is_not_found(store, read):
    with pytest.raises(NotFound):
        getattr(store, read)(B, "nothing")
    with pytest.raises(NotFound):
        getattr(store, read)("no-such-bucket", "nothing")


def test_removing_what_is_gone_is_no_error(store):
    store.delete(B, "nothing")


def test_a_bucket_has_a_region_or_is_not_found(store):
    assert (store.bucket_region(B), store.region) == ("us-east-1", "us-east-1")
    with pytest.raises(NotFound):
        store.bucket_region("no-such-bucket")


# -- listing


def test_a_listing_is_in_the_order_of_utf_8_bytes_over_pages(store):
    names = ["b", "a", "B", "é", "z", "\U0001f600", "\uff21", "a/b", "a b"]
    for name in names:
        store.put(B, "p/" + name, b"1")
    expected = sorted(("p/" + name for name in names), key=str.encode)
    assert [found.key for found in store.list(B, "p/", page_size=2)] == expected
    assert [len(page) for page in store.list_pages(B, "p/", page_size=4)] == [4, 4, 1]
    assert list(store.list(B, "nothing/")) == []


def test_a_listing_begins_after_a_key_and_keeps_to_direct_children(store):
    for key in ("p/1", "p/2/x", "p/3", "p/4/", "p/5"):
        store.put(B, key, b"1")
    assert [f.key for f in store.list(B, "p/", delimiter="/", page_size=1)] == ["p/1", "p/3", "p/5"]
    found = store.list(B, "p/", start_after="p/1", delimiter="/")
    assert [each.key for each in found] == ["p/3", "p/5"]
    assert [each.key for each in store.list(B, "p/", start_after="p/3")] == ["p/4/", "p/5"]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.sets(st.text("ab/é", min_size=1, max_size=4), max_size=8), page=st.integers(1, 4))
def test_pages_of_any_size_list_the_same(s3, store, names, page):
    for found in list(store.list(B, "")):
        store.delete(B, found.key)
    for name in names:
        store.put(B, "p" + name, b"1")
    assert [f.key for f in store.list(B, "p", page_size=page)] == sorted(
        ("p" + name for name in names), key=str.encode
    )


# -- encryption


def test_everything_is_encrypted_as_configured(s3):
    spy = Spy(s3)
    for store in (Store(spy), Store(spy, "key-1")):
        etag = store.put(B, "a", b"1")
        store.replace(B, "a", b"2", etag)
        store.put_once(B, f"once-{len(spy.calls)}", io.BytesIO(b"3"))
    headers = [
        (arguments.get("ServerSideEncryption"), arguments.get("SSEKMSKeyId"))
        for _, arguments in spy.calls
    ]
    assert headers == [("AES256", None)] * 3 + [("aws:kms", "key-1")] * 3
    assert s3.head_object(Bucket=B, Key="a")["ServerSideEncryption"] == "aws:kms"


def test_there_is_one_place_that_writes():
    import inspect

    import drydock.store

    source = inspect.getsource(drydock.store)
    assert source.count("put_object") == 1
    assert "upload_file" not in source


# -- errors by our own names


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("AccessDenied", AccessDenied),
        ("403", AccessDenied),
        ("NoSuchBucket", NotFound),
        ("SlowDown", StoreUnavailable),
        ("InternalError", StoreUnavailable),
        ("PermanentRedirect", StoreUnavailable),
    ],
)
def test_answers_of_s3_have_names_of_ours(s3, code, expected):
    with pytest.raises(expected):
        Store(Spy(s3, get_object=[code])).get(B, "k")
    with pytest.raises(expected):
        Store(Spy(s3, list_objects_v2=[code])).list_pages(B, "k").__next__()


def test_an_endpoint_that_refuses_connections_is_an_outage():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2),
    )
    store = Store(client)
    for call in (
        lambda: store.get(B, "k"),
        lambda: store.put_once(B, "k", b""),
        lambda: list(store.list(B, "k")),
        lambda: store.head(B, "k"),
        lambda: store.delete(B, "k"),
    ):
        with pytest.raises(StoreUnavailable):
            call()


class Breaking:
    """A body that breaks off."""

    def __init__(self):
        self.closed = False

    def read(self, *_):
        raise ConnectionResetError("gone")

    def close(self):
        self.closed = True


def test_an_answer_that_breaks_off_is_an_outage_and_its_connection_is_given_back():
    body = Breaking()

    class Client:
        def get_object(self, **_):
            return {"Body": body, "ETag": '"e"', "ContentLength": 9}

    with pytest.raises(StoreUnavailable):
        Store(Client()).get(B, "k")
    assert body.closed


def test_a_refusal_that_breaks_off_is_an_outage():
    """The half of a 404 says nothing yet, and S3 may have it otherwise the next time."""

    def answer(listener):
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 400\r\n\r\n<Error>")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}),
        )
        threading.Thread(target=answer, args=[listener]).start()
        with pytest.raises(StoreUnavailable):
            Store(client).get(B, "k")


def test_the_checksum_of_a_whole_object_comes_with_it_and_of_a_range_does_not(store):
    store.put(B, "k", b"123456789")
    whole = store.get_stream(B, "k")
    assert whole.checksum == Checksum("CRC32", bytes.fromhex("cbf43926"))
    assert b"".join(whole.chunks()) == b"123456789"
    ranged = store.get_stream(B, "k", first_byte=1)
    assert ranged.checksum is None
    assert b"".join(ranged.chunks()) == b"23456789"


def test_keys_may_come_from_a_role_that_another_service_gives(aws, s3, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    token = tmp_path / "token"
    token.write_text("a token")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/lab")
    Store.connect().put(B, "k", b"x")
    assert s3.get_object(Bucket=B, Key="k")["Body"].read() == b"x"
