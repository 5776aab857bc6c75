"""Task lists: whole or Malformed, and any child finds its records by two ranges."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.errors import Malformed
from drydock.tasks import (
    MAGIC,
    Record,
    encode_tasks,
    offsets_range,
    parse_offsets,
    parse_records,
    parse_tasks,
)

sizes = st.none() | st.integers(0, 2**53)
records = st.builds(
    Record,
    place=st.integers(0, 9999),
    index=st.integers(0, 2**40),
    uri=st.text(max_size=40).map("s3://lab/".__add__),
    etag=st.none() | st.text("0123456789abcdef-", min_size=1, max_size=36),
    size=sizes,
    first_byte=sizes,
    last_byte=sizes,
    duplicate_of=st.none() | st.integers(0, 2**40),
)


@given(st.lists(records, max_size=20))
def test_a_list_reads_as_it_was_written(found):
    assert parse_tasks(encode_tasks(found)) == found


@given(st.lists(records, min_size=1, max_size=20), st.data())
def test_a_child_reads_its_records_by_two_ranges(found, data):
    body = encode_tasks(found)
    first = data.draw(st.integers(0, len(found) - 1))
    count = data.draw(st.integers(1, len(found) - first))
    start, end = offsets_range(first, count)
    offsets = parse_offsets(body[start : end + 1])
    assert parse_records(body[offsets[0] : offsets[-1]]) == found[first : first + count]
    one = [parse_records(body[a:b])[0] for a, b in itertools.pairwise(offsets)]
    assert one == found[first : first + count]


@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_a_list_cut_anywhere_is_malformed(found, data):
    body = encode_tasks(found)
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(Malformed):
        parse_tasks(body[:cut])


def test_a_list_cut_at_each_byte_is_malformed():
    body = encode_tasks([Record(0, 0, "s3://lab/é"), Record(1, 1, "s3://lab/b", "e", 3)])
    for cut in range(len(body)):
        with pytest.raises(Malformed):
            parse_tasks(body[:cut])
    with pytest.raises(Malformed):
        parse_tasks(body + b"\n")


@given(st.lists(records, min_size=1, max_size=3), st.data())
def test_records_cut_anywhere_are_malformed(found, data):
    body = b"".join(record.line() for record in found)
    ends = {len(b"".join(r.line() for r in found[:n])) for n in range(len(found) + 1)}
    cut = data.draw(st.integers(0, len(body)).filter(lambda at: at not in ends))
    with pytest.raises(Malformed):
        parse_records(body[:cut])


@given(st.binary(max_size=200))
def test_anything_else_is_malformed(body):
    with pytest.raises(Malformed):
        parse_tasks(body)
    with pytest.raises(Malformed):
        parse_tasks(MAGIC + body)


@pytest.mark.parametrize(
    "line",
    [b"{}", b"[]", b"[1,2]", b'["0",0,"s3://a/b"]', b"[0,0,7]", b'[0,0,"u",7]', b"null", b'"abc"',
     b'[0,0,"u","e",1,2,3,4,5]', b'[0,0,"u","e","large"]', b"\xff"],
)  # fmt: skip
def test_a_line_that_is_no_record_is_malformed(line):
    with pytest.raises(Malformed):
        parse_records(line + b"\n")


@pytest.mark.parametrize("body", [b"", b"1234567", bytes(8), bytes(17), bytes(16), bytes(24)])
def test_offsets_come_whole_and_ascend(body):
    with pytest.raises(Malformed):
        parse_offsets(body)


def test_a_child_reads_little_whatever_the_size_of_the_shard():
    body = encode_tasks(
        Record(n, n, f"s3://lab/input/{n:05d}.db2.tgz", "0" * 32, 10**8) for n in range(10_000)
    )
    start, end = offsets_range(9_990, 10)
    offsets = parse_offsets(body[start : end + 1])
    assert end + 1 - start + offsets[-1] - offsets[0] < 8192
