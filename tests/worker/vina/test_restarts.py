"""Deaths after every write, and stops at many moments, while molecules are prepared and docked by
real vina: what comes together is what an uninterrupted run gives."""

import itertools
import os
import signal

import pytest

import worker.history
import worker.tools.vina_batches
from tests.worker.attempts.counting import Died, MortalStore
from tests.worker.support import EXAMPLE
from tests.worker.vina.molecules import LIBRARY, QUICK, library
from worker.tools.vina_session import VinaSession

INPUT = ("in/library.sdf", library())


@pytest.fixture
def pocket():
    """The atoms of the receptor that lie about the box: a small grid takes no time."""

    def near(line):
        place = (line[30:38], line[38:46], line[46:54])
        return all(abs(float(x) - c) < 8 for x, c in zip(place, QUICK["center"], strict=True))

    lines = (EXAMPLE / "receptor.pdbqt").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("ATOM") and near(line)).encode()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Two molecules first, then the others."""
    monkeypatch.setattr(worker.tools.vina_batches, "_FIRST_PREPARED", 2)


@pytest.fixture
def expected(shard, run, pocket):
    made = shard(INPUT, receptor=pocket, prefix="whole/")
    assert run(made) == 0
    assert [row["id"] for row in made.rows()] == list(LIBRARY)
    assert [row["score"] is None for row in made.rows()].count(True) == 1
    return made.results()


@pytest.fixture
def eager(monkeypatch):
    """A part's period is over as soon as two ligands are finished."""
    plain = VinaSession.unsealed.fget
    monkeypatch.setattr(worker.history.History, "seconds", lambda _self: 1e6)
    due = property(lambda self: rows if (rows := plain(self)) >= 2 else 0)
    monkeypatch.setattr(VinaSession, "unsealed", due)


def test_a_death_after_every_write_loses_nothing_and_counts_nothing_twice(
    shard, run, client, pocket, expected, eager
):
    for writes in itertools.count(1):
        made = shard(INPUT, receptor=pocket, prefix=f"n{writes}/", checkpoint_seconds=1)
        store = MortalStore(client, writes)
        try:
            code = run(made, using=store)
        except Died:
            code = None
        assert run(made) == 0
        assert made.results() == expected, writes
        (summary,) = made.marker("00000-00000.done")
        assert (summary.molecules, summary.failed_molecules) == (4, 1)
        if code == 0:
            break
    assert writes > 6


# What a session is at when it is told to stop; each attempt goes on from where the last one was.
MOMENTS = (
    lambda session: session._preparing,
    lambda session: session._program is not None and not session._preparing,
    lambda session: session.unsealed > 0,
)
SLOW = {"max_evals": 30_000}


def test_stops_at_every_kind_of_moment_make_one_chain(shard, run, pocket, monkeypatch):
    whole = shard(INPUT, receptor=pocket, prefix="whole/", options=SLOW)
    assert run(whole) == 0
    made = shard(INPUT, receptor=pocket, options=SLOW)
    look, told = VinaSession.poll, []
    at = {}

    def poll(self):
        ended = look(self)
        if not told and not ended and at["moment"](self):
            told.append(True)
            os.kill(os.getpid(), at["signal"])
        return ended

    monkeypatch.setattr(VinaSession, "poll", poll)
    for moment, number in zip(MOMENTS * 2, [signal.SIGTERM, signal.SIGUSR1] * 3, strict=True):
        told.clear()
        at |= {"moment": moment, "signal": number}
        assert run(made) == 1
        assert told
    monkeypatch.setattr(VinaSession, "poll", look)
    assert run(made) == 0
    assert made.results() == whole.results()
    records = sorted(made.part_records(), key=lambda record: record.part)
    assert len(records) >= 2
    assert [record.progress for record in records] == sorted({r.progress for r in records})
