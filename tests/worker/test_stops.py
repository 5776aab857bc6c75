"""The worker as a process that is told to stop, or is killed, while vina docks."""

import http.server
import itertools
import json
import shutil
import signal
import threading

import psutil
import pytest

from drydock.failures import EXIT_LATER
from tests.worker.support import (
    bundle,
    finish,
    first_ligand_is_finished,
    ligand,
    start_worker,
    until,
)

SLOW = {"max_evals": 3_000_000}
# Runs the worker and kills its process right after its n-th write to S3.
DIES = """
import os, signal, sys
from drydock.store import Store
from worker.agent import main
left = int(sys.argv[1])
put = Store._put
def dying(*given):
    global left
    etag = put(*given)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return etag
Store._put = dying
sys.exit(main(os.environ))
"""
# The worker gets SIGTERM as soon as it heeds signals, or when all that is left is to exit.
EARLY = """
import os, runpy, signal
import worker.stop_signals as stop_signals
plain = stop_signals.heed_signals
def heed(stop):
    before = plain(stop)
    os.kill(os.getpid(), signal.SIGTERM)
    return before
stop_signals.heed_signals = heed
runpy.run_module("worker", run_name="__main__")
"""
LATE = """
import os, runpy, signal
plain = os._exit
def leave(code):
    os.kill(os.getpid(), signal.SIGTERM)
    plain(code)
os._exit = leave
runpy.run_module("worker", run_name="__main__")
"""


def two_ligands(shard, **values):
    """One that is docked at once, then one that takes long."""
    made = shard(("in/two.pdbqt", bundle(ligand("caffeine"), ligand("imatinib"))), **values)
    made.options |= SLOW
    made.write_round()
    return made


class Imds(http.server.BaseHTTPRequestHandler):
    """IMDSv2 of a machine that is taken away as soon as ``taken`` is set."""

    taken = threading.Event()
    tokens = itertools.count()

    def do_PUT(self):
        assert self.path == "/latest/api/token"
        assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._answer(200, b"token")

    def do_GET(self):
        if self.headers["X-aws-ec2-metadata-token"] != "token":
            self._answer(401, b"")
        elif self.path == "/latest/meta-data/spot/instance-action" and self.taken.is_set():
            self._answer(200, b'{"action": "terminate", "time": "2026-11-20T23:00:00Z"}')
        else:
            self._answer(404, b"")

    def _answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given):
        """Says nothing."""


@pytest.fixture
def imds():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Imds)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Imds.taken.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def vina_processes(worker):
    return psutil.Process(worker.pid).children(recursive=True)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGUSR1", "spot"])
def test_a_stop_keeps_the_finished_ligand_and_ends_with_1(shard, scratch, endpoint, imds, how):
    made = two_ligands(shard)
    extra = {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds}
    process = start_worker(made, scratch, endpoint, **(extra if how == "spot" else {}))
    first_ligand_is_finished(scratch)
    children = vina_processes(process)
    assert children
    if how == "spot":
        Imds.taken.set()
    else:
        process.send_signal(signal.Signals[how])
        # A second signal must not lose what the first began.
        process.send_signal(signal.SIGTERM)
    code, events, stderr = finish(process)
    assert (code, stderr) == (1, "")
    assert not any(child.is_running() for child in children)
    (record,) = made.part_records()
    assert (record.progress, record.counts["molecules"]) == (1, 1)
    assert ("Spot notice: terminate" if how == "spot" else how) in record.why
    assert made.markers() == []
    assert events[-1]["exit_code"] == 1
    assert {event["run"] for event in events if event["event"] == "part"} == {made.keys.run_id}

    made.options["max_evals"] = 2000
    made.write_round()
    code, _, _ = finish(start_worker(made, scratch, endpoint, attempt=2))
    assert code == 0
    (summary,) = made.marker("00000-00000.done")
    assert [part.part for part in summary.chain] == [0, 1]
    assert (summary.molecules, summary.failed_molecules) == (2, 0)
    assert [row["id"] for row in made.rows()] == ["two_1", "two_2"]
    assert summary.best_score == min(row["score"] for row in made.rows())


def test_the_deadline_stops_as_a_signal_does(shard, scratch, endpoint):
    for attempt_seconds in (20, 120):
        made = two_ligands(shard, attempt_seconds=attempt_seconds)
        code, _, _ = finish(start_worker(made, scratch, endpoint))
        if code != EXIT_LATER:  # a busy machine may need more time for the first ligand
            break
    assert code == 1
    (record,) = made.part_records()
    assert "time is over" in record.why


def test_a_killed_worker_takes_vina_with_it(shard, scratch, endpoint):
    made = two_ligands(shard)
    process = start_worker(made, scratch, endpoint)
    first_ligand_is_finished(scratch)
    children = vina_processes(process)
    process.kill()
    process.communicate()
    assert children
    psutil.wait_procs(children, timeout=10)
    assert not any(child.is_running() for child in children)
    remove_leftovers(scratch)


def test_a_program_that_reads_no_stdin_dies_with_the_worker_too(shard, scratch, endpoint, tmp_path):
    program = tmp_path / "bin" / "vina"
    program.parent.mkdir()
    started = tmp_path / "started"
    program.write_text(f"#!/bin/sh\ntouch {started}\nexec sleep 600\n")
    program.chmod(0o755)
    made = shard(("in/a.pdbqt", ligand("caffeine")))
    path = f"{program.parent}:/usr/bin:/bin"
    process = start_worker(made, scratch, endpoint, PATH=path)
    until(started.exists)
    (child,) = vina_processes(process)
    process.kill()
    process.communicate()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()
    remove_leftovers(scratch)


def remove_leftovers(scratch):
    """What a killed process leaves behind, which nobody can remove from inside."""
    for left in scratch.glob("drydock-*"):
        if left.name != "drydock-somebody-else":
            shutil.rmtree(left)


def test_sigkill_after_every_write_gives_the_results_of_a_whole_run(shard, scratch, endpoint):
    inputs = [("in/two.pdbqt", bundle(ligand("caffeine"), ligand("paracetamol")))]
    values = {"checkpoint_seconds": 1}
    whole = shard(*inputs, prefix="whole/", **values)
    assert finish(start_worker(whole, scratch, endpoint))[0] == 0
    assert len(whole.results()) == 2
    for writes in itertools.count(1):
        made = shard(*inputs, prefix=f"killed-{writes}/", **values)
        process = start_worker(made, scratch, endpoint, before=("-c", DIES, str(writes)))
        code, _, _ = finish(process)
        remove_leftovers(scratch)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert finish(start_worker(made, scratch, endpoint, attempt=2))[0] == 0
        assert made.results() == whole.results(), writes
    assert writes > 3


def test_a_machine_without_metadata_service_has_no_notices(shard, scratch, endpoint):
    made = shard(("in/a.pdbqt", ligand("caffeine")))
    extra = {
        "AWS_EC2_METADATA_DISABLED": "",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9",
    }
    code, events, stderr = finish(start_worker(made, scratch, endpoint, **extra))
    assert (code, stderr) == (0, "")
    # It is asked a few times, beside the work, and told of once at most.
    assert [event["event"] for event in events].count("no_spot_notices") <= 1


def test_events_are_json_lines(shard, scratch, endpoint):
    made = shard(("in/a.pdbqt", ligand("caffeine")))
    process = start_worker(made, scratch, endpoint)
    stdout, _ = process.communicate(timeout=120)
    events = [json.loads(line) for line in stdout.splitlines()]
    ours = [event for event in events if event["event"] not in ("tool", "tool_runs_as_root")]
    assert [event["event"] for event in ours] == ["start", "done", "end"]
    assert all({"job", "attempt", "child", "run", "shard"} <= set(event) for event in ours)
    assert any("Computing Vina grid" in event.get("stdout", "") for event in events)


def test_a_signal_before_anything_is_imported_is_heeded(shard, scratch, endpoint):
    made = shard(("in/a.pdbqt", ligand("caffeine")))
    code, events, stderr = finish(start_worker(made, scratch, endpoint, before=("-c", EARLY)))
    assert (code, stderr) == (1, "")
    assert [event["event"] for event in events] == ["end"]
    assert made.markers() == []


def test_a_signal_when_all_is_done_changes_nothing(shard, scratch, endpoint):
    made = shard(("in/a.pdbqt", ligand("caffeine")))
    code, _, stderr = finish(start_worker(made, scratch, endpoint, before=("-c", LATE)))
    assert (code, stderr) == (0, "")
    assert made.markers() == ["00000-00000.done"]
