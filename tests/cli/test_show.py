"""What people read of a run's progress."""

import io

import pytest
from rich.console import Console

from cli.progress import RunProgress, ShardProgress
from cli.show import duration, lines, screen


def run(*shards, **values):
    given = {
        "run_id": "0123456789abcdef",
        "name": "d4",
        "output_uri": "s3://lab/out/",
        "epoch": 2,
        "started_at": 1000.0,
        "status": "RUNNING",
        "stop": None,
        "whole": True,
    }
    return RunProgress(shards=shards, **{**given, **values})


HALF = ShardProgress(0, 100, done=50, state="running", running=7, settled_a_second=0.5, rounds=2)
IDLE = ShardProgress(1, 100)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (180_000, "2 d 2 h")],
)
def test_durations_are_as_exact_as_they_are_worth(seconds, text):
    assert duration(seconds) == text


def test_plain_lines_say_everything():
    found = run(HALF, IDLE, spent_usd=1.5, stop_after_usd=20)
    assert lines(found, now=1061.0) == [
        "d4 (0123456789abcdef), epoch 2: goes on, since 1 min 1 s",
        (
            "50 of 200 inputs settled (25.0 %): 50 done, 0 failed, 0 skipped; 150 remain, "
            "7 containers run"
        ),
        "shards: 1 running, 1 not begun; 2 rounds",
        "about 1,800 inputs an hour, about 5 min 0 s left",
        "about 1.50 of 20.00 USD spent",
        "output: s3://lab/out/",
    ]


def test_failures_come_by_class_the_most_frequent_first():
    one = ShardProgress(0, 9, failed=3, failures={"bad_input": 1, "tool_failed": 2})
    told = lines(run(one), now=1000.0)
    assert "failed: 2 tool_failed, 1 bad_input" in told
    (advice,) = (line for line in told if line.startswith("what to do: "))
    assert "docs/failures.md#tool_failed, docs/failures.md#bad_input;" in advice


def test_how_it_ended_is_told_by_name_and_where_that_is_explained():
    over = run(HALF, status="FAILED", error="RunIncomplete")
    assert lines(over, now=0.0)[1] == "RunIncomplete: see docs/failures.md#runincomplete"
    strange = run(HALF, status="FAILED", error="States.TaskFailed")
    assert lines(strange, now=0.0)[1] == "States.TaskFailed"
    assert over.as_json()["error"] == "RunIncomplete"


def test_one_round_is_no_rounds():
    assert "shards: 1 running; 1 round" in lines(
        run(ShardProgress(0, 1, state="running", rounds=1)), 0.0
    )


def test_names_of_others_cannot_move_the_cursor():
    hostile = run(
        HALF, name="\x1b[2Jd4", stop="user: \x1b]0;title\x07why", output_uri="s3://b/\x1b[1A/"
    )
    console = Console(file=io.StringIO(), width=100)
    console.print(screen(hostile, now=1000.0))
    assert "\x1b" not in console.file.getvalue()
    assert "stopped, user: why" in console.file.getvalue()


def test_a_run_that_is_over_has_no_time_left():
    over = run(HALF, status="FAILED", stop="budget: spent")
    assert over.left_s is None
    assert lines(over, now=2000.0)[:2] == [
        "d4 (0123456789abcdef), epoch 2: ended",
        "stopped, budget: spent",
    ]


def test_a_screen_shows_the_first_unfinished_shards_and_counts_the_others():
    shards = [ShardProgress(number, 10, done=number % 2 * 10) for number in range(40)]
    console = Console(file=io.StringIO(), width=100)
    console.print(screen(run(*shards), now=1000.0))
    text = console.file.getvalue()
    assert "… and 10 more" in text
    bars = [line for line in text.splitlines() if line.rstrip().endswith("50.0 %")]
    assert len(bars) == 1, "the bar has a line of its own"
    assert "0/10" in text
    assert "10/10" not in text


def test_plain_data_adds_up():
    data = run(HALF, IDLE).as_json()
    assert data["settled"] + data["remaining"] == data["inputs"] == 200
    assert data["shards"] == {"running": 1, "not begun": 1}
    assert data["left_s"] == 300
