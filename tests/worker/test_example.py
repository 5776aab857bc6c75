"""The example that a newcomer runs first."""

import json
import runpy

from rdkit.Chem import CanonSmiles

from drydock.request import parse_request_text
from tests.worker.support import EXAMPLE
from worker.tools.pdbqt import split_ligands
from worker.tools.vina import VinaOptions


def ligands_of(path):
    with path.open("rb") as lines:
        return list(split_ligands(lines, path.stem))


def inputs():
    return sorted((EXAMPLE / "inputs").iterdir())


def test_the_inputs_are_what_the_script_makes_of_the_ligands():
    made = runpy.run_path(str(EXAMPLE / "make_inputs.py"))["arranged"](EXAMPLE / "ligands")
    assert {path.name: path.read_bytes() for path in inputs()} == made


def test_every_ligand_is_in_one_input_unchanged_and_under_its_name():
    found = {each.id: each.text for path in inputs() for each in ligands_of(path)}
    wanted = {path.stem: path.read_bytes() for path in (EXAMPLE / "ligands").iterdir()}
    assert found == wanted
    assert len(found) == 24


def test_bundles_come_first_so_that_an_interruption_falls_inside_one():
    sizes = [len(ligands_of(path)) for path in inputs()]
    assert sizes == [4, 4, 4] + [1] * 12


def test_the_request_is_one_and_its_options_are_vinas():
    text = (EXAMPLE / "run.json").read_bytes()
    request = parse_request_text(text)
    assert request.tool == "vina"
    assert VinaOptions(**json.loads(text)["options"]).flags()
    assert request.assets["receptor"].endswith("/receptor.pdbqt")


def test_the_library_is_the_same_molecules_as_smiles():
    lines = (EXAMPLE / "library.smi").read_text().splitlines()
    listed = {name: CanonSmiles(smiles) for smiles, name in (line.split("\t") for line in lines)}
    texts = {path.stem: ligands_of(path)[0].smiles for path in (EXAMPLE / "ligands").iterdir()}
    assert listed == {name: CanonSmiles(smiles) for name, smiles in texts.items()}


def test_the_request_for_smiles_is_the_other_one_over_slices_of_them():
    whole, sliced = (
        json.loads((EXAMPLE / name).read_bytes()) for name in ("run.json", "smiles.json")
    )
    assert parse_request_text((EXAMPLE / "smiles.json").read_bytes()).records_per_input == 6
    differ = {name for name in sliced if sliced[name] != whole.get(name)}
    assert differ == {"name", "input", "output", "records_per_input"}
    assert sliced["input"].endswith("/vina/library.smi")


def test_every_file_has_its_terms():
    terms = (EXAMPLE / "LICENSES.md").read_text(encoding="utf-8")
    for path in (EXAMPLE / "ligands").iterdir():
        assert path.stem in terms or ("nsc*" in terms and path.stem.startswith("nsc"))
    for name in (
        "receptor.pdbqt",
        "inputs/",
        "library.smi",
        "Apache-2.0",
        "Liubov Chuprikova",
        "CC0",
        "BSD-3",
    ):
        assert name in terms
