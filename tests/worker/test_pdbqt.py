"""Cutting files into ligands and reading poses: pure text."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.support import EXAMPLE, bundle, ligand
from worker.tools.ligands import MAX_LIGAND_BYTES
from worker.tools.pdbqt import lines_in_runs, parse_poses, split_ligands

NAMES = sorted(path.stem for path in (EXAMPLE / "ligands").glob("*.pdbqt"))


WORDS = [
    b"MODEL 1\n",
    b"ENDMDL\n",
    b"ROOT\n",
    b"ENDROOT\n",
    b"TORSDOF 1\n",
    b"REMARK x\n",
    b"ATOM  1\n",
    b"\n",
    b"REMARK  Name = a b\n",
    b"TER\n",
    b"garbage\n",
]
RUN_TOGETHER = [
    *WORDS,
    b"HETATM 2\r\n",
    b"BRANCH 1 2\n",
    b"ENDBRANCH 1 2\n",
    b"ATOM\n",
    b" ATOM  3\n",
    b"REMARK\n",
    b"REMARKS\n",
    b"name = x\n",
    b"REMARK SMILES IDX 1 2\n",
    b"REMARK SMILES IDXX\n",
    b"remark smiles CCO\n",
    b"REMARK SMILES CC\n",
    b"ATOM without an end",
]


def split(text, stem="file"):
    return list(split_ligands(text.splitlines(keepends=True), stem))


def test_a_file_of_one_ligand_has_the_files_name():
    (only,) = split(ligand("caffeine"), "caffeine")
    assert (only.id, only.ordinal, only.problem) == ("caffeine", 0, None)
    assert only.text == ligand("caffeine")
    assert only.smiles == "Cn1c(=O)c2c(ncn2C)n(C)c1=O"


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4), st.booleans())
def test_cutting_gives_back_what_was_put_together(names, in_models):
    texts = [ligand(name) for name in names]
    found = split(bundle(*texts) if in_models else b"".join(texts))
    assert [each.text for each in found] == texts
    assert [each.ordinal for each in found] == list(range(len(names)))
    assert all(each.problem is None for each in found)


@given(
    st.lists(st.one_of(st.sampled_from(RUN_TOGETHER), st.binary(max_size=9)), max_size=40),
    st.integers(1, 200),
)
def test_lines_in_runs_are_cut_as_lines_are(lines, chunk_bytes):
    text = b"".join(lines)
    runs = list(lines_in_runs(io.BytesIO(text), chunk_bytes))
    assert b"".join(runs) == text
    assert list(split_ligands(runs, "file")) == list(split_ligands(io.BytesIO(text), "file"))


def test_what_says_nothing_of_a_ligands_ends_comes_together():
    remarks = b"REMARK SMILES IDX 1 1\nREMARK H PARENT\n"
    atoms = b"ATOM  1\nHETATM  2\nBRANCH 1 2\nENDBRANCH 1 2\n"
    text = b"REMARK SMILES C\n" + remarks + b"ROOT\n" + atoms + b"ENDROOT\n" + atoms
    expected = [b"REMARK SMILES C\n", remarks, b"ROOT\n", atoms, b"ENDROOT\n", atoms]
    assert list(lines_in_runs(io.BytesIO(text))) == expected


@pytest.mark.parametrize("length", [MAX_LIGAND_BYTES + 1, 10 * MAX_LIGAND_BYTES])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_of_a_line_without_end_little_is_kept(length, end):
    after = ligand("caffeine") if end else b""
    text = b"ROOT\n" + b"ATOM " + b"x" * length + end + b"ENDROOT\nTORSDOF 0\n" * bool(end) + after
    runs = list(lines_in_runs(io.BytesIO(text)))
    assert max(map(len, runs)) < MAX_LIGAND_BYTES + (1 << 18)
    first, *others = split_ligands(runs, "file")
    assert "more than 1048576 bytes" in first.problem
    assert [each.text for each in others] == ([after] if end else [])


@pytest.mark.parametrize(
    "line", [b"MODEL 1 %b", b"REMARK name%b", b"REMARK name x%b.", b"REMARK%b"]
)
def test_a_line_of_blanks_is_read_once(line):
    """By a pattern that tries each blank with each other one this would take hours."""
    text = line % (b" " * (MAX_LIGAND_BYTES // 2)) + b"\n" + ligand("caffeine")
    (found,) = split(text)
    assert found.problem is None
    assert found.id.strip() == ("x" if b"x" in line else "file")


@given(st.binary(max_size=400))
def test_any_bytes_can_be_cut_and_none_raises(text):
    for each in split(text):
        assert each.problem is not None
        assert each.id


@given(
    st.lists(
        st.sampled_from(WORDS),
        max_size=40,
    )
)
def test_no_atom_is_lost_or_doubled_however_lines_are_mixed(lines):
    found = split(b"".join(lines))
    kept = b"".join(each.text for each in found)
    for word in (b"ATOM", b"TORSDOF", b"garbage", b"ENDROOT"):
        assert kept.count(word) == b"".join(lines).count(word)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"REMARK  Name = imatinib", "imatinib"),
        (b"REMARK NAME imatinib", "imatinib"),
        (b"REMARK  Name = two words \r", "two words"),
        (b"REMARK name: x", "x"),
        (b"REMARK SMILES CCO", "file"),
        (b"REMARK Named after somebody", "file"),
    ],
)
def test_a_name_remark_names_the_ligand(line, name):
    (only,) = split(line + b"\n" + ligand("caffeine"))
    assert only.id == name


@pytest.mark.parametrize(
    ("title", "name"),
    [
        (b"MODEL", "file"),
        (b"MODEL 1", "file"),
        (b"MODEL        1 imatinib", "imatinib"),
        (b"MODEL imatinib", "imatinib"),
        (b"MODEL 3 5-ASA", "5-ASA"),
        (b"MODEL 5-ASA", "5-ASA"),
    ],
)
def test_a_model_line_may_name_the_ligand(title, name):
    (only,) = split(title + b"\n" + ligand("caffeine") + b"ENDMDL\n")
    assert only.id == name


def test_several_ligands_without_names_are_numbered():
    assert [each.id for each in split(ligand("caffeine") * 3)] == ["file_1", "file_2", "file_3"]


def test_a_ligand_without_its_end_does_not_swallow_the_next_one():
    cut = b"".join(ligand("aspirin").splitlines(keepends=True)[:-1])
    first, second = split(cut + ligand("caffeine"))
    assert first.problem == "no PDBQT of a ligand: no TORSDOF line"
    assert (second.text, second.problem) == (ligand("caffeine"), None)


def test_a_ligand_above_the_bound_is_refused_and_not_kept():
    huge = b"ROOT\n" + b"ATOM\n" * (MAX_LIGAND_BYTES // 5 + 10) + b"ENDROOT\nTORSDOF 0\n"
    first, second = split(huge + ligand("caffeine"))
    assert "more than" in first.problem
    assert len(first.text) <= MAX_LIGAND_BYTES
    assert second.problem is None


def test_remarks_and_blank_lines_alone_are_no_ligand():
    assert split(b"REMARK made today\n\nEND\n") == []


MODEL = """MODEL {number}
REMARK VINA RESULT:    {affinity:.3f}      0.000      0.000
REMARK INTER + INTRA:          -6.760
REMARK INTER:                  -6.035
REMARK INTRA:                  -0.725
REMARK UNBOUND:                -0.035
ATOM      1  C   UNL     1      13.120  93.216  64.354  1.00  0.00    +0.145 A
ENDMDL
"""


@given(st.lists(st.floats(-99, 99), min_size=1, max_size=9))
def test_poses_are_read_as_they_were_written(affinities):
    text = "".join(MODEL.format(number=n + 1, affinity=a) for n, a in enumerate(affinities))
    poses = parse_poses(text)
    assert [pose.affinity for pose in poses] == [float(f"{a:.3f}") for a in affinities]
    assert poses[0].terms == {
        "inter_intra": -6.76,
        "inter": -6.035,
        "intra": -0.725,
        "unbound": -0.035,
    }


@given(st.integers(0, len(MODEL) * 2 + 20))
def test_poses_that_are_cut_are_refused(length):
    text = MODEL.format(number=1, affinity=-5.0) + MODEL.format(number=2, affinity=-4.0)
    cut = text[:length]
    if cut.rstrip() == text.rstrip() or cut.rstrip().endswith("ENDMDL"):
        return
    with pytest.raises(ValueError, match=r"ENDMDL|RESULT"):
        parse_poses(cut)
