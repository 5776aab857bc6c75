"""Inputs cut into ligands: SDF, SMILES, packed files and archives."""

import gzip
import io
import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.support import bundle, ligand
from tests.worker.vina.molecules import SMILES, mol_block, sdf, smi, tgz, zipped
from worker.endings import InputFailed
from worker.tools import FetchedInput
from worker.tools.ligand_files import read_ligands
from worker.tools.ligands import MAX_LIGAND_BYTES, bounded_lines, split_sdf, split_smiles


def cut_sdf(text):
    return list(split_sdf(bounded_lines(io.BytesIO(text)), "file"))


def cut_smiles(text):
    return list(split_smiles(bounded_lines(io.BytesIO(text)), "file"))


@pytest.fixture
def read(tmp_path):
    """Reads an input as the worker has fetched it."""

    def read(name, body, after=0, first_byte=None):
        path = tmp_path / name
        path.write_bytes(body)
        return list(read_ligands(FetchedInput(path, 0, f"s3://b/{name}", "e", first_byte), after))

    return read


def test_an_sdf_gives_its_molecules_under_their_titles():
    blocks = [mol_block("aspirin"), mol_block("caffeine")]
    found = cut_sdf(sdf(*blocks))
    assert [(each.ordinal, each.id, each.kind) for each in found] == [
        (0, "aspirin", "sdf"),
        (1, "caffeine", "sdf"),
    ]
    assert [each.text.decode() for each in found] == blocks


def test_an_sdf_with_the_line_ends_of_another_system_and_no_last_separator():
    text = sdf(mol_block("aspirin"), mol_block("phenol")).replace(b"\n", b"\r\n")
    whole = text.removesuffix(b"$$$$\r\n")
    assert cut_sdf(whole) == cut_sdf(text)
    assert b"\r" not in cut_sdf(text)[0].text


def test_molecules_without_a_title_are_numbered():
    block = mol_block("aspirin").removeprefix("aspirin")
    assert [each.id for each in cut_sdf(sdf(block))] == ["file"]
    assert [each.id for each in cut_sdf(sdf(block, block))] == ["file_1", "file_2"]


@given(st.lists(st.sampled_from([b"$$$$\n", b"\n", b"M  END\n", b"x\n", b"> <a>\n"]), max_size=30))
def test_any_lines_make_as_many_records_as_they_have_separators(lines):
    found = cut_sdf(b"".join(lines))
    separators = lines.count(b"$$$$\n")
    assert separators <= len(found) <= separators + 1
    assert [each.ordinal for each in found] == list(range(len(found)))
    assert all(each.id for each in found)


@given(st.binary(max_size=300))
def test_any_bytes_can_be_cut_and_none_raises(text):
    for cut in (cut_sdf, cut_smiles):
        assert all(each.id for each in cut(text))


@pytest.mark.parametrize(
    ("line", "smiles", "name"),
    [
        ("CCO\tmy ethanol\t46.07", "CCO", "my ethanol"),
        ("CCO ethanol 46.07", "CCO", "ethanol"),
        ("  CCO  ", "CCO", "file_1"),
        ("CCO |$;;a$| ethanol", "CCO |$;;a$|", "ethanol"),
        ("CCO\t|$;;a$|\tmy ethanol", "CCO |$;;a$|", "my ethanol"),
    ],
)
def test_a_line_of_smiles(line, smiles, name):
    first, _second = cut_smiles(f"# ours\n\n{line}\r\nCC other\n".encode())
    assert (first.ordinal, first.text.decode(), first.id) == (0, smiles, name)
    assert first.smiles == "CCO"


def test_what_is_too_long_is_refused_without_being_kept():
    huge = b"x" * (3 * MAX_LIGAND_BYTES)
    first, second = cut_smiles(huge + b"\nCCO ethanol\n")
    assert "more than" in first.problem
    assert (first.text, second.id) == (b"", "ethanol")
    for line in (huge + b"\n", b"x\n" * MAX_LIGAND_BYTES):
        first, second = cut_sdf(b"huge\n" + line + b"$$$$\n" + sdf(mol_block("phenol")))
        assert "more than" in first.problem
        assert len(first.text) <= MAX_LIGAND_BYTES
        assert (second.id, second.problem) == ("phenol", None)


def test_packed_files_and_archives_give_what_their_members_do(read):
    plain = {
        "a.smi": smi("ethanol", "phenol"),
        "a.sdf": sdf(mol_block("aspirin")),
        "a.pdbqt": bundle(ligand("caffeine"), ligand("ibuprofen")),
    }
    for name, body in plain.items():
        wanted = read(name, body)
        assert read(f"{name}.gz", gzip.compress(body)) == wanted
        ending = name.partition(".")[2]
        for make, archive in ((tgz, "b.tgz"), (zipped, "b.zip")):
            packed = {f"a_{ending}": body, f"c_{ending}.gz": gzip.compress(body), "README": b"x"}
            found = read(archive, make(**packed))
            assert [each.text for each in found] == [each.text for each in wanted] * 2
            assert [each.ordinal for each in found] == list(range(2 * len(wanted)))


def test_members_name_what_has_no_name(read):
    found = read("library.zip", zipped(one_smi=b"CCO\n", many_smi=b"CC\nCCC\n"))
    assert [each.id for each in found] == ["one", "many_1", "many_2"]


def test_reading_goes_on_after_what_is_finished(read):
    body = tgz(a_smi=smi(*SMILES), b_sdf=sdf(mol_block("aspirin"), mol_block("phenol")))
    whole = read("a.tgz", body)
    for after in range(len(whole) + 1):
        assert read("a.tgz", body, after) == whole[after:]


def test_a_slice_is_named_by_where_it_begins(read):
    assert [each.id for each in read("a.smi", b"CC\nCCO\n", first_byte=512)] == [
        "a@512_1",
        "a@512_2",
    ]


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("a.smi.gz", gzip.compress(smi(*SMILES) * 99)[:-20], "a.smi.gz"),
        ("a.tgz", tgz(a_smi=smi(*SMILES) * 99)[:-20], "cut or broken"),
        ("a.zip", b"PK\3\4 no archive", "a.zip"),
        ("a.tgz", tgz(**{"../../out_smi": b"CCO\n"}), "leads out"),
    ],
)
def test_what_is_cut_or_hostile_fails_with_its_name(read, name, body, said):
    with pytest.raises(InputFailed, match=said) as failed:
        read(name, body)
    assert failed.value.failure_class == "bad_input"


def test_a_long_file_is_read_in_flat_memory(tmp_path):
    path = tmp_path / "long.smi"
    with path.open("wb") as file:
        for number in range(20_000):
            file.write(b"CCO\tmolecule-%d\n" % number)
    tracemalloc.start()
    ligands = read_ligands(FetchedInput(path, 0, "s3://b/long.smi", "e"), 0)
    (last,) = itertools.islice(ligands, 19_999, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert last.id == "molecule-19999"
    assert peak < 1 << 20
