"""A tool's program: what it says, who it is, and that nothing of it is left."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from tests.worker.support import ROOT, until
from worker.confinement import TOOL_ID, out_of_reach
from worker.journal import Journal
from worker.program import Program, clean_environment
from worker.relay import HEAD_BYTES, LINE_BYTES, TAIL_BYTES, TOTAL_BYTES

# A worker that runs one script to its end, or until the signal whose number it is given.
RUNS = """
import sys, signal
from pathlib import Path
from worker.confinement import confine_worker
confine_worker()
from worker.program import Program, clean_environment
folder = Path(sys.argv[2])
program = Program(["sh", "-c", sys.argv[1]], folder, clean_environment(folder))
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
while program.poll() is None and not asked:
    program.wait(0.02)
if asked:
    program.terminate(0.5)
print("code", program.poll(), flush=True)
"""


@pytest.fixture
def journal():
    return Journal(io.StringIO())


@pytest.fixture
def run(tmp_path, journal):
    """Runs a shell script to its end."""

    def run(script, **given):
        environment = clean_environment(tmp_path)
        program = Program(["sh", "-c", script], tmp_path, environment, journal=journal, **given)
        until(lambda: program.poll() is not None)
        program.kill()
        return program

    return run


@pytest.fixture
def open_folder():
    """A folder that other users can reach."""
    path = Path(tempfile.mkdtemp(prefix="drydock-test-", dir="/tmp"))
    path.chmod(0o755)
    (path / "work").mkdir()
    yield path
    shutil.rmtree(path)


def events(journal):
    return [json.loads(line) for line in journal._stream.getvalue().splitlines()]


def lines(journal, stream="stdout"):
    return [event[stream] for event in events(journal) if stream in event]


def worker_with(script, folder, **extra):
    return subprocess.Popen(
        [sys.executable, "-c", RUNS, script, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))), **extra},
        stdout=subprocess.PIPE,
        text=True,
    )


def number_in(path):
    """The process id that a script writes, as soon as it is there."""
    return until(lambda: path.exists() and path.read_text().strip() and int(path.read_text()))


def is_gone(pid):
    """Whether it does nothing any more; what nobody has buried yet counts as gone."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_a_program_says_goes_to_the_log_line_by_line(run, journal):
    program = run("echo one; echo two >&2; printf 'three\\r\\nfour'; exit 3")
    assert program.poll() == 3
    assert lines(journal) == ["one", "three", "four"]
    assert lines(journal, "stderr") == ["two"]
    assert program.said() == "one\nthree\r\nfour"
    assert program.complained() == "two\n"


def test_a_flood_is_cut_and_told_of_in_one_line_and_its_ends_are_kept(run, journal, tmp_path):
    program = run(
        "echo first; yes xxxxxxxxxxxxxxxxxxx | head -c 50000000; echo last"
        "; head -c 3000000 /dev/zero | tr '\\0' 'y' >&2; echo end >&2"
    )
    said = lines(journal) + lines(journal, "stderr")
    assert sum(map(len, said)) <= TOTAL_BYTES
    cut = [event for event in events(journal) if event["event"] == "tool_output_cut"]
    assert len(cut) == 1
    assert cut[0]["bytes_left_out"] > 50_000_000
    assert program.said().startswith("first\nxxx")
    assert program.said().endswith("x\nlast\n")
    assert len(program.said()) < HEAD_BYTES + TAIL_BYTES + 100
    assert program.complained().endswith("yyy" + "end\n")
    assert len(program.complained()) == TAIL_BYTES
    assert list(tmp_path.iterdir()) == []


def test_a_long_line_is_cut_and_the_next_one_is_whole(run, journal):
    run("head -c 100000 /dev/zero | tr '\\0' 'x'; echo; echo next")
    assert lines(journal) == ["x" * LINE_BYTES, "next"]
    (cut,) = [event for event in events(journal) if event["event"] == "tool_output_cut"]
    assert cut["bytes_left_out"] == 100_000 - LINE_BYTES


def test_binary_output_is_text_in_the_log(run, journal):
    program = run("printf '\\377\\000\\001\\n\\342\\202'")
    assert lines(journal) == ["\ufffd\0\x01", "\ufffd"]
    assert program.said() == "\ufffd\0\x01\n\ufffd"


def test_stdin_and_stdout_may_be_files(run, journal, tmp_path):
    (tmp_path / "in").write_text("b\na\n")
    run("sort; echo told >&2", stdin_from=tmp_path / "in", stdout_to=tmp_path / "out")
    assert (tmp_path / "out").read_text() == "a\nb\n"
    assert (lines(journal), lines(journal, "stderr")) == ([], ["told"])


def test_a_program_that_closes_its_streams_is_waited_for(run, tmp_path):
    program = run("exec <&- >&- 2>&-; sleep 0.2; touch done; exit 4")
    assert program.poll() == 4
    assert (tmp_path / "done").exists()
    assert program.said() == ""


def test_a_program_that_cannot_be_started_says_which(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        Program(["no-such-program"], tmp_path, clean_environment(tmp_path))


def test_what_a_program_leaves_in_its_group_ends_with_it(run, tmp_path):
    program = run("sleep 600 & echo $! > pid; exit 0")
    assert program.poll() == 0
    left = number_in(tmp_path / "pid")
    until(lambda: is_gone(left))


def test_a_program_that_ignores_sigterm_is_killed(tmp_path, journal):
    script = "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done"
    program = Program(["sh", "-c", script], tmp_path, clean_environment(tmp_path), journal=journal)
    number_in(tmp_path / "pid")
    program.terminate(0.2)
    assert program.poll() == -signal.SIGKILL


def test_terminate_sends_the_signal_that_is_asked_for(tmp_path, journal):
    script = "trap 'exit 9' INT; echo $$ > pid; while :; do sleep 0.1; done"
    program = Program(["sh", "-c", script], tmp_path, clean_environment(tmp_path), journal=journal)
    number_in(tmp_path / "pid")
    program.terminate(20, signal.SIGINT)
    assert program.poll() == 9


DAEMONS = {
    "of its own session": "setsid sh -c 'echo $$ > pid; exec sleep 600' & wait_for_it",
    "forked twice": "(setsid sh -c 'echo $$ > pid; (sleep 600) & exec sleep 600' &) ; wait_for_it",
    "deaf": "setsid sh -c \"trap '' TERM HUP; echo \\$\\$ > pid; while :; do sleep 1; done\" &"
    " wait_for_it",
}
WAITS = "wait_for_it() { while ! test -s pid; do sleep 0.02; done; }; "


@pytest.mark.parametrize("daemon", DAEMONS.values(), ids=DAEMONS)
@pytest.mark.parametrize("how", ["ends", "is stopped"])
def test_what_has_detached_itself_ends_with_the_program(open_folder, daemon, how):
    work = open_folder / "work"
    script = WAITS + daemon + ("" if how == "ends" else "; sleep 600")
    worker = worker_with(script, work)
    daemon_pid = number_in(work / "pid")
    if how == "is stopped":
        worker.send_signal(signal.SIGTERM)
    stdout, _ = worker.communicate(timeout=60)
    assert f"code {0 if how == 'ends' else -signal.SIGTERM}" in stdout
    assert is_gone(daemon_pid)


def test_a_program_dies_with_a_worker_that_is_killed(open_folder):
    work = open_folder / "work"
    worker = worker_with("echo $$ > pid; exec sleep 600", work)
    pid = number_in(work / "pid")
    worker.kill()
    worker.communicate()
    until(lambda: is_gone(pid))


def can_change_user():
    """What the worker finds out for itself, asked of another program."""
    if os.geteuid() != 0:
        return False
    return (
        subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "true"], check=False
        ).returncode
        == 0
    )


def test_a_root_worker_runs_tools_as_nobody_in_a_folder_of_their_own(open_folder):
    work = open_folder / "work"
    (work / "theirs").mkdir(mode=0o700)
    (work / "theirs" / "file").write_text("x")
    worker = worker_with("id -u; id -G; echo y >> theirs/file; cat theirs/file", work)
    stdout, _ = worker.communicate(timeout=60)
    user = TOOL_ID if can_change_user() else os.geteuid()
    said = [json.loads(line)["stdout"] for line in stdout.splitlines() if line.startswith("{")]
    assert said[0] == str(user)
    assert (said[1] == str(user)) == (user != os.geteuid() or os.getgroups() == [user])
    assert said[2:] == ["xy"]


def test_a_program_of_the_folder_itself_is_the_tools_users_own(open_folder):
    work = open_folder / "work"
    work.chmod(0o700)
    (work / "tool").write_text("#!/bin/sh\nid -u\n")
    (work / "tool").chmod(0o700)
    driver = RUNS.replace('["sh", "-c", sys.argv[1]]', '[f"{folder}/{sys.argv[1]}"]')
    worker = subprocess.run(
        [sys.executable, "-c", driver, "tool", str(work)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    user = TOOL_ID if can_change_user() else os.geteuid()
    assert [json.loads(line) for line in worker.stdout.splitlines()[:-1]] == [
        {"event": "tool", "stdout": str(user)}
    ]


def test_a_tool_that_only_root_can_reach_runs_as_root_and_the_log_says_so(open_folder):
    work = open_folder / "work"
    open_folder.chmod(0o700)
    worker = worker_with("id -u", work)
    stdout, _ = worker.communicate(timeout=60)
    found = [json.loads(line) for line in stdout.splitlines() if line.startswith("{")]
    assert [event["stdout"] for event in found if "stdout" in event] == [str(os.geteuid())]
    told = [event["why"] for event in found if event["event"] == "tool_runs_as_root"]
    assert told == ([f"{open_folder} is closed to user {TOOL_ID}"] if can_change_user() else [])


def test_a_tool_cannot_read_the_workers_environment(open_folder):
    work = open_folder / "work"
    worker = worker_with(
        "cat /proc/$PPID/environ; cat /proc/$PPID/maps; env", work, DRYDOCK_HIDDEN="it-is-hidden"
    )
    stdout, _ = worker.communicate(timeout=60)
    assert "code" in stdout
    assert "it-is-hidden" not in stdout
    assert "PATH=" in stdout


def test_a_folder_is_reached_by_all_its_parents(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a").chmod(0o700)
    for parent in (*tmp_path.parents, tmp_path, inner):
        if parent.stat().st_uid == os.geteuid() and parent.name.startswith(("pytest", "popen")):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    assert out_of_reach(inner, TOOL_ID) == tmp_path / "a"
    (tmp_path / "a").chmod(0o755)
    assert out_of_reach(inner, TOOL_ID) is None


def test_a_tool_sees_credentials_only_when_it_may(tmp_path, monkeypatch):
    given = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1",
        "S3_TASK_LOCATION": "s3://b/k",
        "OTHER": "1",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    plain = clean_environment(tmp_path, ("OTHER",))
    assert not any(name.startswith(("AWS_", "S3_")) for name in plain)
    assert (plain["OTHER"], plain["HOME"], plain["TMPDIR"]) == ("1", str(tmp_path), str(tmp_path))
    allowed = clean_environment(tmp_path, allow_aws=True)
    assert allowed["AWS_ACCESS_KEY_ID"] == "key"
    assert allowed["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] == "/v2/credentials/1"
    assert {"S3_TASK_LOCATION", "OTHER"} & set(allowed) == set()


def test_programs_of_one_worker_do_not_end_each_other(tmp_path, journal):
    """A program that ends while another one runs takes its own leavings with it, nothing else."""
    environment = clean_environment(tmp_path)
    long = Program(["sleep", "600"], tmp_path, environment, journal=journal)
    threads = [
        threading.Thread(
            target=lambda: Program(["true"], tmp_path, environment, journal=journal).terminate()
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert long.poll() is None
    long.kill()
    assert long.poll() == -signal.SIGKILL
