"""Stops at many moments, deaths after every write, and what dock64 does of its own accord."""

import itertools
import os
import signal
import subprocess

import pytest

import worker.tools.dock38_run as module
from tests.worker.dock38.bundles import bundle, db2
from tests.worker.support import DATA
from worker.stop_signals import Stop
from worker.tools import FetchedInput, Resume, Setting
from worker.tools.dock38 import Dock38

NAMES = ["ZINC01", "FAIL", "GLUED", "BROKEN", "TWO", "STARS", "ZINC02"]
BODY = bundle(*NAMES)


@pytest.fixture
def expected(shard, run):
    made = shard(("in/a.db2.tgz", BODY), prefix="whole/")
    assert run(made) == 0
    assert len(made.results()) == 8
    return made.results()


@pytest.fixture
def session(on_path, tmp_path):
    """Opens sessions on bundles, with no agent around them."""
    made = []

    def open_one(path, keys=None, resume=None):
        from tests.worker.dock38.conftest import indock

        folder = tmp_path / f"session-{len(made)}"
        files = folder / "files"
        files.mkdir(parents=True)
        (files / "INDOCK").write_text(indock(**(keys or {})))
        (files / "matching_spheres.sph").touch()
        dock = Dock38.from_setting(Setting())
        dock.prepare({"dockfiles": files})
        fetched = FetchedInput(path, 0, "s3://data/in", "etag")
        made.append(dock.open(fetched, folder, resume or Resume()))
        return made[-1]

    yield open_one
    for each in made:
        each.close()


def drive(session, until=lambda _session: False):
    stop = Stop()
    while not session.poll():
        if until(session):
            return False
        stop.wait(0.01)
    return True


def rows_at_least(count):
    return lambda session: session.unsealed >= count


def kept(output):
    return output.build({}).read_bytes()


def finish(run, made):
    for _ in range(20):
        if (code := run(made)) == 0:
            return
        assert code == 1
    raise AssertionError("it does not end")


@pytest.mark.parametrize("moment", [0, 1, 2, 4, 8, 12, 16, 24, 32])
def test_a_stop_at_any_moment_loses_nothing(shard, run, expected, monkeypatch, moment):
    made = shard(("in/a.db2.tgz", BODY), indock_keys={"seconds": 0.02, "grid_seconds": 0.03})
    polls = itertools.count()
    look = module.Run.poll

    def poll(self):
        if next(polls) == moment:
            os.kill(os.getpid(), signal.SIGTERM)
        return look(self)

    monkeypatch.setattr(module.Run, "poll", poll)
    first = run(made)
    assert first in (0, 1)
    for record in made.part_records():
        assert record.progress > 0
        assert record.restart.size == made.store.head(DATA, record.restart.key).size
    finish(run, made)
    assert made.results() == expected


def test_a_stop_after_every_ligand_again_and_again(shard, run, expected, monkeypatch):
    made = shard(("in/a.db2.tgz", BODY), indock_keys={"seconds": 0.1})
    look = module.Run.poll

    def poll(self):
        code = look(self)
        if self.rows:
            os.kill(os.getpid(), signal.SIGUSR1)
        return code

    monkeypatch.setattr(module.Run, "poll", poll)
    finish(run, made)
    assert made.results() == expected
    progress = [record.progress for record in made.part_records()]
    assert progress == sorted(set(progress))
    assert len(progress) >= 3


def test_a_lost_restart_gives_way_to_the_part_before_it(shard, run, expected, store, monkeypatch):
    made = shard(("in/a.db2.tgz", BODY), indock_keys={"seconds": 0.1})
    look = module.Run.poll

    def poll(self):
        code = look(self)
        if self.rows:
            os.kill(os.getpid(), signal.SIGUSR1)
        return code

    with monkeypatch.context() as patched:
        patched.setattr(module.Run, "poll", poll)
        assert [run(made), run(made)] == [1, 1]
    first, second = made.part_records()
    assert (first.parent, second.parent) == (None, 0)
    store.put(DATA, second.restart.key, b"something else")
    finish(run, made)
    assert made.results() == expected
    (summary,) = made.marker("00000-00000.done")
    assert [part.part for part in summary.chain] == [0, 2]


def test_somebody_elses_signal_is_taken_as_a_stop(shard, run, expected, monkeypatch):
    made = shard(("in/a.db2.tgz", BODY), indock_keys={"seconds": 0.1})
    look = module.Run.poll
    sent = []

    def poll(self):
        code = look(self)
        if self.rows and not sent:
            sent.append(self._program.send(signal.SIGUSR1))
        return code

    monkeypatch.setattr(module.Run, "poll", poll)
    assert run(made) == 1
    (record,) = made.part_records()
    assert "not the worker's" in record.why
    finish(run, made)
    assert made.results() == expected


@pytest.fixture
def stopped(run, monkeypatch):
    """Runs a worker that is stopped as soon as that many rows are there."""

    def stopped(made, rows=1):
        look = module.Run.poll

        def poll(self):
            code = look(self)
            if self.rows >= rows:
                os.kill(os.getpid(), signal.SIGTERM)
            return code

        with monkeypatch.context() as patched:
            patched.setattr(module.Run, "poll", poll)
            return run(made)

    return stopped


def test_dock64_dies_after_it_has_deleted_its_restart(shard, run, expected, stopped, monkeypatch):
    made = shard(("in/a.db2.tgz", BODY), indock_keys={"seconds": 0.1})
    assert stopped(made) == 1
    look = module.Run.poll
    seen = []

    def poll(self):
        code = look(self)
        if self.rows:
            seen.append((self.folder / "restart").exists())
            self._program.send(signal.SIGTERM)
        return code

    with monkeypatch.context() as patched:
        patched.setattr(module.Run, "poll", poll)
        assert run(made) == 1
    assert seen[:1] == [False]
    assert len(made.part_records()) == 1
    finish(run, made)
    assert made.results() == expected


def test_a_restart_that_claims_more_than_was_sent_is_not_believed(shard, stopped):
    made = shard(("in/a.db2.tgz", BODY), indock_keys={"seconds": 0.1, "claims": len(NAMES)})
    assert stopped(made) == 1
    assert made.part_records() == []


def test_hierarchies_are_counted_over_all_attempts(shard, run, stopped):
    keys = {"seconds": 0.1}
    body = bundle("a", "b", "c", "d", "e")
    made = shard(("in/a.db2.tgz", body), indock_keys=keys)
    assert stopped(made) == 1
    (record,) = made.part_records()
    liar = shard(("in/a.db2.tgz", body), indock_keys=keys | {"forgets": 1})
    assert run(liar) == 1
    assert liar.markers() == []
    read = 5 - record.progress - 1
    why = liar.part_records()[-1].why
    assert f"by its own count it read {read} after {record.progress}" in why


def test_names_that_end_alike_stay_apart_over_an_interruption(shard, run, stopped):
    names = [f"{form}-ZINC000000000001" for form in ("left", "right", "upper", "lower")]
    made = shard(("in/a.db2", db2(*names)), indock_keys={"seconds": 0.1})
    assert stopped(made) == 1
    finish(run, made)
    assert [row["id"] for row in made.rows()] == names
    assert len({(row["poses"], row["first_byte"]) for row in made.rows()}) == len(names)


def test_a_bundle_is_not_unpacked_to_disk(session, tmp_path):
    path = tmp_path / "a.db2.tgz"
    path.write_bytes(BODY)
    streamed = session(path)
    assert drive(streamed)
    written = [found for found in streamed._folder.rglob("*") if found.is_file()]
    assert len(written) > 5
    for found in written:
        assert b"A   0 C1" not in found.read_bytes()


def test_before_the_header_dock64_is_ended_by_sigterm(session, tmp_path):
    path = tmp_path / "a.db2"
    path.write_bytes(db2("a"))
    early = session(path, {"grid_seconds": 60})
    assert drive(early, until=lambda each: (each._run.folder / "OUTDOCK").exists()) is False
    program = early._run._program
    early.interrupt()
    assert program.poll() == -signal.SIGTERM
    assert early.unsealed == 0
    assert early.death is None


def test_a_dock64_that_waits_for_a_ligand_stops_when_the_pipe_closes(
    session, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "CLOSE_AFTER_S", 0.3)
    path = tmp_path / "a.db2"
    os.mkfifo(path)
    with path.open("r+b", buffering=0) as held:
        stalled = session(path)
        assert stalled.poll() is False
        # More than is read at once, so that the first two are sent and then nothing.
        rest = db2("a", "b") + b"M c none\n" * 30_000
        while rest:
            rest = rest[held.write(rest) :]
        drive(stalled, until=rows_at_least(2))
        stalled.interrupt()
        taken = stalled.contribute()
        held.write(b"M c none\n" * 30_000)  # the feeder's thread can end
    assert (taken.fresh, taken.progress) == (2, 2)
    assert kept(taken.restart).split()[:2] == [b"0", b"2"]


def test_a_dock64_that_does_not_stop_is_killed(session, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CLOSE_AFTER_S", 0.1)
    monkeypatch.setattr(module, "KILL_AFTER_S", 0.1)
    path = tmp_path / "a.db2"
    path.write_bytes(db2("a", "SLOW", "b"))
    stuck = session(path, {"slow": 600})
    drive(stuck, until=rows_at_least(1))
    program = stuck._run._program
    stuck.interrupt()
    assert program.poll() == -signal.SIGKILL
    assert stuck.unsealed == 0


def test_a_restart_at_the_very_end_is_complete(session, tmp_path):
    path = tmp_path / "a.db2"
    path.write_bytes(db2("a", "b"))
    counts = {"molecules": 2, "failed_molecules": 0}
    at_end = session(path, resume=Resume(progress=2, counts=counts, best_id="a", best_score=-1.0))
    assert drive(at_end)
    assert at_end.death is None
    taken = at_end.contribute()
    assert (taken.fresh, taken.progress, taken.counts, taken.restart) == (0, 2, counts, None)


def test_an_interruption_at_the_last_ligand_ends_by_itself(shard, run, monkeypatch):
    made = shard(("in/a.db2", db2("a", "b")), indock_keys={"seconds": 0.1})
    look = module.Run.poll
    asked = []

    def poll(self):
        code = look(self)
        if self.rows == 2 and not asked:
            asked.append(os.kill(os.getpid(), signal.SIGTERM))
        return code

    monkeypatch.setattr(module.Run, "poll", poll)
    finish(run, made)
    assert [row["id"] for row in made.rows()] == ["a", "b"]


def test_a_sigkill_is_taken_for_a_lack_of_memory(shard, run, monkeypatch):
    made = shard(("in/a.db2", db2("a", "b")), indock_keys={"seconds": 0.1})
    look = module.Run.poll

    def poll(self):
        if self.rows:
            self._program.send(signal.SIGKILL)
        return look(self)

    monkeypatch.setattr(module.Run, "poll", poll)
    assert run(made) == 71
    assert made.part_records() == []


def stand_in(program, folder, text, number=None):
    """The stand-in alone, as its user would start it."""
    from tests.worker.dock38.conftest import indock

    folder.mkdir()
    keys = {"seconds": 0.05}
    (folder / "INDOCK").write_text(
        indock(**keys)
        .replace("split_database_index", "-")
        .replace("other.", "test.")
        .replace("receptor_sphere_file", "receptor_sphere_name")
        .replace("1000", "1")
    )
    process = subprocess.Popen([program], cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(text)
    process.stdin.flush()
    if number is not None:
        while b" 1494 " not in _read(folder / "OUTDOCK"):
            assert process.poll() is None
        process.send_signal(number)
    process.communicate()
    return process.returncode


def _read(path):
    return path.read_bytes() if path.exists() else b""


def test_the_stand_in_behaves_as_was_observed_of_dock64(on_path, tmp_path):
    text = db2("a", "b", "c", "d")
    assert stand_in(on_path, tmp_path / "normal", text) == 0
    assert b" end of file encountered\n" in _read(tmp_path / "normal" / "OUTDOCK")
    assert stand_in(on_path, tmp_path / "cut", text[:-80]) == 0
    assert b"hierarchies:            3\n end of" in _read(tmp_path / "cut" / "OUTDOCK")
    assert stand_in(on_path, tmp_path / "asked", text, signal.SIGUSR1) == 0
    restart = (tmp_path / "asked" / "restart").read_text().split()
    assert restart[0] == "0"
    assert 1 <= int(restart[1]) < 4
    assert stand_in(on_path, tmp_path / "ended", text, signal.SIGTERM) == -signal.SIGTERM
    assert not (tmp_path / "ended" / "restart").exists()
