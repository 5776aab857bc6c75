"""Deaths after every step that can be seen: whoever dies, nothing is lost or counts twice."""

import gzip
import itertools
import re
import shutil
import signal

import psutil
import pytest

import worker.attempt
import worker.tools.dock38_run as module
from tests.worker.attempts.counting import Died, MortalStore
from tests.worker.dock38.bundles import bundle, db2
from tests.worker.dock38.test_restarts import finish
from tests.worker.support import DATA, start_worker, until

NAMES = ["ZINC01", "FAIL", "BROKEN", "TWO"]
BODY = bundle(*NAMES)
PACK = [("in/0.db2.tgz", BODY), ("in/1.db2", b"M cut"), ("in/2.db2", db2("GLUED", "a"))]


def poses(made):
    """The poses of all chains, but for the numbers, which each start of DOCK begins anew."""
    found = []
    for name in made.markers():
        if name.endswith(".done"):
            for summary in made.marker(name):
                outputs = [output for part in summary.chain for output in part.outputs]
                keys = [output.key for output in outputs if output.name == "mol2"]
                text = b"".join(gzip.decompress(made.store.get(DATA, key).body) for key in keys)
                found.append(re.sub(rb" Number: +\d+", b"", text))
    return found


def left(made):
    """What a run comes to: its rows, its poses, and who failed."""
    failed = [name for name in made.markers() if name.endswith(".failed")]
    return made.results(), poses(made), failed


@pytest.fixture
def expected(shard, run):
    """What is left by workers that nobody disturbs, by the inputs."""

    def expected(*inputs):
        made = shard(*inputs, prefix="whole/", inputs_per_job=len(inputs))
        assert run(made) == 0
        assert len(made.results()) > 1
        return left(made)

    return expected


@pytest.mark.parametrize(
    ("inputs", "checkpoint_seconds"), [(PACK[:1], 1), (PACK, 0)], ids=["checkpoints", "a pack"]
)
def test_the_worker_dies_at_every_write(
    shard, run, client, expected, monkeypatch, inputs, checkpoint_seconds
):
    wanted = expected(*inputs)
    if checkpoint_seconds:
        monkeypatch.setattr(worker.attempt.History, "seconds", lambda _self: 1e6)
    for writes in itertools.count(1):
        made = shard(
            *inputs,
            prefix=f"n{writes}/",
            inputs_per_job=len(inputs),
            checkpoint_seconds=checkpoint_seconds,
            indock_keys={"seconds": 0.03},
        )
        store = MortalStore(client, writes, lost_answer=bool(writes % 2))
        try:
            code = run(made, using=store)
        except Died:
            code = None
        before = {key: made.store.head(DATA, key).etag for key in store.written}
        finish(run, made)
        assert left(made) == wanted, writes
        assert before == {key: made.store.head(DATA, key).etag for key in before}
        if code == 0:
            break
    assert writes > (10 if checkpoint_seconds else 7)


ENDS = [signal.SIGUSR1, signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV]


@pytest.mark.parametrize("rows", range(4))
@pytest.mark.parametrize("number", ENDS, ids=[end.name for end in ENDS])
def test_dock64_is_signalled_by_others_after_every_ligand(
    shard, run, expected, monkeypatch, number, rows
):
    """SIGUSR1 keeps what is docked, as the source allows it; the others lose one start alone."""
    wanted = expected(("in/a.db2.tgz", BODY))
    made = shard(("in/a.db2.tgz", BODY), indock_keys={"seconds": 0.05})
    look = module.Run.poll
    sent = []

    def poll(self):
        code = look(self)
        if not sent and self.rows >= rows and self.ending.has_header == bool(rows):
            sent.append(self._program.send(number))
        return code

    monkeypatch.setattr(module.Run, "poll", poll)
    code = run(made)
    assert code in ((71,) if number == signal.SIGKILL else (1,))
    progress = [record.progress for record in made.part_records()]
    if number == signal.SIGUSR1 and rows:
        assert progress >= [rows]
    else:
        assert set(progress) <= {0}
    finish(run, made)
    assert left(made) == wanted


def test_dock64_does_not_outlive_a_worker_that_is_killed(
    shard, run, expected, scratch, endpoint, on_path
):
    wanted = expected(("in/a.db2.tgz", BODY))
    made = shard(("in/a.db2.tgz", BODY), indock_keys={"seconds": 600})
    process = start_worker(made, scratch, endpoint)

    def dock64():
        children = psutil.Process(process.pid).children()
        return next((each for each in children if str(on_path) in each.cmdline()), None)

    docking = until(dock64)
    process.kill()
    process.communicate()
    until(lambda: not docking.is_running() or docking.status() == psutil.STATUS_ZOMBIE)
    for folder in scratch.glob("drydock-*"):  # what a machine that is gone takes with it
        if folder.name != "drydock-somebody-else":
            shutil.rmtree(folder)
    assert made.markers() == []
    again = shard(("in/a.db2.tgz", BODY))
    finish(run, again)
    assert left(again) == wanted
