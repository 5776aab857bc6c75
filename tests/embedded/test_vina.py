"""Whole runs with molecules as they are sold and shared: SMILES, SDF, archives, and slices."""

import pytest

from tests.embedded.run_support import LIGANDS, world
from tests.worker.vina.molecules import SMILES, mol_block, sdf, smi, tgz, zipped


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with world(tmp_path_factory.mktemp("aws")) as made:
        yield made


def test_a_run_of_smiles_sdf_and_archives(stack):
    stack.put("kinds/in/a.smi", smi("ethanol", salt="CCO.Cl"))
    stack.put("kinds/in/b.sdf", sdf(mol_block("aspirin"), mol_block("phenol", dimensions=2)))
    caffeine = (LIGANDS / "caffeine.pdbqt").read_bytes()
    stack.put("kinds/in/c.tgz", tgz(caffeine_pdbqt=caffeine, more_smi=smi("paracetamol")))
    stack.put("kinds/in/d.zip", zipped(**{"../out_smi": smi("ethanol")}))
    outcome = stack.do("kinds")
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (3, 1, 0, 0)
    assert (outcome.accounts["molecules"], outcome.accounts["failed_molecules"]) == (6, 1)
    assert sorted(row["id"] for row in outcome.top) == sorted(SMILES)
    (failure,) = outcome.failures
    assert failure["class"] == "bad_input"
    assert "leads out" in failure["reason"]


def test_slices_give_what_the_whole_files_do(stack):
    for name in ("whole", "sliced"):
        stack.put(f"{name}/in/a.smi", smi("ethanol", "phenol", "paracetamol"))
        stack.put(f"{name}/in/b.sdf", sdf(mol_block("aspirin"), mol_block("caffeine")))
    whole, sliced = stack.do("whole"), stack.do("sliced", records_per_input=1)
    assert whole.counts() == (2, 0, 0, 0)
    assert sliced.counts() == (5, 0, 0, 0)
    scores = [{row["id"]: row["score"] for row in outcome.top} for outcome in (whole, sliced)]
    assert scores[0] == scores[1]
    assert set(scores[0]) == set(SMILES)
