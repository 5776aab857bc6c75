"""Warm processes: whatever happens to their owner, nothing of them stays behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.processes import WarmProcesses, forkserver_context
from tests.embedded.batch_support import lives, until

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def processes():
    warm = WarmProcesses([])
    yield warm
    warm.close()


def start(processes, tmp_path, script, **options):
    return processes.start(
        argv=["sh", "-c", script], env=ENV, cwd=tmp_path, log=tmp_path / "log", **options
    )


def own(directory, *arguments):
    """A process that owns two others, and a third through one of them."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.embedded.batch_owner", str(directory), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("way", ["killed", "interrupted", "ends without closing"])
def test_all_ends_with_the_owner(tmp_path, way):
    with own(tmp_path, *(["end"] if way == "ends without closing" else [])) as owner:
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        pids.append(int((tmp_path / "grandchild").read_text()))
        if way == "killed":
            assert all(lives(pid) for pid in pids)
            owner.kill()
        if way == "interrupted":
            owner.send_signal(signal.SIGINT)
        owner.wait(timeout=30)
    assert len(pids) == 3
    until(lambda: not any(lives(pid) for pid in pids))


def test_close_kills_groups_and_starts_nothing_more(processes, tmp_path):
    handle = start(processes, tmp_path, "sleep 300 & echo $! > pid; sleep 300")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    processes.close()
    assert handle.wait(0) == -signal.SIGKILL
    until(lambda: not lives(int((tmp_path / "pid").read_text())))
    with pytest.raises(OSError, match="closed"):
        start(processes, tmp_path, "true")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_nurserys_death_is_the_death_of_what_it_started(processes, tmp_path):
    ends = []
    script = "sleep 300 & echo $! > pid; sleep 300"
    handle = start(processes, tmp_path, script, on_exit=ends.append)
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    os.kill(parent_of(handle.pid), signal.SIGKILL)
    assert handle.wait(30) == -signal.SIGKILL
    until(lambda: not lives(handle.pid))
    until(lambda: not lives(int((tmp_path / "pid").read_text())))
    assert ends == [-signal.SIGKILL]


def test_without_owner_and_nursery_the_kernel_kills_the_leaders(tmp_path):
    with own(tmp_path) as owner:
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        owner.send_signal(signal.SIGSTOP)
        os.kill(parent_of(pids[0]), signal.SIGKILL)
        until(lambda: not any(lives(pid) for pid in pids))
        owner.send_signal(signal.SIGCONT)
        until(lambda: not lives(int((tmp_path / "grandchild").read_text())))
        owner.kill()


def test_terminate_reaches_the_leader_alone_and_kill_the_group(processes, tmp_path):
    script = (
        "sh -c \"trap 'echo told >> told' TERM; while :; do sleep 0.05; done\" & echo $! > pid; "
    )
    handle = start(processes, tmp_path, script + "trap 'exit 7' TERM; while :; do sleep 0.05; done")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    assert handle.wait(0) is None
    handle.terminate()
    assert handle.wait(30) in {7, -signal.SIGTERM}
    assert not (tmp_path / "told").exists()
    until(lambda: not lives(int((tmp_path / "pid").read_text())))
    handle.terminate()
    handle.kill()


def test_each_has_a_session_and_standard_streams_of_its_own(processes, tmp_path):
    handle = start(processes, tmp_path, "ls /proc/self/fd | wc -l; ps -o sid= -p $$")
    assert handle.wait(30) == 0
    descriptors, session = (tmp_path / "log").read_text().split()
    assert int(descriptors) == 4  # ls has the directory open too
    assert int(session) == handle.pid


def test_many_at_once_all_end(processes, tmp_path):
    handles = [start(processes, tmp_path, f"exit {n}") for n in range(50)]
    assert [handle.wait(30) for handle in handles] == list(range(50))


def test_other_processes_of_the_same_fork_server_are_not_disturbed(processes, tmp_path):
    ours, theirs = forkserver_context().Pipe()
    other = forkserver_context().Process(target=os._exit, args=(5,))
    other.start()
    assert start(processes, tmp_path, "exit 3").wait(30) == 3
    other.join()
    assert other.exitcode == 5
    ours.close()
    theirs.close()


def test_botocores_models_are_read_once_for_all(processes, tmp_path):
    handle = processes.start(
        module="tests.embedded.batch_models", argv=[], env=ENV, cwd=tmp_path, log=tmp_path / "log"
    )
    assert handle.wait(30) == 0
    assert (tmp_path / "log").read_text() == "s3 and batch: 0 files read\n"
