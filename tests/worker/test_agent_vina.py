"""One child from start to exit code, with real docking."""

import gzip

import pytest
from tests.worker.support import DATA, bundle, ligand

from worker.agent import main


@pytest.fixture
def run(store, scratch):
    """Runs children in this process."""

    def run(shard, child=0, **extra):
        return main(shard.environment(scratch, child, **extra), store)

    return run


def test_one_ligand_gives_two_outputs_and_a_marker(shard, run):
    made = shard(("in/caffeine.pdbqt", ligand("caffeine")))
    assert run(made) == 0
    assert made.markers() == ["00000-00000.done"]
    folder = made.keys.input_folder(0, 0)
    assert made.names(folder) == ["poses.pdbqt.gz.0", "scores.jsonl.gz.0"]
    assert made.part_records() == []
    (summary,) = made.marker("00000-00000.done")
    assert (summary.molecules, summary.failed_molecules) == (1, 0)
    (row,) = made.rows()
    assert (row["id"], row["score"]) == (summary.best_id, summary.best_score)
    assert row["smiles"].startswith("C")
    assert row["input_etag"] == made.records[0].etag


def test_a_pose_is_read_by_its_range_alone(shard, run, store):
    both = bundle(ligand("caffeine"), ligand("nsc00036"))
    made = shard(("in/two.pdbqt", both))
    assert run(made) == 0
    rows = made.rows()
    assert [row["id"] for row in rows] == ["two_1", "two_2"]
    last = rows[1]
    body = store.get(
        DATA,
        last["poses"],
        first_byte=last["first_byte"],
        last_byte=last["first_byte"] + last["length"] - 1,
    ).body
    text = gzip.decompress(body).decode()
    assert text.startswith("MODEL 1")
    assert f"{last['score']:.3f}" in text
