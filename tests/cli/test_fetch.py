"""Results come here whole, once, and nothing else does."""

import pytest

from cli.fetch import fetch
from drydock.errors import Changed, Malformed
from tests.steps.world import DATA


@pytest.fixture
def run_id(world):
    world.inputs(1)
    found = world.start()
    world.put(DATA, "out/results/top.csv", b"rank\n")
    world.put(DATA, "out/results/scores/shard=000000/00000.parquet", b"PAR1" * 100)
    world.put(DATA, "out/results/shards/000000/accounts.json", b"{}")
    return found


def test_files_keep_their_folders_and_shards_own_stay_away(doors, run_id, tmp_path):
    sizes = []
    found = fetch(doors, run_id, tmp_path, sizes.append)
    assert (found.brought, found.kept, found.size_bytes) == (2, 0, 405)
    here = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert here == {"top.csv", "scores/shard=000000/00000.parquet"}
    assert sum(sizes) == 405


def test_what_is_here_stays_and_what_changed_comes_again(world, doors, run_id, tmp_path):
    fetch(doors, run_id, tmp_path, lambda size: None)
    (tmp_path / "top.csv").write_bytes(b"Rank\n")
    found = fetch(doors, run_id, tmp_path, lambda size: None)
    assert (found.brought, found.kept) == (1, 1)
    assert (tmp_path / "top.csv").read_bytes() == b"rank\n"


def test_a_file_that_is_replaced_meanwhile_is_never_half_of_each(
    world, doors, run_id, tmp_path, monkeypatch
):
    listed = list(doors.store.list(DATA, "out/results/"))
    monkeypatch.setattr(type(doors.store), "list", lambda *_, **__: iter(listed))
    world.put(DATA, "out/results/top.csv", b"another one\n")
    with pytest.raises(Changed):
        fetch(doors, run_id, tmp_path, lambda size: None)
    assert not (tmp_path / "top.csv").exists()


def test_a_key_that_leads_out_of_the_folder_is_refused(world, doors, run_id, tmp_path):
    world.put(DATA, "out/results/../../away", b"x")
    with pytest.raises(Malformed, match="would lead out of"):
        fetch(doors, run_id, tmp_path / "here" / "results", lambda size: None)
    assert not (tmp_path / "away").exists()
