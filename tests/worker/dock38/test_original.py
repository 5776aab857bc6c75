"""A prefix that DOCK users' original image began is gone on with; nothing of it is changed."""

import gzip
import itertools
import json
import os
import re
import signal
import subprocess

import pytest

import worker.tools.dock38_run as module
from drydock.markers import parse_done, parse_marker_name
from drydock.parts import parse_part_record
from drydock.store import AccessDenied, Store
from tests.worker.attempts.counting import Died, MortalStore
from tests.worker.dock38.bundles import bundle, db2, member, tgz
from tests.worker.dock38.conftest import indock
from tests.worker.support import DATA

FOLDER = "output/0/"
NAMES = ["e", "d", "FAIL-c", "TWO-b", "a", "BROKEN-f"]
INTERRUPTED = " interrupt signal detected since last ligand- initiating clean exit & save\n"

# Two files are finished, 17 hierarchies of the third, and 209 ligands in that attempt.
THEIR_RESTART = b"           2          17         209\n"


@pytest.fixture
def original(store, on_path, tmp_path):
    """Leaves what an attempt of the original image leaves that docked those hierarchies."""
    attempts = itertools.count()

    def leave(
        *names, interrupted=True, number=None, restart="           2          17         209\n"
    ):
        number = next(attempts) if number is None else number
        folder = tmp_path / f"original-{number}"
        folder.mkdir()
        text = indock().replace("split_database_index", "-").replace("other.", "test.")
        (folder / "INDOCK").write_text(re.sub(r"(?m)^receptor_sphere_file.*$", "", text))
        subprocess.run([on_path], cwd=folder, input=db2(*names), check=True)
        outdock = (folder / "OUTDOCK").read_text()
        if interrupted:
            outdock = outdock.partition(" close the file: -\n")[0] + INTERRUPTED
            store.put(DATA, f"{FOLDER}restart", THEIR_RESTART)
        store.put(DATA, f"{FOLDER}OUTDOCK.{number}", outdock.encode())
        mol2 = (folder / "test.mol2.gz").read_bytes()
        store.put(DATA, f"{FOLDER}test.mol2.gz.{number}", mol2)

    return leave


@pytest.fixture
def given(by_hand, store, on_path, monkeypatch):
    """The input that the original image had; starts this worker on it."""
    store.put(DATA, "input/a.db2.tgz", bundle(*NAMES, each=1))
    return by_hand


def keys(store):
    return [found.key.removeprefix(FOLDER) for found in store.list(DATA, FOLDER)]


def summary(store):
    (marker,) = store.list(DATA, "output/markers/by-hand/000000/")
    name = parse_marker_name(marker.key.rpartition("/")[2])
    (found,) = parse_done(store.get(DATA, marker.key).body, name)
    return found


def record(store, part):
    return parse_part_record(store.get(DATA, f"output/parts/by-hand/000000/00000.{part}.json").body)


def docked(store, part):
    """The ids that OUTDOCK of a part has, those that could not be read among them."""
    text = store.get(DATA, f"{FOLDER}OUTDOCK.{part}").body.decode()
    found = re.findall(r"(?m)^( +\d+| skipping molecule:) ([\w-]+)", text)
    return [name for _, name in dict.fromkeys(found)]


def test_what_was_docked_in_another_order_is_not_docked_again(given, original, store):
    """The original image unpacks the bundle and sorts its files."""
    original("a", "TWO-b", "FAIL-c")
    before = {key: store.get(DATA, FOLDER + key).body for key in keys(store) if key != "restart"}
    assert given(0) == 0
    assert docked(store, 1) == ["e", "d", "BROKEN-f"]
    done = summary(store)
    assert [part.part for part in done.chain] == [0, 1]
    assert (done.molecules, done.failed_molecules) == (6, 2)
    assert {key: store.get(DATA, FOLDER + key).body for key in before} == before
    assert keys(store) == [
        "OUTDOCK.0",
        "OUTDOCK.1",
        "restart.0",
        "scores.jsonl.gz.1",
        "test.mol2.gz.0",
        "test.mol2.gz.1",
    ]


def test_the_best_of_all_is_told(given, original, store):
    original(*NAMES[:3])
    original(*NAMES[3:], interrupted=False)
    assert given(0) == 0
    alone = summary(store)
    assert given(0, S3_OUTPUT_LOCATION=f"s3://{DATA}/elsewhere") == 0
    (marker,) = store.list(DATA, "elsewhere/markers/by-hand/000000/")
    (ours,) = parse_done(
        store.get(DATA, marker.key).body, parse_marker_name(marker.key.rpartition("/")[2])
    )
    assert (alone.best_id, alone.best_score) == (ours.best_id, ours.best_score)
    assert (alone.molecules, alone.failed_molecules) == (ours.molecules, ours.failed_molecules)


@pytest.mark.parametrize("interrupted", [True, False])
def test_what_is_docked_already_is_done_whatever_restart_says(given, original, store, interrupted):
    """A restart at the very end makes other submitters submit for ever."""
    original(*NAMES, interrupted=interrupted)
    assert given(0) == 0
    assert [part.part for part in summary(store).chain] == [0]
    assert keys(store) == ["OUTDOCK.0", "restart.0", "test.mol2.gz.0"]


def test_what_its_resume_passed_over_is_docked(given, original, store):
    """DOCK 3.8 goes on wrongly in the first file when there are several."""
    original("a", "TWO-b")
    original("a", "e", interrupted=False)
    assert given(0) == 0
    assert docked(store, 2) == ["d", "FAIL-c", "BROKEN-f"]
    assert [part.part for part in summary(store).chain] == [1, 2]


def test_forms_of_a_molecule_count_only_all_together(by_hand, original, store):
    forms = tgz(member("0.db2", db2("x", "y", "x")), member("1.db2", db2("z")))
    store.put(DATA, "input/a.db2.tgz", forms)
    original("x", "z")
    original("x", "y")
    assert by_hand(0) == 0
    assert docked(store, 2) == ["x", "x"]


def test_other_molecules_whose_names_end_alike_count_only_all_together(by_hand, original, store):
    names = ["left-ZINC000000000001", "right-ZINC000000000001", "z"]
    store.put(DATA, "input/a.db2.tgz", bundle(*names))
    original(names[0], "z")
    assert by_hand(0) == 0
    rows = gzip.decompress(store.get(DATA, f"{FOLDER}scores.jsonl.gz.1").body).splitlines()
    assert [json.loads(row)["id"] for row in rows] == names[:2]


NOT_WHOLE = {
    "OUTDOCK.0": lambda body: body.partition(b" interrupt")[0],
    "test.mol2.gz.0": lambda body: body[:-20],
}


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_an_attempt_that_is_not_whole_does_not_count(given, original, store, name):
    original(*NAMES[:3])
    store.put(DATA, FOLDER + name, NOT_WHOLE[name](store.get(DATA, FOLDER + name).body))
    assert given(0) == 0
    assert docked(store, 1) == NAMES
    assert [part.part for part in summary(store).chain] == [1]


def test_a_number_without_poses_is_left_alone(given, original, store):
    original(*NAMES[:2], number=3)
    store.put(DATA, f"{FOLDER}OUTDOCK.4", b"x")
    assert given(0) == 0
    assert [part.part for part in summary(store).chain] == [3, 5]
    assert store.get(DATA, f"{FOLDER}OUTDOCK.4").body == b"x"


@pytest.fixture
def stopping(monkeypatch):
    """The next attempt is stopped once that many rows are there."""
    wanted = []
    look = module.Run.poll

    def poll(self):
        code = look(self)
        if wanted and self.rows >= wanted[0]:
            wanted.clear()
            os.kill(os.getpid(), signal.SIGTERM)
        return code

    monkeypatch.setattr(module.Run, "poll", poll)
    return wanted


def slowly(store):
    store.put(DATA, "dockfiles/INDOCK", indock(seconds=0.1).encode())


def test_a_bare_restart_is_there_as_long_as_the_input_is_unfinished(given, store, stopping):
    slowly(store)
    for part in range(2):
        stopping.append(1)
        assert given(0) == 1
        bare = store.get(DATA, f"{FOLDER}restart").body
        assert bare == store.get(DATA, f"{FOLDER}restart.{part}").body
        assert bare.split()[0] == b"0"
        assert int(bare.split()[1]) == record(store, part).progress
    assert given(0) == 0
    assert "restart" not in keys(store)
    assert given(0) == 0


def test_a_bare_restart_that_a_dying_attempt_left_goes_with_the_next_one(given, store):
    assert given(0) == 0
    store.put(DATA, f"{FOLDER}restart", b"           0           1           1\n")
    assert given(0) == 0
    assert "restart" not in keys(store)


class _OneKey(Store):
    def encrypting_with(self, _kms_key_id):
        return self


class MayNotRemove(_OneKey):
    """S3 for a role that may put and get alone, as the original image's could."""

    def delete_if_match(self, bucket, key, etag):
        raise AccessDenied(f"{key} {etag}")


def test_a_role_that_may_not_remove_is_done_all_the_same(given, store, client, capsys):
    store.put(DATA, f"{FOLDER}restart", THEIR_RESTART)
    assert given(0, using=MayNotRemove(client)) == 0
    assert '"event": "restart_stays"' in capsys.readouterr().out
    assert store.get(DATA, f"{FOLDER}restart").body == THEIR_RESTART
    assert given(0) == 0
    assert "restart" not in keys(store)


def test_a_bare_restart_of_another_attempt_is_not_replaced(given, store, client, stopping):
    """Two attempts at once: what counts is the part's record; the other's restart stays."""

    class Raced(_OneKey):
        def head(self, bucket, key):
            found = super().head(bucket, key)
            if key == f"{FOLDER}restart":
                store.put(bucket, key, b"           0           5           5\n")
            return found

    slowly(store)
    store.put(DATA, f"{FOLDER}restart", THEIR_RESTART)
    stopping.append(1)
    assert given(0, using=Raced(client)) == 1
    assert store.get(DATA, f"{FOLDER}restart").body.split() == [b"0", b"5", b"5"]
    assert record(store, 0).progress < 5
    assert given(0) == 0


def test_an_interrupted_continuation_goes_on_where_it_was(given, original, store, stopping):
    original("a", "FAIL-c")
    slowly(store)
    stopping.append(1)
    assert given(0) == 1
    assert record(store, 1).parent == 0
    assert record(store, 1).progress > 2
    assert given(0) == 0
    parts = [part.part for part in summary(store).chain]
    assert parts == [0, 1, 2]
    assert sorted(itertools.chain(*(docked(store, part) for part in parts))) == sorted(NAMES)


def test_kill_after_every_write_by_hand(given, original, store, client, stopping):
    original("a", "FAIL-c")
    slowly(store)
    left = {found.key: found.etag for found in store.list(DATA, "output/")}
    for writes in itertools.count(1):
        for found in list(store.list(DATA, "output/")):
            if found.key not in left:
                store.delete(DATA, found.key)
        store.put(DATA, f"{FOLDER}restart", THEIR_RESTART)
        mortal = MortalStore(client, writes, lost_answer=bool(writes % 2))
        stopping[:] = [2]
        try:
            code = given(0, using=mortal)
        except Died:
            code = None
        stopping.clear()
        assert given(0) == 0 if code is None else code == 1
        if code == 1:
            assert given(0) == 0
        found = summary(store)
        ids = itertools.chain(*(docked(store, part.part) for part in found.chain))
        assert {*ids} == {*NAMES}, writes
        assert (found.molecules, found.failed_molecules) == (6, 2), writes
        assert "restart" not in keys(store)
        if code == 1:
            break
    assert writes > 5
