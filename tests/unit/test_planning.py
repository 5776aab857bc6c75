"""Planning: from lines or a listing to shards, the same however the bytes come."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock import planning
from drydock.errors import RequestRejected
from drydock.planning import (
    MAX_PROBLEMS,
    ListedInput,
    ListSurvey,
    ShardSizes,
    is_input_key,
    plan_list,
    plan_prefix,
    survey_list,
)
from drydock.tasks import Record, encode_lines, parse_tasks

BUCKETS = ("lab", "other")

keys = st.text('ab/é "\\\u2028#', min_size=1, max_size=4).filter(
    lambda key: not key.endswith("/") and key == key.strip()
)
uris = st.builds("s3://{}/{}".format, st.sampled_from(BUCKETS), keys)
noise = st.sampled_from(["", "   ", "# a comment", "#s3://lab/x", "\t"])
pads = st.sampled_from(["", " ", "\t"])
lines = st.lists(uris | noise, max_size=25)
ends = st.sampled_from(["\n", "\r\n"])


def cut(body, points):
    """The body in pieces."""
    marks = [0, *sorted(point % (len(body) + 1) for point in points), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(marks)]


def plan(body, shard_size=3, first_shard=0, points=(), more=frozenset()):
    found = survey_list(cut(body, points), len(body), BUCKETS)
    survey = ListSurvey(found.inputs, found.suspects | more)
    return list(plan_list(cut(body, points), survey, ShardSizes(shard_size), first_shard))


def records(shards):
    return [record for shard in shards for record in parse_tasks(encode_lines(shard.lines))]


def text(found, end="\n"):
    return end.join(found).encode()


@given(lines.filter(lambda found: any(line.startswith("s3:") for line in found)), st.data())
def test_a_list_is_planned_as_the_rule_says(found, data):
    end, size = data.draw(ends), data.draw(st.integers(1, 6))
    padded = [data.draw(pads) + line + data.draw(pads) for line in found]
    body = text(padded, end) + data.draw(st.sampled_from([b"", end.encode(), b"\n\n"]))
    inputs = [line for line in found if line.startswith("s3:")]
    shards = plan(body, size)
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert [shard.inputs for shard in shards[:-1]] == [size] * (len(shards) - 1)
    expected = []
    for index, uri in enumerate(inputs):
        original = inputs.index(uri)
        duplicate_of = None if original == index else original
        expected.append(Record(index % size, index, uri, duplicate_of=duplicate_of))
    assert records(shards) == expected
    assert [d for s in shards for d in s.duplicates] == [
        (record.place, record.index, record.duplicate_of)
        for record in expected
        if record.duplicate_of is not None
    ]
    assert b"".join(shard.list_text() for shard in shards) == text([*inputs, ""])


@given(
    st.lists(uris, min_size=1, max_size=15),
    st.lists(st.integers(0, 500), max_size=8),
    ends,
)
def test_wherever_the_chunks_are_cut_the_plan_is_the_same(found, points, end):
    body = text(found, end)
    assert plan(body, points=points) == plan(body)
    assert plan(body, points=range(len(body))) == plan(body)


@given(st.lists(uris, min_size=1, max_size=15), st.integers(0, 6))
def test_resumed_at_any_shard_the_rest_is_the_same(found, first):
    body = text(found)
    assert plan(body, first_shard=first) == plan(body)[first:]


@given(st.lists(uris, min_size=1, max_size=15))
def test_suspects_that_are_no_duplicates_change_nothing(found):
    body = text(found)
    everything = frozenset(hash(uri.encode()) for uri in found)
    assert plan(body, more=everything) == plan(body)


def test_lines_that_share_a_slot_are_no_duplicates(monkeypatch):
    monkeypatch.setattr(planning, "_BITS_PER_LINE", 0)
    found = [f"s3://lab/{n}" for n in range(200)]
    assert [record.duplicate_of for record in records(plan(text(found), 50))] == [None] * 200


def test_lines_with_one_hash_are_no_duplicates(monkeypatch):
    monkeypatch.setattr(planning, "hash", lambda _: 7, raising=False)
    found = ["s3://lab/a", "s3://lab/b", "s3://lab/a"]
    assert [record.duplicate_of for record in records(plan(text(found)))] == [None, None, 0]


# -- what is refused


def refused(body, buckets=BUCKETS):
    with pytest.raises(RequestRejected) as caught:
        survey_list([body], len(body), buckets)
    return caught.value.problems


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("input/a.pdbqt", "it must begin with s3://"),
        ("https://lab/a", "it must begin with s3://"),
        ("\ufeffs3://lab/a", "it must begin with s3://"),
        ("s3://LAB/a", "names no valid bucket"),
        ("s3://lab/", "names a prefix"),
        ("s3://lab", "names a prefix"),
        ("s3://lab/folder/", "names a prefix"),
        ("s3://elsewhere/a", "bucket 'elsewhere' is none that this stack was given"),
        ("s3://lab/" + "x" * 1025, "above 1024 bytes"),
        ("s3://labb/a", "bucket 'labb'"),
    ],
)
def test_a_line_that_names_no_input_is_told_by_its_number(line, said):
    (problem,) = refused(text(["s3://lab/a", "", "# note", line, "s3://lab/b"], "\r\n"))
    assert problem.startswith("input: line 4: ")
    assert said in problem
    assert len(problem) < 300


def test_a_line_that_is_no_text_is_told_by_its_number():
    assert refused(b"s3://lab/a\ns3://lab/\xff\n")[0].startswith("input: line 2: ")


def test_at_most_so_many_problems_are_told_and_the_first_ones():
    problems = refused(text(["nonsense"] * 1000))
    assert len(problems) == MAX_PROBLEMS
    assert problems[-1].startswith(f"input: line {MAX_PROBLEMS}: ")
    many = text(["s3://lab/a"] * 500 + ["nonsense"] * 500)
    with pytest.raises(RequestRejected) as caught:
        survey_list(cut(many, range(0, len(many), 97)), len(many), BUCKETS)
    assert caught.value.problems[0].startswith("input: line 501: ")


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n\r\n", b"# only\n# comments", b"   \n"])
def test_a_list_of_nothing_is_refused(body):
    assert refused(body) == ["input: the list names no input"]


def test_a_stack_without_buckets_refuses_every_line():
    assert len(refused(b"s3://lab/a\ns3:///b\n", buckets=())) == 2


def test_a_bucket_s_name_is_no_pattern():
    assert refused(b"s3://l.b/a\ns3://lab/a\n", buckets=("l.b",))[0].startswith("input: line 2")


def test_the_longest_key_passes():
    body = b"s3://lab/" + b"x" * 1024
    assert plan(body)[0].uris == [body]


# -- prefixes


def listing(names):
    return [ListedInput(f"p/{name}", len(name), f"etag-{name}") for name in names]


@given(st.lists(keys, max_size=20), st.integers(1, 5), st.integers(0, 4))
def test_a_prefix_is_planned_in_the_order_of_its_listing(names, size, first):
    shards = list(plan_prefix(listing(names), "lab", ShardSizes(size)))
    assert records(shards) == [
        Record(index % size, index, f"s3://lab/p/{name}", f"etag-{name}", len(name))
        for index, name in enumerate(names)
    ]
    assert (
        list(plan_prefix(listing(names)[first * size :], "lab", ShardSizes(size), first))
        == shards[first:]
    )


@pytest.mark.parametrize(
    ("key", "direct", "below"),
    [
        ("p/a", True, True),
        ("p/a/b", False, True),
        ("p/", False, False),
        ("p/a/", False, False),
        ("p/a/b/", False, False),
        ("p/ ", True, True),
    ],
)
def test_what_is_an_input_below_a_prefix(key, direct, below):
    assert is_input_key(key, "p/", recursive=False) == direct
    assert is_input_key(key, "p/", recursive=True) == below


def test_the_source_s_own_listing_has_h27_at_index_2():
    names = ["H25.db2.tgz", "H26.db2.tgz", "H27.db2.tgz"]
    (shard,) = plan_prefix(listing(names), "mytestbucket", ShardSizes(10_000))
    assert records([shard])[2].uri == "s3://mytestbucket/p/H27.db2.tgz"
    assert records([shard])[2].index == 2
