"""A shard's outcome reads as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.aggregation import turns
from drydock.errors import Malformed
from drydock.markers import Failure, InputSummary
from drydock.outcome import Settled, encode_outcome, outputs_of, parse_outcome
from drydock.parts import OutputObject, PartOutputs

finite = st.floats(allow_nan=False, allow_infinity=False)
outputs = st.lists(st.builds(OutputObject), max_size=2).map(tuple)
chains = st.lists(st.builds(PartOutputs, outputs=outputs, seconds=finite), max_size=2).map(tuple)
failures = st.builds(Failure, parts=st.lists(st.integers(), max_size=2).map(tuple))


@st.composite
def settled(draw):
    place = draw(st.integers(0, 9999))
    summary = st.builds(
        InputSummary,
        place=st.just(place),
        chain=chains,
        seconds=finite,
        best_score=st.none() | finite,
        counts=st.dictionaries(st.text(max_size=3), st.integers(), max_size=1),
    )
    how = draw(
        st.fixed_dictionaries({"summary": summary})
        | st.fixed_dictionaries({"failure": failures})
        | st.fixed_dictionaries({"duplicate_of": st.integers(0, 99)})
    )
    return Settled(place, draw(st.text(max_size=5)), draw(st.text(max_size=5)), **how)


@given(st.lists(settled(), max_size=5))
def test_an_outcome_reads_as_it_was_written(found):
    assert parse_outcome(encode_outcome(found)) == found


@given(st.lists(settled(), min_size=1, max_size=2), st.data())
def test_an_outcome_cut_inside_a_line_is_malformed(found, data):
    body = encode_outcome(found)
    cut = data.draw(st.integers(1, len(body) - 1).filter(lambda at: body[at - 1 : at] != b"\n"))
    inside = body[:cut]
    if inside.endswith(b"}") and inside.count(b"\n") == len(inside.splitlines()) - 1:
        inside = inside[:-1]
    with pytest.raises(Malformed):
        parse_outcome(inside)


@pytest.mark.parametrize("body", [b"[]\n", b"{}\n", b"7\n", b"null\n", b'{"summary":null}\n'])
def test_anything_else_is_malformed(body):
    with pytest.raises(Malformed):
        parse_outcome(body)


def summed(place, molecules):
    return Settled(place, "m", "e", InputSummary(place, place, "e", (), molecules, 0, 1.0))


@given(st.lists(st.integers(0, 300_000), max_size=12))
def test_turns_cover_every_input_once_wherever_they_are_gone_on_from(molecules):
    found = [summed(place, count) for place, count in enumerate(molecules)]
    cut = list(turns(found, 0, 0))
    assert [turn.number for turn in cut] == list(range(len(cut)))
    assert [place for turn in cut for place in range(turn.first, turn.after)] == list(
        range(len(found))
    )
    for turn in cut:
        assert list(turns(found, turn.first, turn.number)) == cut[turn.number :]
        rows = sum(molecules[turn.first : turn.after])
        assert rows <= 200_000 or turn.after - turn.first == 1


def test_outputs_are_those_of_the_chain_in_order():
    chain = tuple(
        PartOutputs(
            n, (OutputObject("poses", f"p{n}", 1, "e"), OutputObject("scores", f"s{n}", 1, "e"))
        )
        for n in range(2)
    )
    summary = InputSummary(0, 0, "e", chain, 1, 0, 1.0)
    assert [output.key for output in outputs_of(summary)] == ["p0", "s0", "p1", "s1"]
    assert [output.key for output in outputs_of(summary, "scores")] == ["s0", "s1"]
