"""The simulated S3 answers the store as moto's does, and as AWS where moto is laxer."""

import contextlib
import io

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from drydock.errors import (
    Changed,
    Conflict,
    DrydockError,
    NotFound,
    StoreUnavailable,
)
from drydock.store import Store
from tests.simulation.account import DATA
from tests.simulation.corner import Corner, Mishaps
from tests.simulation.kernel import Fault

KEYS = ("a", "a/b", "a/b/c", "a-b", "b/\u00e9", "b/\U0001f680", "b/\uffee", "c d+e%20")
key = st.sampled_from(KEYS)
body = st.sampled_from([b"", b"x", b"one", b"another one"])
etag = st.sampled_from([0, 1, 2, 3])
prefix = st.sampled_from(["", "a", "a/", "b/", "none/"])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), key, body),
        st.tuples(st.just("put_once"), key, body),
        st.tuples(st.just("replace"), key, body, etag),
        st.tuples(st.just("get"), key, st.none() | st.integers(0, 12), st.none() | etag),
        st.tuples(st.just("range"), key, st.integers(0, 12), st.none() | st.integers(0, 12)),
        st.tuples(st.just("head"), key),
        st.tuples(st.just("delete"), key),
        st.tuples(st.just("delete_if_match"), key, etag),
        st.tuples(
            st.just("list"),
            prefix,
            st.none() | key,
            st.sampled_from([None, "/"]),
            st.integers(1, 4),
        ),
    ),
    min_size=1,
    max_size=25,
)


def act(store, operation, etags):
    """What the store answers: a value, or an error's class."""
    name, *given = operation
    try:
        return answer(store, name, given, etags)
    except DrydockError as error:
        return type(error)


def answer(store, name, given, etags):
    match name, given:
        case (("put" | "put_once"), (key, body)):
            return getattr(store, name)(DATA, key, body)
        case "replace", (key, body, number):
            return store.replace(DATA, key, body, etags[number])
        case "get", (key, first, number):
            known = None if number is None else etags[number]
            return store.get(DATA, key, first_byte=first, etag=known)
        case "range", (key, first, length):
            last = None if length is None else first + length
            return store.get(DATA, key, first_byte=first, last_byte=last)
        case "head", (key,):
            return store.head(DATA, key)
        case "delete", (key,):
            return store.delete(DATA, key)
        case "delete_if_match", (key, number):
            return store.delete_if_match(DATA, key, etags[number])
        case "list", (prefix, after, delimiter, size):
            pages = store.list_pages(
                DATA, prefix, start_after=after, delimiter=delimiter, page_size=size
            )
            return [found for page in pages for found in page]
    raise AssertionError(name)


@pytest.fixture(scope="module")
def moto():
    with mock_aws():
        client = boto3.client("s3", region_name="us-west-2")
        where = {"LocationConstraint": "us-west-2"}
        client.create_bucket(Bucket=DATA, CreateBucketConfiguration=where)
        yield client


@settings(max_examples=60, deadline=None)
@given(stored=st.dictionaries(key, body), operations=operations)
def test_the_same_requests_have_the_same_answers_as_from_moto(moto, stored, operations):
    for found in moto.list_objects_v2(Bucket=DATA).get("Contents", []):
        moto.delete_object(Bucket=DATA, Key=found["Key"])
    simulated, other = Corner().store, Store(moto)
    etags = [Corner().store.put(DATA, "k", text) for text in (b"x", b"one", b"", b"never put")]
    for operation in [*(("put", *each) for each in stored.items()), *operations]:
        assert act(simulated, operation, etags) == act(other, operation, etags), operation


def test_the_store_names_what_is_not_there():
    store = Corner().store
    with pytest.raises(NotFound):
        store.get(DATA, "k")
    with pytest.raises(NotFound):
        store.head(DATA, "k")
    with pytest.raises(NotFound):
        store.get("no-bucket", "k")
    with pytest.raises(NotFound):
        store.bucket_region("no-bucket")
    assert store.bucket_region(DATA) == "us-west-2"
    with pytest.raises(Conflict, match="NoSuchKey"):
        store.replace(DATA, "k", b"x", "0" * 32)
    with pytest.raises(NotFound):
        store.delete_if_match(DATA, "k", "0" * 32)
    store.delete(DATA, "k")


def test_a_page_is_at_most_a_thousand_keys():
    corner = Corner()
    for number in range(1001):
        corner.store.put(DATA, f"{number:04}", b"")
    pages = list(corner.store.list_pages(DATA, "", page_size=5000))
    assert [len(page) for page in pages] == [1000, 1]
    assert corner.s3.calls["ListObjectsV2"] == 2
    assert corner.s3.calls["PutObject"] == 1001


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_folders_are_listed_as_by_moto(moto, size):
    client = Corner().s3.client()
    for found in moto.list_objects_v2(Bucket=DATA).get("Contents", []):
        moto.delete_object(Bucket=DATA, Key=found["Key"])
    for name in ("a/1", "a/2", "b", "c/1", "c/2", "c/d/e", "z"):
        for each in (client, moto):
            each.put_object(Bucket=DATA, Key=name, Body=b"")

    def listed(client):
        where, pages = {"Bucket": DATA, "Delimiter": "/", "MaxKeys": size}, []
        while True:
            page = client.list_objects_v2(**where)
            names = [found["Key"] for found in page.get("Contents", [])]
            names += [found["Prefix"] for found in page.get("CommonPrefixes", [])]
            pages.append(sorted(names))
            if not page["IsTruncated"]:
                return pages
            where["ContinuationToken"] = page["NextContinuationToken"]

    assert listed(client) == listed(moto)
    assert [name for page in listed(client) for name in page] == ["a/", "b", "c/", "z"]


def two_writers(*chances):
    corner = Corner(Mishaps(*chances))
    client = corner.s3.client()

    def write(name):
        return client.put_object(Bucket=DATA, Key="k", Body=name.encode(), IfNoneMatch="*")

    first, second = (
        corner.kernel.spawn(name, "lambda", lambda name=name: write(name)) for name in "ab"
    )
    corner.kernel.run()
    errors = [
        process.error.response["Error"]["Code"] for process in (first, second) if process.error
    ]
    return errors, corner


def test_of_two_conditional_writes_one_wins():
    errors, corner = two_writers()
    assert errors == ["PreconditionFailed"]
    assert corner.store.get(DATA, "k").body == b"a"


def test_a_conditional_write_beside_another_may_be_refused_for_now():
    errors, corner = two_writers("409")
    assert errors == ["ConditionalRequestConflict"]
    assert corner.store.get(DATA, "k").body == b"b"
    errors, _ = two_writers("409", "409")
    assert errors == ["ConditionalRequestConflict"] * 2, "the second began before the first ended"
    corner = Corner(Mishaps("409"))
    where = {"Bucket": DATA, "Key": "k"}
    corner.run(lambda: corner.s3.client().put_object(**where, Body=b""))
    corner.run(lambda: corner.s3.client().delete_object(**where))
    corner.run(lambda: corner.s3.client().put_object(**where, Body=b"x", IfNoneMatch="*"))
    assert corner.store.get(DATA, "k").body == b"x", "alone there is nothing to conflict with"


def test_a_write_that_the_sdk_doubled_finds_itself():
    corner = Corner(Mishaps(faults=[("s3 PutObject", Fault("doubled"))]))
    process = corner.run(lambda: corner.store.put_once(DATA, "k", b"x"))
    assert type(process.error).__name__ == "AlreadyExists"
    assert corner.store.get(DATA, "k").body == b"x"


def test_an_answer_breaks_off_in_its_middle():
    corner = Corner(Mishaps("answer breaks off", "answer breaks off"))
    corner.store.put(DATA, "k", b"0123456789")
    process = corner.run(lambda: corner.store.get(DATA, "k"))
    assert isinstance(process.error, StoreUnavailable)
    read = []

    def stream():
        with contextlib.closing(corner.store.get_stream(DATA, "k").chunks(3)) as chunks:
            read.extend(chunks)

    process = corner.run(stream)
    assert isinstance(process.error, StoreUnavailable)
    assert b"".join(read) == b"01234"


def test_watchers_see_each_change_and_its_condition():
    corner, seen = Corner(), []
    corner.s3.watchers.append(
        lambda bucket, key, before, after: seen.append(
            (key, before and before.body, after and after.body, corner.s3.condition)
        )
    )
    etag = corner.store.put_once(DATA, "k", b"1")
    again = corner.store.replace(DATA, "k", b"2", etag)
    with pytest.raises(Conflict):
        corner.store.replace(DATA, "k", b"3", etag)
    with pytest.raises(Changed):
        corner.store.get(DATA, "k", etag=etag)
    corner.store.put(DATA, "k", io.BytesIO(b"4"))
    corner.store.delete(DATA, "k")
    assert [each[:3] for each in seen] == [
        ("k", None, b"1"),
        ("k", b"1", b"2"),
        ("k", b"2", b"4"),
        ("k", b"4", None),
    ]
    assert [each[3] for each in seen] == ["*", f'"{etag}"', None, None]
    assert again != etag


def test_a_refusal_has_its_status():
    with pytest.raises(ClientError) as refused:
        Corner().s3.client().get_object(Bucket=DATA, Key="k")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
