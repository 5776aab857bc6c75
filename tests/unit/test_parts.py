"""Parts: the chain of parents is the work on an input, and the most progress is gone on from."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.errors import Malformed
from drydock.parts import (
    OutputObject,
    PartRecord,
    chain,
    most_progress,
    parse_part_record,
)


def part(number, parent=None, progress=0, etag="e"):
    return PartRecord(number, parent, 0, 0, etag, (), None, progress, "SIGTERM", "job", 1, 1.0)


def numbers(records):
    return [record.part for record in records]


def test_a_chain_runs_from_the_first_part_to_the_last():
    records = [part(3, 1), part(0), part(1, 0), part(2, 0)]
    assert numbers(chain(records, 3)) == [0, 1, 3]
    assert numbers(chain(records, 0)) == [0]
    assert chain(records, None) == []


@pytest.mark.parametrize(
    "records", [[part(1, 0)], [part(0, 1), part(1, 0)], [part(0, 0)], [part(1, 2), part(2, 1)], []]
)
def test_a_chain_that_is_broken_or_goes_in_a_circle_is_malformed(records):
    with pytest.raises(Malformed):
        chain(records, 1)


def test_the_part_with_the_most_progress_is_gone_on_from():
    records = [part(0, None, 3), part(1, 0, 9), part(2, None, 9), part(3, 0, 5)]
    assert most_progress(records, "e").part == 1
    assert most_progress([], "e") is None


def test_a_part_whose_chain_is_broken_is_left_out():
    assert most_progress([part(0, None, 1), part(5, 4, 99)], "e").part == 0
    assert most_progress([part(5, 5, 99)], "e") is None


def test_a_part_of_another_version_of_the_input_is_left_out():
    records = [part(0, None, 1, "new"), part(1, None, 9, "old")]
    assert most_progress(records, "new").part == 0
    assert most_progress(records, "other") is None
    assert most_progress(records, None).part == 1


def test_a_chain_does_not_pass_through_another_version():
    records = [part(0, None, 1, "old"), part(1, 0, 9, "new"), part(2, None, 2, "new")]
    assert most_progress(records, "new").part == 2


@given(
    st.lists(st.tuples(st.none() | st.integers(0, 7), st.integers(0, 5)), min_size=1, max_size=8)
)
def test_whatever_the_records_the_choice_has_a_whole_chain_and_none_has_more(parents):
    records = [part(n, parent, progress) for n, (parent, progress) in enumerate(parents)]
    whole = []
    for record in records:
        try:
            found = chain(records, record.part)
        except Malformed:
            continue
        assert found[0].parent is None
        assert found[-1] is record
        assert all(b.parent == a.part for a, b in itertools.pairwise(found))
        whole.append(record)
    chosen = most_progress(records, "e")
    assert chosen == min(whole, key=lambda r: (-r.progress, r.part), default=None)


@given(
    st.builds(
        PartRecord,
        outputs=st.lists(st.builds(OutputObject), max_size=2).map(tuple),
        restart=st.none() | st.builds(OutputObject),
        seconds=st.floats(allow_nan=False, allow_infinity=False),
        best_score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        trouble=st.none() | st.text(max_size=5),
        best_id=st.none() | st.text(max_size=5),
        counts=st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
    ),
    st.data(),
)
def test_a_record_reads_as_it_was_written_or_is_malformed(record, data):
    body = record.to_json()
    assert parse_part_record(body) == record
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(Malformed):
        parse_part_record(body[:cut])


@pytest.mark.parametrize("body", [b"[]", b"1", b"{}", b"null", b'{"outputs":[1],"restart":null}'])
def test_anything_else_is_malformed(body):
    with pytest.raises(Malformed):
        parse_part_record(body)


def test_a_record_with_unknown_fields_is_malformed():
    body = part(0).to_json().replace(b'"part":0', b'"part":0,"new":1')
    with pytest.raises(Malformed):
        parse_part_record(body)


def test_a_record_cannot_be_changed():
    with pytest.raises(AttributeError):
        part(0).progress = 9
