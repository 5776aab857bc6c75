"""Markers: names say what happened, contents are whole or nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.errors import Malformed
from drydock.keys import RunKeys
from drydock.markers import (
    Failure,
    InputSummary,
    ListedMarker,
    MarkerName,
    encode_done,
    encode_end,
    encode_failed,
    encode_skipped,
    late_markers,
    parse_done,
    parse_failed,
    parse_marker_name,
    parse_skipped,
    reopened_places,
    settle,
)
from drydock.parts import OutputObject, PartOutputs

INPUTS = 6


def listed(*names, size=10):
    return [ListedMarker(name, size, f"etag of {name}") for name in names]


def speakers(*names, **how):
    settlement = settle(listed(*names), INPUTS, **how)
    return {place: speaker.name for place, speaker in settlement.speakers.items()}


# -- names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("00000-00099.done", MarkerName("done", 0, 99)),
        ("00042-00042.done", MarkerName("done", 42, 42)),
        ("00042.3.input_changed.failed", MarkerName("failed", 42, 42, 3, "input_changed")),
        ("00043.skipped", MarkerName("skipped", 43, 43)),
    ],
)
def test_names_are_read(name, expected):
    assert parse_marker_name(name) == expected


@pytest.mark.parametrize(
    "name",
    ["", "x", "00042.done", "00099-00000.done", "0-1.done", "00000-00001.done.tmp", "00042.failed",
     "00042.0.x.failed", "00042.01.x.failed", "00042.1.X.failed", "00042.1..failed", "42.skipped",
     "a/00042.skipped", "00042.skipped\n", "٠٠٠٤٢.skipped", "00000-00001.DONE"],
)  # fmt: skip
def test_what_does_not_parse_is_no_marker(name):
    assert parse_marker_name(name) is None


@given(st.integers(0, 9999), st.integers(0, 9999), st.integers(1, 99))
def test_keys_are_read_as_they_were_made(first, count, epoch):
    keys, last = RunKeys("0" * 16, "out/"), min(first + count, 9999)
    folder = keys.markers_folder(7)
    for key, expected in (
        (keys.done_marker(7, first, last), MarkerName("done", first, last)),
        (keys.skipped_marker(7, first), MarkerName("skipped", first, first)),
        (
            keys.failed_marker(7, first, epoch, "bad_input"),
            MarkerName("failed", first, first, epoch, "bad_input"),
        ),
    ):
        assert parse_marker_name(key.removeprefix(folder)) == expected


# -- who speaks


def test_done_beats_failed_beats_skipped():
    assert speakers("00001.skipped", "00001.1.x.failed", "00001-00001.done") == {
        1: "00001-00001.done"
    }
    assert speakers("00001.skipped", "00001.1.x.failed") == {1: "00001.1.x.failed"}


def test_among_equals_the_first_name_speaks():
    assert speakers("00001-00002.done", "00000-00001.done", "00001-00001.done") == {
        0: "00000-00001.done",
        1: "00000-00001.done",
        2: "00001-00002.done",
    }
    assert speakers("00001.2.a.failed", "00001.1.b.failed") == {1: "00001.1.b.failed"}


def test_what_is_no_marker_is_told_and_counts_as_nothing():
    strange = ["notes", "00004-00006.done", "00009.skipped"]
    found = [*listed("00000.skipped", *strange), *listed("00001-00001.done", size=0)]
    settlement = settle(found, INPUTS)
    assert settlement.strange == [*strange, "00001-00001.done"]
    assert settlement.remaining() == [1, 2, 3, 4, 5]
    assert (settlement.count("skipped"), settlement.count("done")) == (1, 0)


def test_an_empty_object_is_in_the_way_of_a_remaining_inputs_marker_only():
    empty = [
        *listed("00000-00000.done", "00002.skipped", "00001-00003.done", size=0),
        *listed("00003.1.bad.failed", "00004-00009.done", "?", "00009.skipped", size=0),
    ]
    settlement = settle([*listed("00000.skipped", "00002-00003.done"), *empty], INPUTS)
    assert settlement.in_the_way() == {"00001-00003.done": "etag of 00001-00003.done"}
    assert len(settlement.strange) == len(empty)


def test_reopened_failures_of_earlier_epochs_count_no_more():
    names = ["00000.1.bad.failed", "00001.2.bad.failed", "00002.1.other.failed"]
    assert set(speakers(*names, reopened={"bad": 2})) == {1, 2}
    assert set(speakers(*names, reopened={"bad": 3, "other": 3})) == set()
    assert set(speakers("00000-00000.done", *names, reopened={"bad": 3})) == {0, 2}


def test_the_places_of_reopened_failures_are_known():
    names = ["00000.1.bad.failed", "00001.2.bad.failed", "00002.1.x.failed", "00003.skipped", "?"]
    assert reopened_places(names, {"bad": 2}) == {0}
    assert reopened_places(names, {"bad": 3, "x": 2}) == {0, 1, 2}
    assert reopened_places(names, {}) == set()


names = st.sampled_from(
    [f"0000{a}-0000{b}.done" for a in range(7) for b in range(a, 7)]
    + [f"0000{p}.{e}.{c}.failed" for p in range(7) for e in (1, 2) for c in ("a", "b")]
    + [f"0000{p}.skipped" for p in range(7)]
    + ["junk", "00001.done"]
)
RANK = {"done": 0, "failed": 1, "skipped": 2}


@given(st.lists(names, unique=True), st.dictionaries(st.sampled_from("ab"), st.integers(1, 3)))
def test_settling_is_what_the_rule_says_in_any_order(found, reopened):
    settlement = settle(listed(*found), INPUTS, reopened)
    backwards = settle(listed(*found[::-1]), INPUTS, reopened)
    assert backwards.speakers == settlement.speakers
    for place in range(INPUTS):
        candidates = []
        for name in found:
            parsed = parse_marker_name(name)
            if parsed is None or parsed.last >= INPUTS:
                continue
            if parsed.kind == "failed" and parsed.epoch < reopened.get(parsed.failure_class, 0):
                continue
            if parsed.first <= place <= parsed.last:
                candidates.append((RANK[parsed.kind], name))
        speaker = settlement.speakers.get(place)
        assert (speaker.name if speaker else None) == (min(candidates)[1] if candidates else None)
    assert sorted([*settlement.speakers, *settlement.remaining()]) == list(range(INPUTS))


@given(
    st.lists(names, unique=True),
    st.lists(names, unique=True),
    st.dictionaries(st.sampled_from("ab"), st.integers(1, 3)),
)
def test_late_markers_are_those_that_would_speak_and_no_others(before, later, reopened):
    was = settle(listed(*before), INPUTS, reopened)
    frozen = {place: (speaker.name, speaker.etag) for place, speaker in was.speakers.items()}
    now = settle(listed(*{*before, *later}), INPUTS, reopened)
    late = late_markers(now, frozen)
    assert late <= {*later} - {*before}
    assert (late == set()) == (now.speakers == was.speakers)
    assert (now.fingerprint() == was.fingerprint()) == (now.speakers == was.speakers)
    # A marker that speaks by now speaks for an input that remained, or beats who spoke.
    for name in late:
        marker = parse_marker_name(name)
        spoken = [was.speakers.get(p) for p in range(marker.first, marker.last + 1)]
        candidate = (RANK[marker.kind], name)
        assert any(s is None or candidate < (RANK[s.kind], s.name) for s in spoken)


def test_a_marker_that_was_written_anew_under_its_name_is_late():
    frozen = {0: ("00000.skipped", "another etag")}
    assert late_markers(settle(listed("00000.skipped"), INPUTS), frozen) == {"00000.skipped"}


# -- contents

outputs = st.builds(
    OutputObject,
    name=st.text(max_size=8),
    key=st.text(max_size=20),
    size=st.integers(0, 2**50),
    etag=st.text("0123456789abcdef", max_size=32),
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
chains = st.lists(
    st.builds(PartOutputs, st.integers(0, 99), st.lists(outputs, max_size=3).map(tuple), numbers),
    max_size=3,
).map(tuple)


def summaries(first, count):
    return st.tuples(
        *(
            st.builds(
                InputSummary,
                place=st.just(first + n),
                index=st.integers(0, 2**40),
                input_etag=st.text(max_size=8),
                chain=chains,
                molecules=st.integers(0, 10**6),
                failed_molecules=st.integers(0, 10**6),
                seconds=numbers,
                best_id=st.none() | st.text(max_size=8),
                best_score=st.none() | numbers,
                counts=st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
            )
            for n in range(count)
        )
    )


@given(st.integers(0, 99), st.integers(1, 3), st.data())
def test_a_done_marker_reads_as_it_was_written(first, count, data):
    found = list(data.draw(summaries(first, count)))
    body = encode_done(found)
    assert parse_done(body, MarkerName("done", first, first + count - 1)) == found
    with pytest.raises(Malformed):
        parse_done(body, MarkerName("done", first, first + count))
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(Malformed):
        parse_done(body[:cut], MarkerName("done", first, first + count - 1))


failures = st.builds(
    Failure,
    place=st.just(4),
    index=st.integers(0, 2**40),
    epoch=st.just(2),
    failure_class=st.just("bad_input"),
    reason=st.text(max_size=40),
    exit_code=st.none() | st.integers(0, 255),
    parts=st.lists(st.integers(0, 9), max_size=3).map(tuple),
    log_stream=st.none() | st.text(max_size=9),
)
FOUR = MarkerName("failed", 4, 4, 2, "bad_input")


@given(failures)
def test_a_failed_marker_reads_as_it_was_written(failure):
    assert parse_failed(encode_failed(failure), FOUR) == failure


@pytest.mark.parametrize(
    "name",
    [
        MarkerName("failed", 5, 5, 2, "bad_input"),
        MarkerName("failed", 4, 4, 3, "bad_input"),
        MarkerName("failed", 4, 4, 2, "other"),
    ],
)
def test_a_failed_marker_says_what_its_name_says(name):
    body = encode_failed(Failure(4, 4, 2, "bad_input", "why", None, (), None))
    with pytest.raises(Malformed):
        parse_failed(body, name)


def test_markers_of_before_attempts_were_named_still_read():
    done = (
        b'{"place":0,"index":0,"input_etag":"e","chain":[{"part":0,"outputs":[]}],'
        b'"molecules":1,"failed_molecules":0,"seconds":1.5}\n{"end": 1}\n'
    )
    (summary,) = parse_done(done, MarkerName("done", 0, 0))
    assert (summary.job_id, summary.attempt, summary.chain[0].seconds) == (None, None, 0.0)
    failed = (
        b'{"place":4,"index":4,"epoch":2,"failure_class":"bad_input","reason":"why",'
        b'"exit_code":null,"parts":[],"log_stream":null}\n{"end": 1}\n'
    )
    assert parse_failed(failed, FOUR).attempt is None


@pytest.mark.parametrize("wrong", ['"seconds":"long"', '"job_id":7', '"attempt":"first"'])
def test_a_part_of_another_form_makes_the_marker_malformed(wrong):
    done = (
        '{"place":0,"index":0,"input_etag":"e","chain":[{"part":0,"outputs":[],'
        + wrong
        + '}],"molecules":1,"failed_molecules":0,"seconds":1.5}\n{"end": 1}\n'
    )
    with pytest.raises(Malformed):
        parse_done(done.encode(), MarkerName("done", 0, 0))


def test_a_failed_marker_of_old_took_no_seconds():
    fields = Failure(4, 4, 2, "bad_input", "why", None, (), None)._asdict()
    del fields["seconds"]
    assert parse_failed(encode_end(json.dumps(fields)), FOUR).seconds == 0.0
    with pytest.raises(Malformed):
        parse_failed(encode_end(json.dumps(fields | {"seconds": "long"})), FOUR)


def test_every_kind_cut_at_each_byte_is_malformed():
    summary = InputSummary(
        0, 0, "e", (PartOutputs(0, (OutputObject("o", "k", 1, "e"),)),), 1, 0, 1.0
    )
    failure = Failure(4, 4, 2, "bad_input", "a\nb", 1, (0, 1), "log")
    for body, parse in (
        (encode_done([summary]), lambda cut: parse_done(cut, MarkerName("done", 0, 0))),
        (encode_failed(failure), lambda cut: parse_failed(cut, FOUR)),
        (encode_skipped(9, 3), parse_skipped),
    ):
        parse(body)
        for cut in range(len(body)):
            with pytest.raises(Malformed):
                parse(body[:cut])
        with pytest.raises(Malformed):
            parse(body + b"x")


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_skipped_marker_reads_as_it_was_written(index, original):
    assert parse_skipped(encode_skipped(index, original)) == (index, original)


@given(st.binary(max_size=60))
def test_anything_else_is_malformed(body):
    for parse in (
        lambda: parse_done(body, MarkerName("done", 0, 0)),
        lambda: parse_failed(body, FOUR),
        lambda: parse_skipped(body),
        lambda: parse_failed(body + b'\n{"end": 1}\n', FOUR),
        lambda: parse_done(body + b'\n{"end": 1}\n', MarkerName("done", 0, 0)),
    ):
        with pytest.raises(Malformed):
            parse()
