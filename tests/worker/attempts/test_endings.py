"""How an attempt ends, and what its exit code says. The tool only counts."""

import itertools
import json

import worker.agent
import worker.stop_signals
from drydock.errors import StoreUnavailable
from drydock.run_document import Epoch, RunDocument, Stop, put_stop
from drydock.store import Store
from tests.worker.attempts.counting import CountingSession, lines, whole
from tests.worker.support import CONTROL, DATA, RUN_ID
from worker.endings import Misconfigured
from worker.stop_signals import StopReason


def test_a_death_is_recorded_once_and_the_second_is_the_tools_to_judge(shard, run, tool):
    made = shard(("in/0", lines("a", "die", "c")))
    assert run(made) == 1
    (record,) = made.part_records()
    assert (record.progress, record.trouble) == (1, "line 1")
    assert run(made) == 0
    assert whole(made) == [(0, "a"), (0, "die"), (0, "c")]


def test_a_death_before_any_progress_is_recorded_too(shard, run, tool):
    made = shard(("in/0", lines("die", "b")))
    assert run(made) == 1
    assert [record.progress for record in made.part_records()] == [0]
    assert run(made) == 0
    assert whole(made) == [(0, "die"), (0, "b")]


def test_out_of_memory_is_not_tried_again_as_it_was(shard, run, tool):
    made = shard(("in/0", lines("hungry")), ("in/1", lines("a")), inputs_per_job=2)
    assert run(made) == 71
    assert made.markers() == ["00001-00001.done"]
    assert made.part_records() == []


def test_memory_is_asked_for_once_nothing_else_remains_that_may_pass(shard, run, tool):
    """An attempt has one code for all its inputs: 71 is not retried on the same machine."""
    made = shard(("in/0", lines("hungry")), ("in/1", lines("die", "b")), inputs_per_job=2)
    assert [run(made), run(made)] == [1, 71]
    assert made.markers() == ["00001-00001.done"]


def test_a_deadline_without_progress_is_left_to_a_later_round(shard, run, tool, monkeypatch):
    made = shard(("in/0", lines("a")))
    monkeypatch.setattr(worker.agent, "graceful_seconds", lambda _seconds: 0.0)
    assert run(made) == 75
    assert made.markers() == []


def test_an_input_that_never_ends_does_not_keep_those_behind_it_from_their_turn(
    shard, run, tool, monkeypatch
):
    made = shard(("in/0", lines("slow")), ("in/1", lines("a")), inputs_per_job=2)
    tool.patience = False
    reached = StopReason("deadline", "the attempt's time is over")
    polls = itertools.count()

    def late():
        if next(polls) % 5 == 4:
            monkeypatch.setattr(worker.stop_signals.Stop, "reason", reached)

    tool.on_poll = late
    assert run(made, AWS_BATCH_JOB_ATTEMPT="1") == 1
    assert made.markers() == []
    monkeypatch.setattr(worker.stop_signals.Stop, "reason", None, raising=False)
    assert run(made, AWS_BATCH_JOB_ATTEMPT="2") == 1
    assert made.markers() == ["00001-00001.done"]
    monkeypatch.setattr(worker.stop_signals.Stop, "reason", None)
    assert run(made, AWS_BATCH_JOB_ATTEMPT="3") == 75


def test_memory_that_was_wanting_is_told_of_although_another_input_never_ends(
    shard, run, tool, monkeypatch
):
    made = shard(("in/0", lines("hungry")), ("in/1", lines("slow")), inputs_per_job=2)
    tool.patience = False
    reached = StopReason("deadline", "the attempt's time is over")
    polls = itertools.count()

    def late():
        if next(polls) == 5:
            monkeypatch.setattr(worker.stop_signals.Stop, "reason", reached)

    tool.on_poll = late
    assert run(made) == 71


def test_a_deadline_with_progress_is_tried_again(shard, run, tool, monkeypatch):
    made = shard(("in/0", lines("a", "b")))
    reached = StopReason("deadline", "the attempt's time is over")

    def late():
        monkeypatch.setattr(worker.stop_signals.Stop, "reason", reached)

    tool.on_poll = late
    assert run(made) == 1
    assert [record.progress for record in made.part_records()] == [1]


def test_a_run_that_was_stopped_on_purpose_is_left_to_a_later_epoch(shard, run, tool, store):
    made = shard(("in/0", lines("a")))
    epoch = Epoch(1, "arn:owner", 0.0, {}, "image", "definition")
    document = RunDocument(RUN_ID, DATA, "out/", {}, (epoch,))
    key = f"runs/{RUN_ID}/run.json"
    store.put(CONTROL, key, put_stop(document, Stop(1, "user", "enough")).to_json())
    assert run(made) == 75
    assert made.markers() == []
    store.put(CONTROL, key, document.to_json())
    assert run(made) == 0


def test_an_outage_of_s3_is_tried_again(shard, run, client, tool, capsys):
    class Down(Store):
        def encrypting_with(self, kms_key_id):
            return self

        def _put(self, *_given):
            raise StoreUnavailable("503 Slow Down")

    made = shard(("in/0", lines("a")))
    assert run(made, using=Down(client)) == 1
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (again,) = [event for event in said if event["event"] == "try_again"]
    assert (again["why"], again["run"], again["shard"]) == ("503 Slow Down", RUN_ID, 0)
    assert run(made) == 0


def test_misconfiguration_leaves_one_sentence_and_the_first_one_wins(
    shard, run, tool, store, capsys
):
    def prepare(_assets):
        raise Misconfigured("the first sentence")

    made = shard(("in/0", lines("a")), ("in/1", lines("a")))
    tool.prepare = prepare
    assert run(made, child=0) == 78
    assert "the first sentence" in capsys.readouterr().err
    assert store.get(DATA, made.keys.misconfigured(0, 0)).body == b"the first sentence"

    def prepare_again(_assets):
        raise Misconfigured("the second sentence")

    tool.prepare = prepare_again
    assert run(made, child=1) == 78
    assert store.get(DATA, made.keys.misconfigured(0, 0)).body == b"the first sentence"
    assert made.markers() == []


def test_an_asset_that_changed_stops_the_run(shard, run, tool, store, capsys):
    made = shard(("in/0", lines("a")))
    store.put(DATA, "assets/receptor.pdbqt", b"another")
    assert run(made) == 78
    assert "asset receptor" in capsys.readouterr().err


def test_a_child_without_work_is_a_misconfiguration(shard, run, tool, capsys):
    made = shard(("in/0", lines("a")))
    assert run(made, child=7) == 78
    assert "child 7" in capsys.readouterr().err


def test_an_unreadable_task_document_is_a_misconfiguration(shard, run, tool, store, capsys):
    made = shard(("in/0", lines("a")))
    store.put(CONTROL, made.document_key, b'{"run_id":')
    assert run(made) == 78
    store.delete(CONTROL, made.document_key)
    assert run(made) == 78
    assert capsys.readouterr().err.count("drydock: ") == 2


def test_an_output_that_leads_out_of_the_scratch_is_not_sent_up(
    shard, run, tool, tmp_path, monkeypatch
):
    (tmp_path / "secret").write_text("hidden")

    def linked(session, name, _content):
        path = session._folder / name
        path.symlink_to(tmp_path / "secret")
        return path

    monkeypatch.setattr(CountingSession, "_written", linked)
    made = shard(("in/0", lines("a")))
    assert run(made) == 0
    assert made.marker(made.markers()[0]).failure_class == "tool_failed"
    assert made.names("out/shards/") == []
