"""The worker started by hand, with the environment that DOCK 3.8 users know."""

import json
import os
import signal
import threading

import pytest

import worker.attempt
from drydock.errors import Malformed
from drydock.markers import parse_done, parse_failed, parse_marker_name
from tests.worker.support import DATA, EXAMPLE, OPTIONS, bundle, first_ligand_is_finished, ligand
from worker.agent import main
from worker.endings import InputFailed
from worker.hand import parse_box

BOX = """center_x = 12.8
center_y = 95.1   # middle of the pocket
center_z = 58.6
size_x = 14
size_y = 14
size_z = 14
exhaustiveness = 1
max_evals = 2000
"""


@pytest.fixture
def by_hand(store, scratch):
    """Starts the worker as a person would."""
    store.put(DATA, "dockfiles/receptor.pdbqt", (EXAMPLE / "receptor.pdbqt").read_bytes())
    store.put(DATA, "dockfiles/box.txt", BOX.encode())

    def start(location, index=None, **extra):
        environment = {
            "S3_INPUT_LOCATION": f"s3://{DATA}/{location}",
            "S3_OUTPUT_LOCATION": f"s3://{DATA}/output",
            "S3_DOCKFILES_LOCATION": f"s3://{DATA}/dockfiles",
            "SHRTCACHE": str(scratch),
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_ACCESS_KEY": "T",
        }
        if index is not None:
            environment["AWS_BATCH_JOB_ARRAY_INDEX"] = str(index)
        return main({**environment, **extra}, store)

    return start


@pytest.fixture
def listing(store):
    """The source's own listing, with what must not count in between."""
    store.put(DATA, "input/", b"")
    for name in ("H25", "H26", "H27"):
        store.put(DATA, f"input/{name}.pdbqt", ligand("caffeine"))
    store.put(DATA, "input/H25.d/deeper.pdbqt", ligand("aspirin"))
    store.put(DATA, "input-of-another/a.pdbqt", ligand("aspirin"))


def keys(store):
    return [found.key for found in store.list(DATA, "output/")]


@pytest.mark.parametrize("location", ["input", "input/"])
def test_index_2_of_the_sources_listing_is_h27(by_hand, listing, store, capsys, location):
    assert by_hand(location, 2) == 0
    assert f"s3://{DATA}/input/H27.pdbqt" in capsys.readouterr().out
    assert keys(store) == [
        "output/2/poses.pdbqt.gz.0",
        "output/2/scores.jsonl.gz.0",
        "output/markers/by-hand/000000/00002-00002.done",
    ]
    marker = keys(store)[-1]
    name = parse_marker_name(marker.rpartition("/")[2])
    (summary,) = parse_done(store.get(DATA, marker).body, name)
    assert (summary.index, summary.best_id) == (2, "H27")


def test_started_again_it_has_nothing_to_do(by_hand, listing, store):
    assert by_hand("input", 0) == 0
    before = keys(store)
    assert by_hand("input", 0) == 0
    assert keys(store) == before


@pytest.mark.parametrize("location", ["other/", "other.txt"])
def test_another_input_where_one_is_settled_is_refused(by_hand, listing, store, capsys, location):
    store.put(DATA, "other/a.pdbqt", ligand("aspirin"))
    store.put(DATA, "other.txt", f"s3://{DATA}/other/a.pdbqt\n".encode())
    assert by_hand("input", 0) == 0
    before = keys(store)
    assert by_hand(location, 0) == 78
    told = capsys.readouterr().err
    assert f"S3_OUTPUT_LOCATION: s3://{DATA}/output/markers/" in told
    assert "choose another S3_OUTPUT_LOCATION" in told
    assert keys(store) == before


def test_an_input_that_is_gone_or_a_marker_that_is_none_stays_settled(by_hand, listing, store):
    store.put(DATA, "one.txt", f"s3://{DATA}/input/H25.pdbqt\n".encode())
    assert by_hand("one.txt", 0) == 0
    store.delete(DATA, "input/H25.pdbqt")
    assert by_hand("one.txt", 0) == 0
    (marker,) = (key for key in keys(store) if key.endswith(".done"))
    store.put(DATA, marker, b"cut")
    assert by_hand("one.txt", 0) == 0


def test_without_an_index_it_is_the_first(by_hand, listing, capsys):
    assert by_hand("input") == 0
    assert "input/H25.pdbqt" in capsys.readouterr().out


def test_an_index_beyond_the_listing_is_said(by_hand, listing, store, capsys):
    assert by_hand("input", 3) == 78
    assert "has 3 objects: there is no index 3" in capsys.readouterr().err
    assert keys(store) == []


@pytest.mark.parametrize(
    ("index", "code", "said"),
    [
        (0, 0, ""),
        (1, 78, "line 2 (index 1) is blank"),
        (2, 78, "line 3 (index 2) is a comment"),
        (3, 0, ""),
        (4, 78, "has 4 lines: there is no index 4"),
    ],
)
def test_a_list_is_read_by_lines(by_hand, listing, store, capsys, index, code, said):
    lines = f"s3://{DATA}/input/H26.pdbqt\r\n\r\n# later\r\ns3://{DATA}/input/H27.pdbqt"
    store.put(DATA, "lists/batch1.txt", lines.encode())
    assert by_hand("lists/batch1.txt", index) == code
    assert said in capsys.readouterr().err


def test_a_failed_input_ends_with_1(by_hand, store):
    store.put(DATA, "input/a.pdbqt", b"")
    assert by_hand("input", 0) == 1
    (key,) = keys(store)
    name = parse_marker_name(key.rpartition("/")[2])
    assert parse_failed(store.get(DATA, key).body, name).failure_class == "bad_input"
    assert by_hand("input", 0) == 1


def test_options_may_be_given_as_in_a_request(by_hand, listing, store):
    store.put(DATA, "dockfiles/options.json", json.dumps(OPTIONS | {"num_modes": 1}).encode())
    assert by_hand("input", 0) == 0


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("options.json", b"{", "options.json"),
        ("options.json", b"[]", "no JSON object"),
        ("box.txt", b"center_x = far", "line 1"),
    ],
)
def test_options_that_are_none_are_said_and_nothing_is_written(
    by_hand, listing, store, capsys, name, body, said
):
    store.put(DATA, f"dockfiles/{name}", body)
    assert by_hand("input", 0) == 78
    assert said in capsys.readouterr().err
    assert keys(store) == []


def test_dockfiles_of_dock_want_dock(by_hand, listing, store, capsys):
    store.delete(DATA, "dockfiles/receptor.pdbqt")
    store.put(DATA, "dockfiles/INDOCK", b"DOCK 3.8 parameter\n")
    assert by_hand("input", 0) == 78
    assert "dock64 is missing" in capsys.readouterr().err


def test_missing_locations_are_said(by_hand, listing, capsys):
    assert by_hand("input", 0, S3_DOCKFILES_LOCATION=f"s3://{DATA}/nothing") == 78
    assert by_hand("input", 0, S3_OUTPUT_LOCATION="") == 78
    assert by_hand("input", 0, S3_INPUT_LOCATION="s3://no-such-bucket/input") == 78
    said = capsys.readouterr().err
    assert "nothing below" in said
    assert "S3_OUTPUT_LOCATION is not set" in said


def test_a_stop_by_hand_leaves_a_part_to_go_on_from(by_hand, store, scratch):
    store.put(DATA, "input/two.pdbqt", bundle(ligand("caffeine"), ligand("imatinib")))
    store.put(DATA, "dockfiles/box.txt", BOX.replace("2000", "3000000").encode())

    def stop():
        first_ligand_is_finished(scratch)
        os.kill(os.getpid(), signal.SIGUSR1)

    stopper = threading.Thread(target=stop)
    stopper.start()
    assert by_hand("input", 0) == 1
    stopper.join()
    assert "output/parts/by-hand/000000/00000.0.json" in keys(store)
    store.put(DATA, "dockfiles/box.txt", BOX.encode())
    assert by_hand("input", 0) == 0
    assert "output/0/scores.jsonl.gz.1" in keys(store)


def test_a_box_is_read_as_vina_reads_it():
    assert parse_box(BOX) == {
        "center": [12.8, 95.1, 58.6],
        "size": [14.0, 14.0, 14.0],
        "exhaustiveness": 1,
        "max_evals": 2000,
    }


@pytest.mark.parametrize(
    "line", ["center_x", "center_w = 1", "depth = 3", "seed = a", "= 3", "receptor = a.pdbqt"]
)
def test_a_line_of_a_box_that_is_none_is_named(line):
    with pytest.raises(Malformed, match=r"line 9"):
        parse_box(BOX + line)


def test_a_box_without_a_side_is_none():
    with pytest.raises(Malformed, match="size"):
        parse_box(BOX.replace("size_z = 14", ""))


class FailingTool:
    """A tool whose program ends with a code of its own."""

    def prepare(self, assets):
        pass

    def open(self, fetched, folder, resume):
        raise InputFailed("tool_failed", "it said no", 3)


def test_the_tools_own_code_is_passed_through_by_hand_and_kept_in_the_marker_of_a_run(
    by_hand, listing, shard, scratch, store, monkeypatch
):
    monkeypatch.setattr(worker.attempt, "make_tool", lambda *_: FailingTool())
    assert by_hand("input", 0) == 3
    made = shard(("in/a.pdbqt", ligand("caffeine")))
    assert main(made.environment(scratch), store) == 0
    (name,) = made.markers()
    assert made.marker(name).exit_code == 3
