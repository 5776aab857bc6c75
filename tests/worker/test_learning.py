"""A child learns its records, whatever the length of its round's list, in one request or two."""

import json

import pytest

from drydock.tasks import Record, encode_tasks
from drydock.uris import S3Uri
from tests.worker.support import CONTROL
from worker.endings import Misconfigured
from worker.work import learn

RECEPTOR = b"ATOM\n"


@pytest.fixture
def asked(client):
    """The keys that were read, in turn."""
    keys = []
    client.meta.events.register(
        "before-parameter-build.s3.GetObject", lambda params, **_: keys.append(params["Key"])
    )
    return keys


def round_of(shard, size, uri_bytes, inputs_per_job):
    """A round of inputs whose records are so long, and what its document says."""
    made = shard(("in/one", b"1"), receptor=RECEPTOR, inputs_per_job=inputs_per_job)
    made.records = [
        Record(place, place, f"s3://data/{place:0{uri_bytes}}") for place in range(size)
    ]
    made.write_round()
    return made, json.loads(made.store.get(CONTROL, made.document_key).body)


# With 509 inputs the offsets are just under half of what is read of a short list.
@pytest.mark.parametrize(
    ("size", "uri_bytes", "inputs_per_job", "requests"),
    [
        (1, 30, 1, {1}),
        (60, 30, 7, {1}),
        (60, 200, 1, {1, 2}),
        (8, 7800, 1, {1, 2}),
        (509, 5, 509, {2}),
        (509, 5, 1, {1, 2}),
        (510, 5, 1, {2}),
        (2000, 30, 100, {2}),
    ],
)
def test_every_child_finds_its_own(shard, store, asked, size, uri_bytes, inputs_per_job, requests):
    made, document = round_of(shard, size, uri_bytes, inputs_per_job)
    seen, last = set(), (size - 1) // inputs_per_job
    for child in {*range(0, last, last // 8 + 1), last}:
        asked.clear()
        found = learn(store, S3Uri(CONTROL, made.document_key), child).records
        first = child * inputs_per_job
        assert list(found) == made.records[first : first + inputs_per_job]
        seen.add(asked.count(document["tasks_key"]))
    assert seen == requests


def test_a_short_list_that_is_cut_is_refused(shard, store):
    made, document = round_of(shard, 3, 30, 1)
    whole = encode_tasks(made.records)
    for length in range(16, len(whole), 5):
        store.put(CONTROL, document["tasks_key"], whole[:length])
        with pytest.raises(Misconfigured, match="cannot be read"):
            learn(store, S3Uri(CONTROL, made.document_key), 2)
