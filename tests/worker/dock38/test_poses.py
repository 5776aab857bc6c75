"""Poses as gzip members: the text as DOCK wrote it, read while it grows, and each one's place."""

import gzip
import subprocess
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import worker.tools.dock38_poses as module
from tests.worker.dock38.stand_in import pose
from worker.tools.dock38_poses import Repacker, members

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=24)
MOLECULES = st.lists(st.tuples(NAMES, st.integers(1, 3)), max_size=8)


def written(molecules):
    """DOCK's text; each molecule has a name and a number of poses."""
    numbered = enumerate(molecules, start=1)
    return [
        "".join(pose(number, name, rank) for rank in range(1, poses + 1)).encode()
        for number, (name, poses) in numbered
    ]


class Growing:
    """A file that DOCK writes, and what the worker makes of it."""

    def __init__(self, folder):
        self.source, self.target, self.index = (
            folder / "source",
            folder / "target",
            folder / "index",
        )
        self.source.unlink(missing_ok=True)
        self.repacker = Repacker(self.source, self.target, self.index)

    def write(self, packed):
        with self.source.open("ab") as file:
            file.write(packed)
        self.repacker.read_on()

    def finish(self):
        self.repacker.finish()
        return self.repacker.problem

    def read(self):
        """The text of each member, by what the index says."""
        body = self.target.read_bytes()
        found = members(self.index)
        return [
            (each.number, each.name, gzip.decompress(body[each.first_byte :][: each.length]))
            for each in found
        ]


@pytest.fixture
def growing(tmp_path):
    return Growing(tmp_path)


@given(MOLECULES, st.lists(st.integers(0, 5000), max_size=5), st.booleans())
def test_however_it_grows_each_molecule_is_a_member(tmp_path_factory, molecules, cuts, several):
    texts = written(molecules)
    packed = b"".join(map(gzip.compress, texts)) if several else gzip.compress(b"".join(texts))
    made = Growing(tmp_path_factory.getbasetemp())
    places = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    for begin, end in pairwise(places):
        made.write(packed[begin:end])
    assert made.finish() is None
    assert gzip.decompress(made.target.read_bytes()) == b"".join(texts)
    assert made.read() == [
        (number, name, text)
        for number, ((name, _), text) in enumerate(zip(molecules, texts, strict=True), start=1)
    ]


@pytest.mark.parametrize("molecules", [[], [("a", 1), ("a", 2), ("b", 1)]])
def test_gzip_takes_it_as_before(growing, molecules):
    growing.write(gzip.compress(b"".join(written(molecules))))
    assert growing.finish() is None
    assert (
        subprocess.run(["gzip", "-t"], stdin=growing.target.open("rb"), check=False).returncode == 0
    )
    told = subprocess.run(
        ["zcat"], stdin=growing.target.open("rb"), capture_output=True, check=True
    )
    assert told.stdout == b"".join(written(molecules))


WHOLE = gzip.compress(b"".join(written([("a", 1), ("b", 2)])))


@pytest.mark.parametrize("cut", range(1, len(WHOLE), 7))
def test_a_cut_anywhere_is_noticed(growing, cut):
    growing.write(WHOLE[:cut])
    assert growing.finish() == "it ends in the middle"


@pytest.mark.parametrize("place", [0, len(WHOLE) // 2, len(WHOLE) - 6, len(WHOLE) - 1])
def test_what_is_spoilt_is_noticed(growing, place):
    growing.write(WHOLE[:place] + bytes([WHOLE[place] ^ 0xFF]) + WHOLE[place + 1 :])
    assert growing.finish() is not None


def test_a_file_that_is_empty_or_missing_gives_a_whole_one(growing):
    growing.write(b"")
    assert growing.finish() is None
    assert gzip.decompress(growing.target.read_bytes()) == b""
    assert growing.target.stat().st_size > 0


def test_text_of_another_form_is_kept_and_fills_no_memory(growing, monkeypatch):
    monkeypatch.setattr(module, "_MAX_BLOCK_BYTES", 1000)
    text = b"something else\n" * 20_000
    growing.write(gzip.compress(text))
    assert len(growing.repacker._rest) <= 1000
    assert growing.finish() is None
    assert gzip.decompress(growing.target.read_bytes()) == text
