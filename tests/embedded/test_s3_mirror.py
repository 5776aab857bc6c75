import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.s3_mirror import ObjectFacts, S3Mirror

SEGMENTS = st.sampled_from(["a", "b", "", ".", "..", "%", "é", "x" * 300])
KEYS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join).filter(bool)
BODIES = st.binary(max_size=8)
STEPS = st.lists(st.tuples(KEYS, BODIES | st.none()), max_size=25)


def read_back(directory, bucket="lab"):
    return {
        stored.key: (stored.body, stored.facts) for stored in S3Mirror(directory).objects(bucket)
    }


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_what_was_put_and_not_deleted_comes_back(tmp_path_factory, steps):
    directory = tmp_path_factory.mktemp("mirror")
    mirror, expected = S3Mirror(directory), {}
    mirror.add_bucket("lab")
    for number, (key, body) in enumerate(steps):
        if body is None:
            mirror.remove("lab", key)
            expected.pop(key, None)
        else:
            facts = ObjectFacts(etag=f"etag-{number}", metadata={"number": str(number)})
            mirror.write("lab", key, body, facts)
            expected[key] = (body, facts)
    assert read_back(directory) == expected


def test_an_object_is_a_file_of_its_own_name(tmp_path):
    mirror = S3Mirror(tmp_path)
    mirror.write("lab", "out/results/top.csv", b"id,score\n", ObjectFacts(etag="e"))
    assert (tmp_path / "s3" / "lab" / "out" / "results" / "top.csv").read_bytes() == b"id,score\n"


def test_a_key_and_a_longer_one_below_it_live_side_by_side(tmp_path):
    mirror = S3Mirror(tmp_path)
    for key in ("a", "a/b", "a/b/c", "a/"):
        mirror.write("lab", key, key.encode(), ObjectFacts(etag=key))
    assert {key: body for key, (body, _) in read_back(tmp_path).items()} == {
        key: key.encode() for key in ("a", "a/b", "a/b/c", "a/")
    }


def test_a_file_put_there_by_hand_is_an_object(tmp_path):
    (tmp_path / "s3" / "lab").mkdir(parents=True)
    (tmp_path / "s3" / "lab" / "mine.txt").write_text("hello")
    assert read_back(tmp_path) == {
        "mine.txt": (b"hello", ObjectFacts(etag="5d41402abc4b2a76b9719d911017c592"))
    }


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", range(1, 10))
def test_a_kill_at_any_step_leaves_the_old_or_the_new_object_whole(tmp_path, monkeypatch, step):
    mirror = S3Mirror(tmp_path)
    mirror.add_bucket("lab")
    old = (b"old", ObjectFacts(etag="old-etag-2", metadata={"is": "old"}))
    new = (b"new", ObjectFacts(etag="new-etag-2", metadata={"is": "new"}))
    mirror.write("lab", "a", *old)
    steps = iter(range(1, step + 1))

    def dies(real):
        def wrapped(*arguments, **keywords):
            if next(steps, None) == step:
                raise KilledError
            return real(*arguments, **keywords)

        return wrapped

    with monkeypatch.context() as patch:
        for name in ("write_bytes", "open", "replace", "rename", "mkdir", "is_file", "is_dir"):
            patch.setattr(Path, name, dies(getattr(Path, name)))
        try:
            mirror.write("lab", "a", *new)
            written = True
        except KilledError:
            written = False
    assert read_back(tmp_path) == {"a": new if written else old}


def test_a_line_cut_short_by_a_kill_is_no_line(tmp_path):
    mirror = S3Mirror(tmp_path)
    mirror.write("lab", "a", b"x", ObjectFacts(etag="two-parts-2"))
    index = tmp_path / "s3-index" / "lab.jsonl"
    with index.open("a") as lines:
        lines.write('{"key": "b", "md5": "0cc1')
    assert read_back(tmp_path)["a"][1].etag == "two-parts-2"
    S3Mirror(tmp_path).write("lab", "b", b"y", ObjectFacts(etag="three-parts-3"))
    assert {key: facts.etag for key, (_, facts) in read_back(tmp_path).items()} == {
        "a": "two-parts-2",
        "b": "three-parts-3",
    }


def test_the_index_forgets_what_is_gone(tmp_path):
    mirror = S3Mirror(tmp_path)
    for number in range(5):
        mirror.write("lab", "a", b"%d" % number, ObjectFacts(etag=str(number)))
    mirror.remove("lab", "a")
    mirror.write("lab", "b", b"b", ObjectFacts(etag="b"))
    read_back(tmp_path)
    lines = (tmp_path / "s3-index" / "lab.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["b"]


def test_a_removed_bucket_leaves_nothing(tmp_path):
    mirror = S3Mirror(tmp_path)
    mirror.write("lab", "a/b", b"x", ObjectFacts(etag="e"))
    mirror.remove("lab", "a/b")
    mirror.remove_bucket("lab")
    assert S3Mirror(tmp_path).buckets() == []
