"""What the worker needs of the core beyond what the functions do."""

import pytest

from drydock.errors import StoreUnavailable
from drydock.parts import PartRecord, parse_part_record
from drydock.store import StoredStream
from tests.worker.support import DATA


class Broken:
    """A body that breaks off after some bytes."""

    def __init__(self):
        self.closed = False
        self._left = [b"abc"]

    def read(self, _size):
        if self._left:
            return self._left.pop()
        raise ConnectionResetError("gone")

    def close(self):
        self.closed = True


def test_a_part_record_keeps_the_best_molecule_of_its_chain():
    record = PartRecord(
        part=1,
        parent=0,
        place=4,
        index=4,
        input_etag="e",
        outputs=(),
        restart=None,
        progress=2,
        why="SIGTERM",
        job_id="j",
        attempt=1,
        seconds=1.5,
        counts={"molecules": 2},
        best_id="x",
        best_score=-9.1,
    )
    assert parse_part_record(record.to_json()) == record


def test_a_stream_that_breaks_off_is_an_outage_and_is_closed():
    body = Broken()
    chunks = StoredStream(body, "etag", 6).chunks()
    assert next(chunks) == b"abc"
    with pytest.raises(StoreUnavailable):
        next(chunks)
    assert body.closed


def test_a_stream_is_closed_when_nobody_reads_on():
    body = Broken()
    chunks = StoredStream(body, "etag", 6).chunks()
    next(chunks)
    chunks.close()
    assert body.closed


def test_a_store_may_encrypt_by_another_key(store, client):
    seen = []
    client.meta.events.register(
        "provide-client-params.s3.PutObject", lambda params, **_: seen.append(dict(params))
    )
    store.put(DATA, "a", b"1")
    store.encrypting_with("key-1").put(DATA, "b", b"2")
    assert [params["ServerSideEncryption"] for params in seen] == ["AES256", "aws:kms"]
    assert seen[1]["SSEKMSKeyId"] == "key-1"
