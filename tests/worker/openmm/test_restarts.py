"""Stops at many moments, deaths after every write, and restarts that are not whole."""

import io
import itertools
import json
import os
import signal
import zipfile

import pytest

import worker.history
import worker.tools.openmm
import worker.tools.openmm_session as module
from tests.worker.attempts.counting import Died, MortalStore
from tests.worker.openmm.reading import joined
from tests.worker.support import DATA
from worker.tools.openmm_session import OpenMMSession

DONE = "00000-00000.done"
# Enough that the simulation is still at it when the worker looks.
LONG = {"steps": 400, "trajectory_steps": 40}


@pytest.fixture
def long_expected(shard, run):
    made = shard(prefix="whole/", options=LONG)
    assert run(made) == 0
    whole = joined(made)
    assert whole.log_steps == list(range(1, 401))
    assert whole.frame_steps == list(range(40, 401, 40))
    return whole


@pytest.fixture
def eager(monkeypatch):
    """A part's period is over as soon as 100 steps are done."""
    plain = OpenMMSession.unsealed.fget
    monkeypatch.setattr(worker.history.History, "seconds", lambda _self: 1e6)
    due = property(lambda self: steps if (steps := plain(self)) >= 100 else 0)
    monkeypatch.setattr(OpenMMSession, "unsealed", due)


def finish(run, made):
    for _ in range(30):
        if (code := run(made)) == 0:
            return
        assert code == 1
    raise AssertionError("it does not end")


def stop_when(monkeypatch, met, number=signal.SIGTERM):
    """A signal at the first look at which ``met`` says so of the session."""
    look, sent = OpenMMSession.poll, []

    def poll(self):
        ended = look(self)
        if not sent and not ended and met(self):
            sent.append(self._step)
            os.kill(os.getpid(), number)
        return ended

    monkeypatch.setattr(OpenMMSession, "poll", poll)
    return sent


@pytest.mark.parametrize("step", [0, 1, 2, 7, 15, 60, 100])
def test_a_stop_at_any_step_loses_nothing(shard, run, long_expected, monkeypatch, step):
    made = shard(options=LONG)
    sent = stop_when(monkeypatch, lambda session: session._step >= step)
    assert run(made) == 1
    assert sent
    for record in made.part_records():
        assert 0 < record.progress < 400
        assert record.restart.size == made.store.head(DATA, record.restart.key).size
    finish(run, made)
    assert joined(made) == long_expected


@pytest.mark.parametrize("step", [200, 255, 399])
def test_a_stop_near_the_end_loses_nothing(shard, run, long_expected, monkeypatch, step):
    made = shard(options=LONG)
    stop_when(monkeypatch, lambda session: session._step >= step)
    assert run(made) in (0, 1)
    finish(run, made)
    assert joined(made) == long_expected


def test_stops_again_and_again_make_one_chain(shard, run, long_expected, monkeypatch):
    made = shard(options=LONG)
    look = OpenMMSession.poll

    def poll(self):
        ended = look(self)
        if self.unsealed > 60 and not ended:
            os.kill(os.getpid(), signal.SIGUSR1)
        return ended

    monkeypatch.setattr(OpenMMSession, "poll", poll)
    finish(run, made)
    assert joined(made) == long_expected
    records = sorted(made.part_records(), key=lambda record: record.part)
    assert len(records) >= 2
    assert [record.progress for record in records] == sorted({r.progress for r in records})


def test_parts_on_a_period_leave_the_simulation_running(shard, run, eager, monkeypatch):
    longer = LONG | {"steps": 1200}
    expected = shard(prefix="whole/", options=longer)
    assert run(expected) == 0
    made = shard(checkpoint_seconds=1, options=longer)
    starts, start = [], module.OpenMMSession._take

    def take(self, event):
        starts.append(event["event"])
        start(self, event)

    monkeypatch.setattr(OpenMMSession, "_take", take)
    kept, contribute = [], module.OpenMMSession.contribute

    def contribute_and_look(self):
        found = contribute(self)
        kept.append(len(list(self._folder.glob("segment-*/restart.zip"))))
        return found

    monkeypatch.setattr(OpenMMSession, "contribute", contribute_and_look)
    assert run(made) == 0
    assert max(kept) <= 1, "what is in S3 fills the scratch"
    assert starts.count("ready") == 1
    assert sum(record.restart is not None for record in made.part_records()) >= 2
    assert joined(made) == joined(expected)


@pytest.mark.parametrize("lost_answer", [False, True])
def test_kill_after_every_write_loses_nothing_and_counts_nothing_twice(
    shard, run, client, long_expected, eager, lost_answer
):
    for writes in itertools.count(1):
        made = shard(prefix=f"n{writes}/", checkpoint_seconds=1, options=LONG)
        store = MortalStore(client, writes, lost_answer=lost_answer)
        try:
            code = run(made, using=store)
        except Died:
            code = None
        before = {key: made.store.head(DATA, key).etag for key in store.written}
        assert run(made) == 0
        assert joined(made) == long_expected, writes
        after = {key: made.store.head(DATA, key).etag for key in store.written}
        assert before == after, "an object was overwritten"
        if code == 0:
            break
    assert writes > 8


def stopped_at(run, made, monkeypatch, step):
    """A part whose simulation was stopped at a step, or soon after it."""
    with monkeypatch.context() as patch:
        assert stop_when(patch, lambda session: session._step >= step) is not None
        assert run(made) == 1
    return max(made.part_records(), key=lambda record: record.progress)


def with_other_restart(made, record, body, *, honest):
    """Put another restart in a part's place; an honest record tells of it."""
    etag = made.store.put(DATA, record.restart.key, body)
    if honest:
        changed = record.restart._replace(etag=etag, size=len(body))
        key = made.keys.part_record(0, 0, record.part)
        made.store.put(DATA, key, record._replace(restart=changed).to_json())


def cut(body):
    return body[: len(body) // 2]


def flipped(body):
    """One bit of the checkpoint is another, and every checksum of the archive agrees."""
    members = unzipped(body)
    members["checkpoint"] = members["checkpoint"][:-1] + bytes([members["checkpoint"][-1] ^ 1])
    return zipped(members)


def of_another_step(body):
    members = unzipped(body)
    about = json.loads(members["about.json"]) | {"step": 3}
    return zipped(members | {"about.json": json.dumps(about).encode()})


@pytest.mark.parametrize("damage", [cut, flipped, of_another_step])
@pytest.mark.parametrize("honest", [True, False])
def test_a_damaged_restart_is_never_gone_on_from(
    shard, run, long_expected, monkeypatch, capsys, damage, honest
):
    made = shard(options=LONG)
    first = stopped_at(run, made, monkeypatch, 100)
    second = stopped_at(run, made, monkeypatch, first.progress + 50)
    assert second.parent == first.part
    whole = made.store.get(DATA, second.restart.key).body
    with_other_restart(made, second, damage(whole), honest=honest)
    assert run(made) == 0
    assert joined(made) == long_expected
    assert second.part not in [part.part for part in made.marker(DONE)[0].chain]
    starts = [event["progress"] for event in said(capsys) if event["event"] == "start"]
    assert starts[-1] == first.progress


def test_without_any_whole_restart_it_begins_anew(shard, run, long_expected, monkeypatch):
    made = shard(options=LONG)
    part = stopped_at(run, made, monkeypatch, 100)
    with_other_restart(made, part, b"PK", honest=True)
    assert run(made) == 0
    assert joined(made) == long_expected


def test_elsewhere_the_portable_state_is_gone_on_from(shard, run, monkeypatch, capsys):
    """Without random forces the two states come to the same."""
    verlet = LONG | {"integrator": "Verlet"}
    expected = shard(prefix="whole/", options=verlet)
    assert run(expected) == 0
    made = shard(options=verlet)
    part = stopped_at(run, made, monkeypatch, 100)
    members = unzipped(made.store.get(DATA, part.restart.key).body)
    about = json.loads(members["about.json"])
    about["where"]["openmm"] = "8.0"
    elsewhere = zipped(members | {"about.json": json.dumps(about).encode()})
    with_other_restart(made, part, elsewhere, honest=True)
    capsys.readouterr()
    assert run(made) == 0
    assert [e["exact"] for e in said(capsys) if e["event"] == "openmm"] == [False]
    assert joined(made) == joined(expected)


def test_the_portable_state_leaves_neither_gap_nor_overlap(shard, run, monkeypatch, long_expected):
    made = shard(options=LONG)
    part = stopped_at(run, made, monkeypatch, 100)
    members = unzipped(made.store.get(DATA, part.restart.key).body)
    about = json.loads(members["about.json"])
    about["where"]["platform"] = "CUDA"
    elsewhere = zipped(members | {"about.json": json.dumps(about).encode()})
    with_other_restart(made, part, elsewhere, honest=True)
    assert run(made) == 0
    whole = joined(made)
    assert whole.log_steps == long_expected.log_steps
    assert whole.frame_steps == long_expected.frame_steps
    assert whole.log[: part.progress] == long_expected.log[: part.progress]
    assert whole.log[part.progress :] != long_expected.log[part.progress :]


def test_a_barostat_goes_on_exactly(shard, run, monkeypatch, capsys):
    pressed = LONG | {"pressure_bar": 200}
    expected = shard(prefix="whole/", options=pressed)
    assert run(expected) == 0
    made = shard(options=pressed)
    part = stopped_at(run, made, monkeypatch, 30)
    assert part.progress % 25 == 0
    assert run(made) == 0
    assert [e["exact"] for e in said(capsys) if e["event"] == "openmm"] == [True, True, True]
    volumes = {row.split(",")[-2] for row in joined(made).log}
    assert len(volumes) > 5
    assert joined(made) == joined(expected)


FAILING = """
import json
print(json.dumps({"event": "failed", "kind": KIND, "reason": REASON}),
      file=open("events.jsonl", "a"))
raise SystemExit(3)
"""


@pytest.mark.parametrize(
    ("kind", "reason", "code"),
    [("no_room", "No space left on device", 74), ("memory", "std::bad_alloc", 71)],
)
def test_a_full_scratch_and_little_memory_are_another_machines_turn(
    shard, run, long_expected, monkeypatch, kind, reason, code
):
    made = shard(options=LONG)
    part = stopped_at(run, made, monkeypatch, 100)
    with monkeypatch.context() as patch:
        text = FAILING.replace("KIND", repr(kind)).replace("REASON", repr(reason))
        patch.setattr(worker.tools.openmm, "PROGRAM", ["-c", text])
        assert run(made) == code
    assert [record.part for record in made.part_records()] == [part.part]
    assert run(made) == 0
    assert joined(made) == long_expected


def said(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def unzipped(body):
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return body.getvalue()
