"""Whole attempts with the stand-in of dock64, and each way in which they are not whole."""

import gzip
import re

import pytest

from tests.worker.dock38.bundles import bundle, db2, member, tgz
from tests.worker.dock38.conftest import indock
from tests.worker.support import DATA
from worker.tools.dock38 import Dock38

NAMES = [
    "ZINC000000000001",
    "FAIL",
    "GLUED",
    "BROKEN",
    "TWO",
    "STARS",
    "a-very-long-name-ZINC000000000002",
]
IDS = ["ZINC000000000001", "FAIL", "GLUED", "BROKEN", "TWO", "TWO", "STARS", NAMES[-1]]


def failures(made):
    return [made.marker(name) for name in made.markers() if name.endswith(".failed")]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("in/a.db2.tgz", bundle(*NAMES)),
        ("in/a.db2.gz", gzip.compress(db2(*NAMES))),
        ("in/a.db2", db2(*NAMES)),
    ],
)
def test_a_bundle_is_docked_and_counted(shard, run, store, name, body):
    made = shard((name, body))
    assert run(made) == 0
    (summary,) = made.marker("00000-00000.done")
    assert (summary.molecules, summary.failed_molecules) == (7, 3)
    rows = made.rows()
    assert [row["id"] for row in rows] == IDS
    assert [row["ligand"] for row in rows] == [0, 1, 2, 3, 4, 4, 5, 6]
    by_id = {row["id"]: row for row in reversed(rows)}
    assert by_id["FAIL"]["reason"] == "No viable poses.  Grids might be too small."
    assert by_id["GLUED"]["terms"]["psol"] == 1055.08
    assert by_id["STARS"]["score"] is by_id["BROKEN"]["score"] is by_id["FAIL"]["score"] is None
    assert "too large" in by_id["STARS"]["reason"]
    scored = [row for row in rows if row["score"] is not None]
    best = min(scored, key=lambda row: row["score"])
    assert (summary.best_id, summary.best_score) == (best["id"], best["score"])
    assert by_id["TWO"] | {"input": f"s3://{DATA}/{name}", "index": 0} == by_id["TWO"]


def test_an_input_leaves_four_objects(shard, run):
    made = shard(("in/a.db2.tgz", bundle(*NAMES)))
    assert run(made) == 0
    assert sorted(made.names(made.keys.input_folder(0, 0))) == [
        "OUTDOCK.0",
        "scores.jsonl.gz.0",
        "test.mol2.gz.0",
    ]
    assert made.part_records() == []
    assert made.markers() == ["00000-00000.done"]


def poses_of(made, row):
    """What a ranged GET of a row's poses gives."""
    first, length = row["first_byte"], row["length"]
    found = made.store.get(DATA, row["poses"], first_byte=first, last_byte=first + length - 1)
    return gzip.decompress(found.body).decode()


def names_in(text):
    """Name and rank of each pose."""
    return re.findall(r" Name: +(\S+)\n(?:#.*\n)*?#+ +Rank: +(\d+)\n", text)


@pytest.mark.parametrize("name_chars", [0, 16])
def test_ids_that_share_their_last_16_characters_stay_two_molecules(shard, run, name_chars):
    """Whether or not the poses' file has whole names."""
    names = ["left-ZINC000000000001", "lost-in-BROKEN", "right-ZINC000000000001"]
    made = shard(("in/a.db2", db2(*names)), indock_keys={"name_chars": name_chars})
    assert run(made) == 0
    assert [(row["id"], row["ligand"]) for row in made.rows()] == [
        (name, number) for number, name in enumerate(names)
    ]
    left, _, right = made.rows()
    assert names_in(poses_of(made, left)) == [(names[0][-name_chars:], "1")]
    assert names_in(poses_of(made, right)) == [(names[2][-name_chars:], "1")]
    assert left["first_byte"] != right["first_byte"]


def test_a_row_tells_where_its_molecules_poses_lie(shard, run, store):
    names = ["a", "NOPOSE-b", "FAIL-c", "TWO-d", "BROKEN-e", "a", "f"]
    made = shard(("in/a.db2.tgz", bundle(*names)))
    assert run(made) == 0
    found = [
        (row["id"], "first_byte" in row and names_in(poses_of(made, row))) for row in made.rows()
    ]
    two = [("TWO-d", "1"), ("TWO-d", "2")]
    assert found == [
        ("a", [("a", "1")]),
        ("NOPOSE-b", False),
        ("FAIL-c", False),
        ("TWO-d", two),
        ("TWO-d", two),
        ("BROKEN-e", False),
        ("a", [("a", "1")]),
        ("f", [("f", "1")]),
    ]
    whole = gzip.decompress(store.get(DATA, made.rows()[0]["poses"]).body).decode()
    assert [name for name, _ in names_in(whole)] == ["a", "TWO-d", "TWO-d", "a", "f"]


def test_a_bundle_without_a_single_pose_is_done(shard, run, store):
    made = shard(("in/a.db2", db2("FAIL", "BROKEN")))
    assert run(made) == 0
    (summary,) = made.marker("00000-00000.done")
    (part,) = summary.chain
    mol2 = next(output for output in part.outputs if output.name == "mol2")
    assert gzip.decompress(store.get(DATA, mol2.key).body) == b""
    assert mol2.size > 0


def test_a_dock64_that_does_not_count_what_it_cannot_read(shard, run):
    made = shard(("in/a.db2", db2(*NAMES)), indock_keys={"counts_broken": "no"})
    assert run(made) == 0
    assert len(made.rows()) == len(IDS)


def test_dock64_may_be_an_asset(shard, run, store, on_path, dock64):
    on_path.unlink()
    made = shard(("in/a.db2", db2("a")))
    assert run(made) == 78
    etag = store.put(DATA, "bin/dock64", dock64)
    pinned = type(made.asset)(
        f"s3://{DATA}/bin/dock64",
        (type(made.asset.objects[0])(f"s3://{DATA}/bin/dock64", etag, len(dock64)),),
    )
    made.more_assets = {"dockexec": pinned}
    made.write_round()
    assert run(made) == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"\x7fELF of another kind", "Exec format"), (b"#!/no/such\n", "No such file")],
)
def test_a_dock64_that_is_no_program_stops_the_run(shard, run, store, on_path, body, said):
    on_path.write_bytes(body)
    made = shard(("in/a.db2", db2("a")))
    assert run(made) == 78
    told = store.get(DATA, made.keys.misconfigured(0, 0)).body.decode()
    assert told.startswith("dock64 cannot be started: ")
    assert said in told


def test_a_dock64_that_is_an_asset_may_be_run_by_another_user(tmp_path, dock64):
    (tmp_path / "INDOCK").write_text(indock())
    program = tmp_path / "dock64"
    program.write_bytes(dock64)
    program.chmod(0o600)
    Dock38().prepare({"dockfiles": tmp_path, "dockexec": program})
    assert program.stat().st_mode & 0o777 == 0o755


def test_a_pack_goes_on_after_an_input_that_fails(shard, run):
    made = shard(
        ("in/0.db2", db2("a")), ("in/1.db2", b""), ("in/2.db2", db2("b")), inputs_per_job=3
    )
    assert run(made) == 0
    assert made.markers() == ["00000-00000.done", "00001.1.bad_input.failed", "00002-00002.done"]


WHOLE = bundle(*NAMES)
BAD = [
    ("in/a.db2.tgz", WHOLE[: len(WHOLE) // 2], "cut"),
    ("in/a.db2", db2("a", "b")[:-40], "'a.db2' is cut"),
    ("in/a.db2.tgz", tgz(member("x.db2", db2("a")), member("../y.db2", db2("b"))), "'../y.db2'"),
    ("in/a.db2.tgz", tgz(member("x.db2", b"")), "no hierarchy"),
    ("in/a.sdf", b"x", "name must end with"),
]


@pytest.mark.parametrize(("name", "body", "said"), BAD)
def test_a_bundle_that_is_not_whole_fails(shard, run, name, body, said):
    made = shard((name, body))
    assert run(made) == 0
    (failure,) = failures(made)
    assert failure.failure_class == "bad_input"
    assert said in failure.reason


MISCONFIGURED = [
    ({"indock_keys": {"error": "grid sizes do not match"}}, "ERROR ---> grid sizes do not match"),
    ({"text": "DOCK 3.7 parameter\n"}, "first line of INDOCK"),
    ({"text": "DOCK 3.8 parameter\nminimize yes\n"}, "no line ligand_atom_file"),
    ({"files": {"INDOCK": None}}, "dockfiles that hold INDOCK"),
    ({"files": {"matching_spheres.sph": None}}, "matching_spheres.sph"),
    ({"options": {"center": [1, 2, 3]}}, "no option center"),
]


@pytest.mark.parametrize(("values", "said"), MISCONFIGURED)
def test_what_no_attempt_can_mend_stops_the_run(shard, run, store, values, said):
    made = shard(("in/a.db2", db2("a")), **values)
    assert run(made) == 78
    assert said in store.get(DATA, made.keys.misconfigured(0, 0)).body.decode()
    assert made.markers() == []


@pytest.mark.parametrize("ligand", ["CRASH", "EXIT"])
def test_a_death_is_tried_once_more_and_then_fails_the_input(shard, run, store, ligand):
    made = shard(("in/a.db2", db2("a", "b", ligand, "c")))
    assert run(made) == 1
    (record,) = made.part_records()
    assert (record.progress, record.trouble) == (0, "hierarchy 2")
    (trace,) = record.outputs
    assert b"mol#" in store.get(DATA, trace.key).body
    assert run(made) == 0
    (failure,) = failures(made)
    assert failure.failure_class == "tool_failed"
    assert "hierarchy 2 of" in failure.reason


LIES = [
    ("forgets", "by its own count it read 2 after 0"),
    ("spoils", "its poses cannot be read: it ends in the middle"),
    ("silent", "its OUTDOCK has no end"),
    ("code", "exit code 1"),
]


@pytest.mark.parametrize(("key", "said"), LIES)
def test_a_dock64_that_is_not_whole_is_not_believed(shard, run, key, said):
    made = shard(("in/a.db2", db2("a", "b", "c")), indock_keys={key: 1})
    assert [run(made), run(made)] == [1, 0]
    (failure,) = failures(made)
    assert failure.failure_class == "tool_failed"
    assert f"of 3 sent ({said})" in failure.reason
