"""Slices of files of many records: whole, of so many records, the same however they come."""

import io
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drydock.cutters import CUTTERS, MAX_RECORD_BYTES, NotCuttable
from drydock.records import cut, kind_of
from worker.tools.ligands import split_sdf, split_smiles
from worker.tools.pdbqt import split_ligands

PLENTY = 1 << 40


def slices(text, kind, records, sizes=(1 << 20,), start=0, most_bytes=PLENTY):
    """The slices of a text that comes in chunks of these sizes, again and again."""
    return list(
        cut(chunked(text[start:], sizes), kind, records, start=start, most_bytes=most_bytes)
    )


def chunked(text, sizes):
    place = 0
    for size in itertools.cycle(sizes):
        if place >= len(text):
            return
        yield text[place : place + size]
        place += size


def bodies(text, found):
    return [text[first : last + 1] for first, last in found]


# -- the readings of each kind by which slices are judged


def ligands(split):
    """What the worker's own reader takes for ligands, names apart."""
    return lambda text: [(each.text, each.smiles) for each in split(io.BytesIO(text), "x")]


def fastq_records(text):
    lines = [line.rstrip(b"\r\n") for line in io.BytesIO(text)]
    while len(lines) % 4 and not lines[-1]:
        lines.pop()
    return [tuple(lines[place : place + 4]) for place in range(0, len(lines), 4)]


PLAIN = {
    "sdf": ligands(split_sdf),
    "smi": ligands(split_smiles),
    "pdbqt": ligands(split_ligands),
    "fastq": fastq_records,
}


# -- files


LINES = {
    "sdf": ["mol", "", "$$$$", "$$$$ x", " $$$$", "$$$", "> <a>", "M  END", "$", "#"],
    "smi": ["CCO ethanol", "", "# told", "C", "  CC two", "\t", "smiles id", " # x", "c1ccccc1"],
    "pdbqt": [
        "MODEL 1",
        "MODEL",
        "ENDMDL",
        "ROOT",
        "ENDROOT",
        "TORSDOF 3",
        "ATOM      1  C",
        "REMARK  Name = a",
        "REMARK SMILES CCO",
        "REMARKS",
        "TER",
        "END",
        "",
        " ROOT",
        "USER x",
        "CONECT 1",
    ],
}


def joined(draw, lines):
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = "".join(line + end for line in lines)
    return (text if draw(st.booleans()) else text[: -len(end)]).encode()


@st.composite
def files(draw, kind):
    if kind != "fastq":
        return joined(draw, draw(st.lists(st.sampled_from(LINES[kind]), max_size=40)))
    bases = st.text("ACGTN", max_size=6)
    lines = []
    for name, sequence in draw(st.lists(st.tuples(bases, bases), max_size=12)):
        # Qualities may look like the beginning of a record.
        quality = draw(st.text("@+I", min_size=len(sequence), max_size=len(sequence)))
        lines += ["@" + name, sequence, "+", quality]
    return joined(draw, lines) + draw(
        st.sampled_from([b"", b"", b"\n\n"]) if lines else st.just(b"")
    )


chunk_sizes = st.lists(st.integers(1, 30), min_size=1, max_size=5)


@pytest.mark.parametrize("kind", CUTTERS)
@settings(max_examples=400, deadline=None)
@given(data=st.data(), records=st.integers(1, 5), sizes=chunk_sizes)
def test_slices_are_the_file_with_so_many_records_each(kind, data, records, sizes):
    text = data.draw(files(kind))
    found = slices(text, kind, records)
    assert b"".join(bodies(text, found)) == text
    assert all(last >= first for first, last in found)
    read = [PLAIN[kind](body) for body in bodies(text, found)]
    assert list(itertools.chain(*read)) == PLAIN[kind](text)
    assert all(len(each) == records for each in read[:-1])
    assert all(1 <= len(each) <= records for each in read[-1:] if PLAIN[kind](text))
    assert slices(text, kind, records, sizes) == found


@pytest.mark.parametrize("kind", CUTTERS)
@settings(max_examples=150, deadline=None)
@given(data=st.data(), records=st.integers(1, 3), sizes=chunk_sizes)
def test_cutting_goes_on_behind_any_slice(kind, data, records, sizes):
    text = data.draw(files(kind))
    found = slices(text, kind, records)
    for number, (_, last) in enumerate(found[:-1]):
        assert slices(text, kind, records, sizes, start=last + 1) == found[number + 1 :]


@settings(max_examples=100, deadline=None)
@given(
    lines=st.lists(st.integers(1, 300), min_size=1, max_size=400),
    records=st.integers(1, 120),
    odd=st.booleans(),
)
def test_many_lines_are_counted_right(lines, records, odd):
    text = b"".join(b"C" * length + b"\n" for length in lines)
    text = b"#\n" + text if odd else text
    found = slices(text, "smi", records, sizes=(1000,))
    counts = [len(PLAIN["smi"](body)) for body in bodies(text, found)]
    whole, rest = divmod(len(lines), records)
    assert counts == [records] * whole + ([rest] if rest else [])


@pytest.mark.parametrize("kind", CUTTERS)
def test_of_nothing_there_is_no_slice(kind):
    assert slices(b"", kind, 1) == []


@pytest.mark.parametrize("kind", ["sdf", "smi", "pdbqt", "fastq"])
def test_a_file_without_a_record_is_one_slice(kind):
    assert slices(b"\n\n", kind, 1) == [(0, 1)]


def test_a_ligand_without_models_is_one_record():
    ligand = b"REMARK  Name = a\nROOT\nATOM\nENDROOT\nTORSDOF 0\n"
    assert slices(ligand, "pdbqt", 1) == [(0, len(ligand) - 1)]
    assert len(slices(ligand * 3, "pdbqt", 1)) == 3


@pytest.mark.parametrize(
    "text",
    [
        b"@a\nAC\nGT\n+\nIIII\n",
        b"@a\nAC\n+\nIII\n",
        b"@a\nAC\n+\nII\n\n@b\nAC\n+\nII\n",
        b">a\nAC\n>b\nAC\n",
        b"@a\nAC\n",
        b"@a\nAC\n+\nII\n@b\nAC\n",
    ],
    ids=["wrapped", "uneven", "blank between", "fasta", "cut", "cut later"],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_fastq_of_four_lines_is_refused(text, size):
    with pytest.raises(NotCuttable, match=r"byte \d+"):
        slices(text, "fastq", 1, (size,))


def test_every_record_of_a_fastq_is_looked_at():
    text = b"@a\nAC\n+\nII\n" * 1000
    broken = text[:6000].replace(b"+", b"-", 1) + text[6000:]
    assert len(slices(text, "fastq", 7, (100,))) == 143
    with pytest.raises(NotCuttable, match="byte 0"):
        slices(broken, "fastq", 7)


@pytest.mark.parametrize("kind", ["sdf", "smi", "pdbqt"])
def test_a_slice_longer_than_allowed_is_refused(kind):
    text = {"sdf": b"a\n$$$$\n", "smi": b"CCCCCC\n", "pdbqt": b"ROOT\nTORSDOF\n"}[kind] * 10
    assert len(slices(text, kind, 5, most_bytes=100)) == 2
    with pytest.raises(NotCuttable, match="fewer"):
        slices(text, kind, 5, most_bytes=len(text) // 2 - 1)


@pytest.mark.parametrize("kind", ["sdf", "smi", "pdbqt", "fastq"])
def test_no_endless_line_is_kept(kind):
    begin = b"\n$$$$" if kind == "sdf" else b""
    endless = itertools.chain([begin], itertools.repeat(b"@" * (8 << 20), 100))
    with pytest.raises(NotCuttable, match=str(MAX_RECORD_BYTES)):
        list(cut(endless, kind, 1, most_bytes=PLENTY))


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("a/b.sdf", "sdf"),
        ("a.SD", "sdf"),
        ("x.smi", "smi"),
        ("x.smiles", "smi"),
        ("a.b.pdbqt", "pdbqt"),
        ("r_1.fastq", "fastq"),
        ("r_1.fq", "fastq"),
    ],
)
def test_the_ending_tells_the_kind(key, kind):
    assert kind_of(key) == kind


@pytest.mark.parametrize("key", ["a.sdf.gz", "a.tgz", "H25.db2.tgz", "a.SMI.BZ2", "x.zip", "a.zst"])
def test_compressed_files_are_refused(key):
    with pytest.raises(NotCuttable, match="compressed"):
        kind_of(key)


@pytest.mark.parametrize("key", ["a.db2", "sdf", "x/.sdf/y", "a.pdb", "folder.sdf/list", ""])
def test_other_files_are_refused(key):
    with pytest.raises(NotCuttable, match=re.escape(".sdf, .sd, .smi")):
        kind_of(key)


@pytest.mark.parametrize("start", [b"\x1f\x8b\x08", b"BZh9", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"])
def test_compressed_bytes_are_refused_whatever_the_name(start):
    with pytest.raises(NotCuttable, match="compressed"):
        slices(start + b"\n" * 100, "sdf", 1)
