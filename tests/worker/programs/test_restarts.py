"""Stops at many moments, deaths after every write: the joined result is that of one start."""

import contextlib
import itertools
import json
import os
import signal
import sys

import psutil
import pytest

import worker.history
import worker.tools.checkpoint
import worker.tools.program_session as module
from tests.worker.attempts.counting import Died, MortalStore
from tests.worker.programs.jobs import INPUT, NUMBERS, STEPS
from tests.worker.support import DATA

RESULT = {"sum": sum(map(int, NUMBERS)), "done": NUMBERS}


@pytest.fixture(params=["script", "command"])
def steps(request, script, command):
    """The job that works through its input by steps, as either tool runs it."""

    def make(every=1, **shard):
        options = {"shard": shard}
        if request.param == "script":
            return script(STEPS, ("in/a.txt", INPUT), arguments=[str(every)], **options)
        templates = [sys.executable, "{assets.steps}", str(every)]
        return command(
            templates,
            ("in/a.txt", INPUT),
            assets={"steps": ("jobs/steps.py", STEPS.encode())},
            **options,
        )

    return make


def until_done(run, made, **more):
    for starts in range(1, 50):
        if (code := run(made, **more)) == 0:
            return starts
        assert code == 1
    raise AssertionError("it does not end")


def result(made):
    (outputs,) = made.results().values()
    assert list(outputs) == ["result.json"]
    return json.loads(outputs["result.json"])


def test_without_an_interruption_there_is_one_part(steps, run):
    made = steps()
    assert run(made) == 0
    assert result(made) == RESULT
    assert made.part_records() == []


@pytest.mark.parametrize("moment", [0, 1, 5, 15, 30, 45, 60, 90])
def test_a_stop_at_any_moment_loses_nothing(steps, run, monkeypatch, moment):
    made = steps()
    polls = itertools.count()
    look = module.ProgramSession.poll

    def poll(self):
        if next(polls) == moment:
            os.kill(os.getpid(), signal.SIGTERM)
        return look(self)

    monkeypatch.setattr(module.ProgramSession, "poll", poll)
    assert run(made) in (0, 1)
    for record in made.part_records():
        assert record.progress > 0
        assert record.restart.size == made.store.head(DATA, record.restart.key).size
    until_done(run, made)
    assert result(made) == RESULT


def test_a_stop_again_and_again_goes_on_each_time(steps, run, monkeypatch):
    made = steps()
    look = module.ProgramSession.poll

    def poll(self):
        if self._checkpoint.has_changed():
            os.kill(os.getpid(), signal.SIGUSR1)
        return look(self)

    monkeypatch.setattr(module.ProgramSession, "poll", poll)
    assert until_done(run, made) > 3
    assert result(made) == RESULT
    progress = sorted(record.progress for record in made.part_records())
    assert progress == list(range(1, len(progress) + 1))
    (summary,) = made.marker("00000-00000.done")
    assert [part.part for part in summary.chain] == list(range(len(progress) + 1))


def test_a_death_after_every_write_loses_nothing_and_counts_nothing_twice(
    steps, run, client, monkeypatch
):
    monkeypatch.setattr(worker.history.History, "seconds", lambda _self: 1e6)
    for writes in itertools.count(1):
        made = steps(every=4, prefix=f"n{writes}/", checkpoint_seconds=1)
        store = MortalStore(client, writes, lost_answer=bool(writes % 2))
        try:
            code = run(made, using=store)
        except Died:
            code = None
        before = {key: made.store.head(DATA, key).etag for key in store.written}
        until_done(run, made)
        assert result(made) == RESULT, writes
        assert before == {key: made.store.head(DATA, key).etag for key in before}
        if code == 0:
            break
    assert writes > 5


@pytest.mark.parametrize("moment", [2, 10, 25, 40, 60, 80])
def test_a_death_of_the_worker_at_any_moment_loses_no_checkpoint(steps, run, monkeypatch, moment):
    monkeypatch.setattr(worker.history.History, "seconds", lambda _self: 1e6)
    made = steps(checkpoint_seconds=1)
    look = module.ProgramSession.poll
    polls = itertools.count()

    def poll(self):
        if next(polls) == moment:
            self._program.kill()
            raise Died
        return look(self)

    with monkeypatch.context() as patched:
        patched.setattr(module.ProgramSession, "poll", poll)
        with contextlib.suppress(Died):
            assert run(made) == 0
    kept = [record.progress for record in made.part_records()]
    until_done(run, made)
    assert result(made) == RESULT
    (summary,) = made.marker("00000-00000.done")
    assert len(summary.chain) > len(kept)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_restart_gives_way_to_the_part_before_it(steps, run, store, monkeypatch, lost):
    made = steps()
    look = module.ProgramSession.poll

    def poll(self):
        if self._checkpoint.has_changed():
            os.kill(os.getpid(), signal.SIGUSR1)
        return look(self)

    with monkeypatch.context() as patched:
        patched.setattr(module.ProgramSession, "poll", poll)
        assert [run(made) for _ in range(lost)] == [1] * lost
    last = made.part_records()[-1]
    store.put(DATA, last.restart.key, b"something else")
    assert run(made) == 0
    assert result(made) == RESULT
    (summary,) = made.marker("00000-00000.done")
    assert [part.part for part in summary.chain] == [*range(lost - 1), lost]


def test_a_checkpoint_that_is_not_whole_gives_way_to_the_part_before_it(steps, run, monkeypatch):
    made = steps()
    look, add = module.ProgramSession.poll, worker.tools.checkpoint._add

    def poll(self):
        if self._checkpoint.has_changed():
            os.kill(os.getpid(), signal.SIGUSR1)
        return look(self)

    def wrong(*given):
        return add(*given) | {"sha256": "0" * 64}

    with monkeypatch.context() as patched:
        patched.setattr(module.ProgramSession, "poll", poll)
        assert run(made) == 1
        patched.setattr(worker.tools.checkpoint, "_add", wrong)
        assert run(made) == 1
    assert run(made) == 0
    assert result(made) == RESULT


def stop_once(monkeypatch, when):
    """SIGTERM to the worker when a session is as wanted."""
    look = module.ProgramSession.poll
    asked = []

    def poll(self):
        if not asked and when(self):
            asked.append(os.kill(os.getpid(), signal.SIGTERM))
        return look(self)

    monkeypatch.setattr(module.ProgramSession, "poll", poll)


def wrote(name):
    return lambda session: (session._folders.checkpoint / name).exists()


def test_a_script_that_ignores_the_signal_is_killed_and_its_checkpoint_kept(
    script, run, monkeypatch
):
    made = script(
        "#!/bin/sh\n"
        'trap "" TERM\n'
        'test -e "$CHECKPOINT_DIR/first" && { echo again > "$OUTPUT_DIR/x"; exit 0; }\n'
        'echo 1 > "$CHECKPOINT_DIR/first"\n'
        "while true; do sleep 0.05; done\n",
        stop_seconds=1,
    )
    stop_once(monkeypatch, wrote("first"))
    assert run(made) == 1
    (record,) = made.part_records()
    assert (record.progress, record.trouble) == (1, None)
    assert run(made) == 0
    assert made.results() == {0: {"x": b"again\n"}}


@pytest.mark.parametrize("name", ["USR1", "INT", "HUP"])
def test_a_script_is_stopped_by_the_signal_that_it_wants(script, run, monkeypatch, name):
    made = script(
        "#!/bin/sh\n"
        f"trap 'echo {name} > \"$CHECKPOINT_DIR/last\"; exit 0' {name}\n"
        'trap "" TERM\n'
        'test -e "$CHECKPOINT_DIR/last" && { cp "$CHECKPOINT_DIR/last" "$OUTPUT_DIR/x"; exit 0; }\n'
        'echo > "$CHECKPOINT_DIR/first"\n'
        "while true; do sleep 0.05; done\n",
        stop_signal=name,
    )
    stop_once(monkeypatch, wrote("first"))
    assert run(made) == 1
    assert run(made) == 0
    assert made.results() == {0: {"x": f"{name}\n".encode()}}


def test_an_end_with_0_that_was_asked_for_is_not_done(script, run, monkeypatch):
    made = script(
        "#!/bin/sh\n"
        'echo half > "$OUTPUT_DIR/x"; echo 1 > "$CHECKPOINT_DIR/first"\n'
        "trap 'exit 0' TERM\n"
        "while true; do sleep 0.05; done\n"
    )
    stop_once(monkeypatch, wrote("first"))
    assert run(made) == 1
    assert made.markers() == []
    assert made.names(made.keys.input_folder(0, 0)) == ["checkpoint.tar.0", "program.json.0"]


def test_what_a_script_started_beside_itself_ends_with_it(script, run, monkeypatch):
    made = script(
        "#!/bin/bash\n"
        '(while true; do date +%N > "$CHECKPOINT_DIR/beside"; sleep 0.01; done) &\n'
        'echo $! > "$CHECKPOINT_DIR/pid.tmp"; mv "$CHECKPOINT_DIR/pid.tmp" "$CHECKPOINT_DIR/pid"\n'
        "wait\n"
    )
    beside = []

    def started(session):
        path = session._folders.checkpoint / "pid"
        if path.exists() and not beside:
            beside.append(int(path.read_text()))
        return bool(beside)

    stop_once(monkeypatch, started)
    assert run(made) == 1
    assert not psutil.pid_exists(beside[0]) or psutil.Process(beside[0]).status() == "zombie"


def test_a_stop_before_any_checkpoint_leaves_nothing(script, run, monkeypatch):
    made = script("#!/bin/sh\nsleep 60\n")
    stop_once(monkeypatch, lambda _session: True)
    assert run(made) == 1
    assert made.part_records() == []
    assert made.names(made.keys.input_folder(0, 0)) == []
