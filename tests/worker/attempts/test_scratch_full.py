"""A full scratch is nobody's fault: the input remains, unless it could never fit."""

import errno
import json
import shutil
from typing import NamedTuple

import pytest

import worker.scratch
from tests.worker.attempts.counting import Died, lines, whole
from worker.agent import main
from worker.stop_signals import Stop
from worker.tools import Death

ENOSPC = OSError(errno.ENOSPC, "No space left on device")


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def disk(monkeypatch):
    """Makes the scratch a disk of so many free and total bytes."""

    def make(free, total):
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(total, total - free, free))

    return make


def events(capsys, name):
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [event for event in said if event["event"] == name]


def test_an_input_for_which_there_is_no_room_now_remains(shard, run, tool, disk, capsys):
    made = shard(("in/0", b"x\n" * 50))
    disk(free=60, total=1000)
    assert run(made) == 74
    assert (made.markers(), made.part_records()) == ([], [])
    [said] = events(capsys, "scratch_full")
    assert (said["needed_bytes"], said["free_bytes"]) == (100, 60)


def test_an_input_that_could_never_fit_is_failed_with_its_bytes(shard, run, tool, disk):
    made = shard(("in/0", b"x\n" * 50), ("in/1", b"a"), inputs_per_job=2)
    disk(free=60, total=60)
    assert run(made) == 0
    failure = made.marker("00000.1.scratch_full.failed")
    assert "in/0 needs 100 bytes, 60 bytes free on /" in failure.reason
    assert "00001-00001.done" in made.markers()


def test_assets_that_could_never_fit_stop_the_run(shard, run, tool, disk, capsys):
    disk(free=4, total=4)
    assert run(shard(("in/0", b"a"))) == 78
    assert "the assets need 5 bytes, 4 bytes free on /" in capsys.readouterr().err


def test_a_disk_that_fills_while_the_tool_writes_keeps_what_was_sealed(
    shard, run, tool, eager, scratch
):
    made = shard(("in/0", lines("a", "b", "c", "d")), checkpoint_seconds=1)
    polls = iter(range(2))

    def on_poll():
        if next(polls, None) is None:
            raise ENOSPC

    tool.on_poll = on_poll
    assert run(made) == 74
    assert [record.trouble for record in made.part_records()] == [None, None]
    tool.on_poll = lambda: None
    assert run(made) == 0
    assert whole(made) == [(0, "a"), (0, "b"), (0, "c"), (0, "d")]


@pytest.mark.parametrize("said", ["No space left on device", "Disk quota exceeded"])
def test_a_tool_that_dies_of_a_full_disk_is_not_blamed(shard, run, tool, monkeypatch, said):
    made = shard(("in/0", lines("a", "die", "c")))
    monkeypatch.setattr(
        "tests.worker.attempts.counting.Death",
        lambda _reason, place, code: Death(f"exit code 1: write error: {said}", place, code),
    )
    assert run(made) == 74
    assert [(record.progress, record.trouble) for record in made.part_records()] == [(1, None)]


def test_a_stop_comes_before_a_full_disk(store, client, shard, scratch, tool):
    made, stop = shard(("in/0", lines("a"))), Stop()

    def on_poll():
        stop.ask("signal", "SIGTERM")
        raise ENOSPC

    tool.on_poll = on_poll
    assert main(made.environment(scratch), store, stop) == 1


def test_a_scratch_that_cannot_be_made_for_want_of_room_is_no_misconfiguration(
    shard, run, monkeypatch
):
    def full(**_):
        raise ENOSPC

    made = shard(("in/0", b"a"))
    monkeypatch.setattr(worker.scratch.tempfile, "mkdtemp", full)
    assert run(made) == 74


@pytest.mark.parametrize("moment", ["asset", "input"])
def test_scratch_is_removed_when_a_fetch_is_stopped(store, shard, scratch, tool, moment):
    """The fixture of the scratch sees that nothing is left."""
    made, stop = shard(("in/0", lines("a"))), Stop()
    plain = store.get_stream

    def get_stream(bucket, key, **asked):
        if ("receptor" in key) == (moment == "asset") and bucket == "drydock-data":
            stop.ask("signal", "SIGTERM")
        return plain(bucket, key, **asked)

    store.get_stream = get_stream
    store.encrypting_with = lambda _key: store
    assert main(made.environment(scratch), store, stop) == 1
    assert made.markers() == []


def test_scratch_is_removed_when_the_worker_breaks(shard, run, tool, scratch):
    def on_poll():
        for path in scratch.glob("drydock-*/input-0"):
            (path / "locked" / "inner").mkdir(parents=True)
            (path / "locked" / "inner" / "file").write_text("x")
            (path / "locked" / "inner").chmod(0)
            (path / "locked").chmod(0)
        raise Died

    tool.on_poll = on_poll
    with pytest.raises(Died):
        run(shard(("in/0", lines("a"))))
