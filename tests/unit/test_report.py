"""What `make run` concludes and shows, apart from the run itself."""

import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from local.follow import Attempt, Child, Snapshot
from local.history import NoHistory, find_history, show_history
from local.progress import ProgressLine, in_words
from local.report import Account, Report
from local.run import _neighbours, _to_reclaim

FIELDS = {
    "inputs": 5,
    "done": 3,
    "failed": 1,
    "skipped": 1,
    "remaining": 0,
    "molecules": 7,
    "failed_molecules": 1,
}


def child(index, machine, status="RUNNING", *codes):
    attempts = tuple(Attempt(machine, "Essential container in task exited", code) for code in codes)
    return Child(f"job:{index}", 0, 0, index, status, machine, attempts)


def test_an_account_adds_up_when_every_input_is_in_one_column():
    assert Account(5, FIELDS).adds_up()
    assert Account(5, FIELDS).in_words() == (
        "7 of 8 molecules, 5 of 5 inputs settled: 3 done, 1 failed, 1 skipped, 0 remaining"
    )


def test_a_run_that_knows_no_molecules_does_not_count_any():
    account = Account(5, FIELDS | {"molecules": 0, "failed_molecules": 0})
    assert account.in_words().startswith("5 of 5 inputs settled: 3 done")


@pytest.mark.parametrize("changes", [{"done": 2}, {"done": 4}, {"inputs": 6}, {"skipped": 0}])
def test_an_account_that_loses_or_doubles_an_input_does_not_add_up(changes):
    assert not Account(5, FIELDS | changes).adds_up()


def test_an_account_of_another_manifest_does_not_add_up():
    assert not Account(6, FIELDS).adds_up()


def test_an_account_with_inputs_that_remain_does_not_add_up():
    assert not Account(5, FIELDS | {"done": 2, "remaining": 1}).adds_up()


def test_the_line_says_what_is_so():
    assert in_words(Snapshot("RUNNING", None, 0, 0, ())) == "listing the inputs"
    children = (child(0, "i-1", "RUNNING", 1), child(1, "i-2"), child(2, "i-2", "SUCCEEDED", 0))
    assert in_words(Snapshot("RUNNING", 9, 4, 1, children)) == (
        "4 of 9 settled, 2 running, 1 interrupted, round 1"
    )
    assert in_words(Snapshot("RUNNING", 9, 9, 1, ())) == "9 of 9 settled, collating the results"


def test_without_a_terminal_only_news_is_printed():
    out = io.StringIO()
    with ProgressLine(Console(file=out)) as line:
        for settled in (1, 1, 2):
            line.show(Snapshot("RUNNING", 9, settled, 0, ()))
    assert [text.split()[0] for text in out.getvalue().splitlines()] == ["1", "2"]


def test_a_machine_is_taken_away_when_work_is_done_and_both_work():
    both = (child(3, "i-1"), child(1, "i-2"))

    def taken(settled, children, at_work=(1, 3)):
        snapshot = Snapshot("RUNNING", 9, settled, 0, children)
        return _to_reclaim(snapshot, lambda each: each.index in at_work)

    assert taken(1, both) == "i-2"
    assert taken(0, both) is None
    assert taken(1, both[:1]) is None
    # One that has only to end shows nothing.
    assert taken(1, both, at_work=(3,)) == "i-1"
    assert taken(1, both, at_work=()) is None


def test_what_lies_beside_a_request_goes_where_the_request_names_it(tmp_path):
    (tmp_path / "inputs").mkdir()
    (tmp_path / "receptor.pdbqt").touch()
    request = {
        "input": "s3://b/in/",
        "dockfiles": "s3://b/absent/",
        "assets": {"receptor": "s3://b/x/receptor.pdbqt", "other": "s3://b/other.pdbqt"},
    }
    assert dict(_neighbours(tmp_path, request)) == {
        tmp_path / "inputs": "s3://b/in/",
        tmp_path / "receptor.pdbqt": "s3://b/x/receptor.pdbqt",
    }


@pytest.mark.parametrize("request_", [{}, {"assets": []}, {"assets": {"a": 7}}, {"input": 7}])
def test_what_is_no_request_has_no_neighbours(tmp_path, request_):
    (tmp_path / "inputs").mkdir()
    assert list(_neighbours(tmp_path, request_)) == []


def test_a_saved_history_is_shown_event_by_event(tmp_path):
    event = {
        "timestamp": "2026-01-02 03:04:05.678901+00:00",
        "type": "TaskStateEntered",
        "stateEnteredEventDetails": {"name": "EnumerateInputs", "input": '{"a":\n 1}'},
    }
    document = {"execution": {"name": "e1", "status": "FAILED"}, "events": [event]}
    (tmp_path / "e1.json").write_text(json.dumps(document))
    out = io.StringIO()
    show_history(find_history(tmp_path, None), Console(file=out))
    first, second, last = out.getvalue().splitlines()
    assert first == "e1: FAILED"
    assert second.split() == ["03:04:05.678", "TaskStateEntered", "EnumerateInputs", '{"a":', "1}"]
    assert last.startswith("1 events")


def test_no_history_says_where_one_would_be(tmp_path):
    with pytest.raises(NoHistory, match="make run"):
        find_history(tmp_path, None)
    (tmp_path / "abc.json").touch()
    assert find_history(tmp_path, "ab").stem == "abc"
    with pytest.raises(NoHistory, match="'x'"):
        find_history(tmp_path, "x")


def test_a_file_named_like_the_input_is_uploaded_instead_of_the_folder_of_inputs(tmp_path):
    (tmp_path / "inputs").mkdir()
    folder, file = "s3://data/some/inputs/", "s3://data/some/library.smi"
    assert list(_neighbours(tmp_path, {"input": folder})) == [(tmp_path / "inputs", folder)]
    assert list(_neighbours(tmp_path, {"input": file})) == [(tmp_path / "inputs", file)]
    (tmp_path / "library.smi").touch()
    assert list(_neighbours(tmp_path, {"input": file})) == [(tmp_path / "library.smi", file)]
    assert list(_neighbours(tmp_path, {})) == []


class Results:
    """A store in which a run left these results."""

    def __init__(self, **files):
        self.files = files

    def get(self, _bucket, key):
        return SimpleNamespace(body=self.files[key.rpartition("/")[2].partition(".")[0]].encode())


def report_of(**files):
    console = Console(file=io.StringIO(), width=200)
    run = SimpleNamespace(run_id="0" * 16, output_bucket="data", output_prefix="out/")
    return Report(console=console, store=Results(**files), control_bucket="c", run=run), console


def test_failures_lead_to_where_they_are_explained_and_are_printed_as_text():
    rows = (
        "index,class,reason\n0,bad_input,\x1b[2Jno ligand\n1,tool_failed,died\n2,bad_input,none\n"
    )
    report, console = report_of(failures=rows)
    report.failures()
    said = console.file.getvalue().splitlines()
    assert said[0] == "Failed: index 0, class bad_input, reason no ligand"
    assert said[3:] == [
        "What to do: docs/failures.md#bad_input",
        "What to do: docs/failures.md#tool_failed",
    ]


def test_names_of_molecules_are_no_markup_and_move_no_cursor():
    report, console = report_of(
        top="id,score,input\n[/x]\x1b[31mZINC,-9.5,s3://b/\x1b[1Ain.pdbqt\n"
    )
    report.best()
    said = console.file.getvalue()
    assert "[/x]ZINC" in said
    assert "\x1b" not in said
