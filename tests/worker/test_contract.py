"""The environment, scratch and what else is read before any work is done."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.uris import S3Uri
from worker.contract import graceful_seconds, read_contract
from worker.endings import Misconfigured
from worker.scratch import Scratch
from worker.stop_signals import Stop
from worker.tools import Setting, make_tool

TASK = {"S3_TASK_LOCATION": "s3://control/runs/a/rounds/000000/0-a.json"}


def test_a_child_of_a_run_needs_its_task_alone():
    contract = read_contract(TASK)
    assert contract.task == S3Uri("control", "runs/a/rounds/000000/0-a.json")
    assert (contract.child, contract.attempt, contract.by_hand) == (0, 1, None)
    assert contract.scratch_base == Path("/tmp")


def test_batch_says_which_child_and_attempt_it_is():
    contract = read_contract(
        TASK
        | {"AWS_BATCH_JOB_ARRAY_INDEX": "7", "AWS_BATCH_JOB_ATTEMPT": "2", "SHRTCACHE": "/scratch"}
    )
    assert (contract.child, contract.attempt) == (7, 2)
    assert contract.scratch_base == Path("/scratch")


def test_by_hand_input_and_output_are_enough():
    contract = read_contract(
        {"S3_INPUT_LOCATION": "s3://lab/input", "S3_OUTPUT_LOCATION": "s3://lab/out"}
    )
    assert contract.by_hand.input == S3Uri("lab", "input")
    assert contract.by_hand.output == S3Uri("lab", "out/")


@pytest.mark.parametrize("missing", ["S3_INPUT_LOCATION", "S3_OUTPUT_LOCATION"])
def test_by_hand_a_missing_location_is_named(missing):
    given = {"S3_INPUT_LOCATION": "s3://lab/input", "S3_OUTPUT_LOCATION": "s3://lab/out"}
    del given[missing]
    with pytest.raises(Misconfigured, match=missing):
        read_contract(given)


@pytest.mark.parametrize(
    "name",
    [
        "AWS_BATCH_JOB_ARRAY_INDEX",
        "AWS_BATCH_JOB_ATTEMPT",
        "ATTEMPT_SECONDS",
        "CHECKPOINT_SECONDS",
    ],
)
@given(value=st.text(min_size=1).filter(lambda text: text.strip()))
def test_a_number_that_is_none_is_named(name, value):
    plain = value.strip()
    least = 1 if name == "AWS_BATCH_JOB_ATTEMPT" else 0
    if plain.isascii() and plain.isdigit() and int(plain) >= least:
        read_contract(TASK | {name: value})
        return
    with pytest.raises(Misconfigured, match=name):
        read_contract(TASK | {name: value})


def test_a_location_that_is_no_uri_is_named():
    with pytest.raises(Misconfigured, match="S3_TASK_LOCATION"):
        read_contract({"S3_TASK_LOCATION": "https://control/x"})


@given(st.integers(1, 10**6))
def test_the_graceful_stop_lies_inside_the_attempt(attempt_seconds):
    assert 0 < graceful_seconds(attempt_seconds) < attempt_seconds
    if attempt_seconds >= 180:
        assert graceful_seconds(attempt_seconds) == attempt_seconds - 90


def test_scratch_is_private_and_removed_even_when_a_tool_locked_it(scratch):
    with Scratch(scratch) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        locked = folder / "a" / "locked"
        locked.mkdir(parents=True)
        (locked / "file").write_text("x")
        locked.chmod(0)
        (folder / "a").chmod(0o500)
        (folder / "link").symlink_to(scratch / "drydock-somebody-else")
    assert (scratch / "drydock-somebody-else" / "kept").read_text() == "kept"


def test_scratch_is_removed_when_work_in_it_fails(scratch):
    with pytest.raises(KeyError), Scratch(scratch) as folder:
        {}[str(folder)]


def test_scratch_that_cannot_be_made_is_a_misconfiguration(tmp_path):
    with (
        pytest.raises(Misconfigured, match=f"SHRTCACHE={tmp_path}/nowhere"),
        Scratch(tmp_path / "nowhere"),
    ):
        pass


def test_scratch_below_a_relative_base_has_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Scratch(Path()) as folder:
        assert folder.is_absolute()
        os.chdir("/")
    assert list(tmp_path.iterdir()) == []


def test_the_first_reason_to_stop_counts():
    now = [0.0]
    stop = Stop(deadline=10.0, clock=lambda: now[0])
    assert stop.reason is None
    now[0] = 10.0
    assert stop.reason.kind == "deadline"
    stop.ask("signal", "SIGTERM")
    assert stop.reason.kind == "deadline"
    stop.wait(1000)  # returns at once


def test_a_tool_that_is_not_here_is_named():
    with pytest.raises(Misconfigured, match="tool mine is not in this image: it has vina"):
        make_tool("mine", Setting())


def test_a_package_brings_a_tool_by_an_entry_point(tmp_path, monkeypatch):
    package = tmp_path / "mine-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[drydock.tools]\nmine = mine_tool:make\nbroken = mine_tool:missing\n"
    )
    (tmp_path / "mine_tool.py").write_text("def make(setting):\n    return 'mine', setting.vcpus\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert make_tool("mine", Setting(vcpus=3)) == ("mine", 3)
    with pytest.raises(Misconfigured, match="tool broken cannot be loaded"):
        make_tool("broken", Setting())
