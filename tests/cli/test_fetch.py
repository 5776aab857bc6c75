"""Results come here whole, once, and nothing else does."""

import pytest

from cli.fetch import OtherRun, fetch
from drydock.errors import Changed, Malformed
from tests.steps.world import DATA


def files_in(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def bring(doors, run_id, folder):
    return fetch(doors, run_id, folder, lambda size: None)


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
    assert files_in(tmp_path) == {".run_id", "top.csv", "scores/shard=000000/00000.parquet"}
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


def test_a_placeholder_of_a_folder_is_no_result(world, doors, run_id, tmp_path):
    for key in ("out/results/", "out/results/scores/", "out/results/more/"):
        world.put(DATA, key, b"")
    assert bring(doors, run_id, tmp_path).brought == 2
    assert bring(doors, run_id, tmp_path).kept == 2


def another(world):
    """Another run, of which one shard is complete as yet."""
    found = world.start("two", output=f"s3://{DATA}/elsewhere/")
    world.put(DATA, "elsewhere/results/scores/shard=000001/00000.parquet", b"PAR1")
    return found


def test_two_runs_are_never_mixed_in_a_folder(world, doors, run_id, tmp_path):
    bring(doors, run_id, tmp_path)
    before = files_in(tmp_path)
    with pytest.raises(OtherRun, match=rf"results of run {run_id}.* choose another --to"):
        bring(doors, another(world), tmp_path)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    "body", ['{"run_id": "0123456789abcdef"}', '{"name": "a request of mine"}', "[]", "{"]
)
def test_a_run_json_that_is_not_of_this_run_is_kept(doors, run_id, tmp_path, body):
    (tmp_path / "run.json").write_text(body)
    with pytest.raises(OtherRun, match="choose another --to"):
        bring(doors, run_id, tmp_path)
    assert (tmp_path / "run.json").read_text() == body


def test_scores_that_nothing_names_the_run_of_are_not_added_to(doors, run_id, tmp_path):
    (tmp_path / "scores/shard=000007").mkdir(parents=True)
    (tmp_path / "scores/shard=000007/00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(OtherRun, match="choose another --to"):
        bring(doors, run_id, tmp_path)


def test_what_was_copied_otherwise_is_gone_on_with(world, doors, run_id, tmp_path):
    (tmp_path / "run.json").write_text(f'{{"run_id": "{run_id}"}}')
    assert bring(doors, run_id, tmp_path).brought == 2


def test_tables_that_are_results_no_more_go_and_nothing_else_does(world, doors, run_id, tmp_path):
    gone = "scores/shard=000000/00001.parquet"
    world.put(DATA, f"out/results/{gone}", b"PAR1")
    here, away = tmp_path / "here", tmp_path / "away"
    bring(doors, run_id, here)
    away.mkdir()
    for name in ("00000.parquet", "notes.txt"):
        (away / name).write_bytes(b"mine")
    mine = ("scores/shard=000000/mine.parquet", "scores/shard=000000/notes.txt", "poses.parquet")
    for name in mine:
        (here / name).write_bytes(b"mine")
    (here / "scores/shard=000009").symlink_to(away)
    (here / "scores/shard=000000/00002.parquet").symlink_to(away / "00000.parquet")
    world.remove(DATA, f"out/results/{gone}")
    assert bring(doors, run_id, here).removed == 1
    assert not (here / gone).exists()
    assert {*mine, "scores/shard=000000/00002.parquet"} <= files_in(here)
    assert files_in(away) == {"00000.parquet", "notes.txt"}


def test_a_copy_outlives_what_it_was_made_of(world, doors, run_id, tmp_path):
    bring(doors, run_id, tmp_path)
    world.remove(DATA, "out/results/scores/shard=000000/00000.parquet")
    assert bring(doors, run_id, tmp_path).removed == 0
    assert "scores/shard=000000/00000.parquet" in files_in(tmp_path)


def test_where_there_are_no_results_nothing_is_written(world, doors, tmp_path):
    world.inputs(1)
    bring(doors, world.start(), tmp_path / "here")
    assert not (tmp_path / "here").exists()
