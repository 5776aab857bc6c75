"""What an attempt leaves, and goes on from: parts and markers. The tool only counts."""

import itertools
import os
import signal
from types import SimpleNamespace

import pytest

import worker.attempt
import worker.history
from drydock.markers import encode_skipped
from tests.worker.attempts.counting import Died, MortalStore, lines, whole
from tests.worker.support import DATA
from worker.endings import RestartUnusable
from worker.stop_signals import Stop


def test_outputs_come_before_the_marker(shard, run, client, tool):
    made = shard(("in/a", lines("1", "2")))
    store = MortalStore(client, 100)
    assert run(made, using=store) == 0
    assert [key.split("/")[-1] for key in store.written] == [
        "poses.gz.0",
        "scores.gz.0",
        "00000-00000.done",
    ]


def test_a_settled_input_is_not_touched(shard, run, client, tool):
    made = shard(("in/a", lines("1")))
    assert run(made) == 0
    tool.open = None
    store = MortalStore(client, 0)
    assert run(made, using=store) == 0


def test_at_most_six_requests_beside_its_own_data(shard, run, client, tool, store):
    made = shard(*[(f"in/{number}", lines("1")) for number in range(3)])
    asked = []
    client.meta.events.register(
        "before-parameter-build.s3", lambda params, model, **_: asked.append((model.name, params))
    )
    assert run(made, child=1) == 0
    own = (made.keys.input_folder(0, 1), made.keys.markers_folder(0), "in/", "assets/")
    beside = [
        (name, params.get("Key") or params.get("Prefix"))
        for name, params in asked
        if name in ("ListObjectsV2", "HeadObject") or not params["Key"].startswith(own)
    ]
    assert len(beside) <= 6, beside
    assert "HeadObject" not in {name for name, _ in beside}


def test_a_pack_costs_one_marker(shard, run, tool):
    made = shard(*[(f"in/{number}", lines("1")) for number in range(5)], inputs_per_job=3)
    assert [run(made, child=0), run(made, child=1)] == [0, 0]
    assert made.markers() == ["00000-00002.done", "00003-00004.done"]
    assert [summary.place for summary in made.marker("00000-00002.done")] == [0, 1, 2]


def test_a_pack_flushes_its_markers_once_a_minute(shard, run, tool, monkeypatch):
    made = shard(*[(f"in/{number}", lines("1")) for number in range(4)], inputs_per_job=4)
    now = itertools.count(step=40)
    plain = worker.attempt.MarkerWriter

    def writer(*given, **named):
        return plain(*given, clock=lambda: next(now), **named)

    monkeypatch.setattr(worker.attempt, "MarkerWriter", writer)
    assert run(made) == 0
    assert len(made.markers()) > 1
    assert whole(made) == [(number, "1") for number in range(4)]


def test_a_failed_input_in_a_pack_leaves_the_others_alone(shard, run, tool):
    made = shard(
        ("in/0", lines("1")), ("in/1", b""), ("in/2", None), ("in/3", lines("1")), inputs_per_job=4
    )
    assert run(made) == 0
    assert made.markers() == [
        "00000-00000.done",
        "00001.1.bad_input.failed",
        "00002.1.input_missing.failed",
        "00003-00003.done",
    ]


def test_an_input_that_changed_is_failed(shard, run, tool, store):
    made = shard(("in/a", lines("1")))
    store.put(DATA, "in/a", b"something else")
    assert run(made) == 0
    failure = made.marker("00000.1.input_changed.failed")
    assert "in/a" in failure.reason
    assert failure.seconds > 0


def test_kill_after_every_write_loses_nothing_and_counts_nothing_twice(
    shard, run, client, tool, eager
):
    inputs = [("in/0", lines("a", "b", "bad")), ("in/1", lines("d")), ("in/2", lines("e", "f"))]
    expected = shard(*inputs, prefix="whole/", inputs_per_job=3)
    assert run(expected) == 0
    for lost_answer in (False, True):
        for writes in itertools.count(1):
            prefix = f"n{writes}{lost_answer}/"
            made = shard(*inputs, prefix=prefix, inputs_per_job=3, checkpoint_seconds=1)
            store = MortalStore(client, writes, lost_answer=lost_answer)
            try:
                code = run(made, using=store)
            except Died:
                code = None
            before = {key: made.store.head(DATA, key).etag for key in store.written}
            assert run(made) == 0
            assert made.results() == expected.results(), (writes, lost_answer)
            after = {key: made.store.head(DATA, key).etag for key in store.written}
            assert before == after, "an object was overwritten"
            if code == 0:
                break
        assert writes > 15


def test_dying_at_every_write_again_and_again_still_ends(shard, run, client, tool, eager):
    made = shard(("in/0", lines(*"abcdef")), checkpoint_seconds=1)
    deaths = 0
    while True:
        try:
            # Three writes make a part with its record: the least with which anything is kept.
            assert run(made, using=MortalStore(client, 3)) == 0
            break
        except Died:
            deaths += 1
            assert deaths < 20
    assert whole(made) == [(0, letter) for letter in "abcdef"]
    assert deaths >= 3


def test_a_part_is_sealed_when_it_is_due_with_all_that_is_finished(shard, run, tool, monkeypatch):
    """A line is finished at each look; looks are 0.3 s apart, and one comes when a part is due."""
    now = [0.0]
    monkeypatch.setattr(worker.attempt, "_POLL_S", 0.3)
    monkeypatch.setattr(worker.history, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(Stop, "wait", lambda _self, seconds: now.append(now.pop() + seconds))
    made = shard(("in/0", lines(*"abcdefghij")), checkpoint_seconds=1)
    assert run(made) == 0
    sealed = [(record.progress, record.seconds) for record in made.part_records()]
    assert sealed == [(5, 1.0), (9, 1.0)]


@pytest.mark.parametrize("stop_at", range(1, 8))
def test_a_stop_at_any_moment_keeps_what_is_finished(shard, run, tool, stop_at):
    made = shard(("in/0", lines("a", "b", "c")), ("in/1", lines("d", "e")), inputs_per_job=2)
    polls = itertools.count(1)

    def stop():
        if next(polls) == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    tool.on_poll = stop
    first = run(made)
    assert first == 1 or stop_at == 7
    tool.on_poll = lambda: None
    assert run(made) == 0
    assert whole(made) == [(0, "a"), (0, "b"), (0, "c"), (1, "d"), (1, "e")]
    parts = [output.key for s in _summaries(made) for part in s.chain for output in part.outputs]
    assert len(parts) == len(set(parts))


def _summaries(made):
    return [summary for name in made.markers() for summary in made.marker(name)]


def test_a_part_record_is_the_last_thing_of_an_interrupted_input(shard, run, client, tool):
    made = shard(("in/0", lines("a", "b")))
    tool.on_poll = lambda: os.kill(os.getpid(), signal.SIGUSR1)
    store = MortalStore(client, 100)
    assert run(made, using=store, AWS_BATCH_JOB_ATTEMPT="2") == 1
    assert [key.split("/")[-1] for key in store.written] == [
        "poses.gz.0",
        "scores.gz.0",
        "00000.0.json",
    ]
    (record,) = made.part_records()
    assert (record.progress, record.why, record.attempt) == (1, "SIGUSR1", 2)


def test_no_record_without_progress(shard, run, tool):
    made = shard(("in/0", lines("a", "b")))
    tool.on_poll = lambda: os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(2):
        assert run(made) == 1
    assert [record.progress for record in made.part_records()] == [1, 2]
    assert [record.parent for record in made.part_records()] == [None, 0]
    # Everything is finished; what is missing is the marker alone.
    assert run(made) in (0, 1)
    tool.on_poll = lambda: None
    assert run(made) == 0
    assert len(made.part_records()) == 2
    assert [part.part for part in made.marker("00000-00000.done")[0].chain] == [0, 1]


def test_a_stop_before_any_progress_leaves_nothing(shard, run, client, tool):
    made = shard(("in/0", lines("a", "slow")))
    tool.patience = False
    polls = itertools.count(1)
    tool.on_poll = lambda: next(polls) == 3 and os.kill(os.getpid(), signal.SIGTERM)
    assert run(made) == 1
    assert [record.progress for record in made.part_records()] == [1]
    tool.on_poll = lambda: os.kill(os.getpid(), signal.SIGTERM)
    store = MortalStore(client, 0)
    assert run(made, using=store) == 1
    tool.on_poll, tool.patience = (lambda: None), True
    assert run(made) == 0
    assert whole(made) == [(0, "a"), (0, "slow")]


def test_a_number_that_somebody_else_claimed_is_left_alone(shard, run, tool, store):
    made = shard(("in/0", lines("a")))
    folder = made.keys.input_folder(0, 0)
    for number in (0, 1):
        store.put(DATA, f"{folder}poses.gz.{number}", b"another attempt's")
    store.put(DATA, f"{folder}scores.gz.2", b"another attempt's")
    assert run(made) == 0
    assert [part.part for part in made.marker("00000-00000.done")[0].chain] == [3]
    assert store.get(DATA, f"{folder}poses.gz.0").body == b"another attempt's"
    assert store.get(DATA, f"{folder}scores.gz.2").body == b"another attempt's"


def test_parts_of_another_version_of_the_input_do_not_count(shard, run, tool, store):
    made = shard(("in/0", lines("a", "b")))
    tool.on_poll = lambda: os.kill(os.getpid(), signal.SIGTERM)
    assert run(made) == 1
    tool.on_poll = lambda: None
    # The manifest is made anew over the changed input.
    made.inputs = [("in/0", lines("x", "y"))]
    made.__post_init__()
    assert run(made) == 0
    assert whole(made) == [(0, "x"), (0, "y")]


def test_a_strange_part_record_is_passed_over(shard, run, tool, store):
    made = shard(("in/0", lines("a", "b")))
    folder = made.keys.parts_folder(0)
    for name, body in (("00000.0.json", b"{"), ("00000.x.json", b""), ("other", b"")):
        store.put(DATA, folder + name, body)
    assert run(made) == 0
    assert whole(made) == [(0, "a"), (0, "b")]


def test_a_failed_marker_of_an_earlier_epoch_does_not_settle(shard, run, tool):
    made = shard(("in/0", b""))
    assert run(made) == 0
    made.inputs = [("in/0", lines("a"))]
    made.epoch = 2
    made.__post_init__()
    assert run(made) == 0
    assert whole(made) == [(0, "a")]
    assert "00000.1.bad_input.failed" in made.markers()


def test_an_empty_marker_settles_nothing(shard, run, tool, store):
    made = shard(("in/0", lines("a")), ("in/1", lines("b")), inputs_per_job=2)
    store.put(DATA, made.keys.done_marker(0, 0, 0), b"")
    assert run(made) == 0
    assert "00000-00001.done" in made.markers()


@pytest.mark.parametrize(
    "body", [b"", b'{"place":0', encode_skipped(0, 1)], ids=["empty", "cut", "another kind"]
)
@pytest.mark.parametrize(
    ("name", "line"), [("00000-00000.done", "a"), ("00000.1.bad_input.failed", None)]
)
def test_what_lies_where_a_marker_must_go_is_not_believed_to_be_one(
    shard, run, tool, store, body, name, line
):
    """The child is to be tried again; whoever removes the object lets it go on."""
    made = shard(("in/0", b"" if line is None else lines(line)))
    key = made.keys.markers_folder(0) + name

    def open_late(*given, plain=tool.open):
        store.put(DATA, key, body)
        return plain(*given)

    tool.open = open_late
    assert run(made) == 1
    assert store.get(DATA, key).body == body
    del tool.open
    store.delete(DATA, key)
    assert run(made) == 0
    assert made.markers() == [name]


def test_a_whole_marker_of_another_attempt_is_believed(shard, run, tool, store):
    made = shard(("in/0", lines("a")))
    assert run(made) == 0
    key = made.keys.done_marker(0, 0, 0)
    whole_marker = store.get(DATA, key)
    store.delete(DATA, key)

    def open_late(*given, plain=tool.open):
        store.put(DATA, key, whole_marker.body)
        return plain(*given)

    tool.open = open_late
    assert run(made) == 0
    assert store.get(DATA, key).body == whole_marker.body


def test_a_marker_that_goes_while_it_is_read_gives_room(shard, run, client, tool):
    made = shard(("in/0", lines("a")))
    key = made.keys.done_marker(0, 0, 0)

    class Clearing(MortalStore):
        def get(self, bucket, wanted, **how):
            if wanted == key:
                self.delete(bucket, key)
            return super().get(bucket, wanted, **how)

    store = Clearing(client, 100)
    store.put(DATA, key, b"")
    assert run(made, using=store) == 0
    assert whole(made) == [(0, "a")]


def test_markers_name_the_attempts_of_an_inputs_parts(shard, run, tool):
    made = shard(("in/0", lines("a", "b", "c")), ("in/1", b""), inputs_per_job=2)
    tool.on_poll = lambda: os.kill(os.getpid(), signal.SIGTERM)
    assert run(made) == 1
    tool.on_poll = lambda: None
    assert run(made, AWS_BATCH_JOB_ATTEMPT="2") == 0
    (summary,) = made.marker("00000-00000.done")
    assert (summary.job_id, summary.attempt) == ("job:0", 2)
    assert [(part.job_id, part.attempt) for part in summary.chain] == [("job:0", 1), ("job:0", 2)]
    assert summary.seconds == round(sum(part.seconds for part in summary.chain), 3)
    failure = made.marker("00001.1.bad_input.failed")
    assert (failure.job_id, failure.attempt) == ("job:0", 2)


def test_a_part_from_which_the_tool_cannot_go_on_gives_way_to_an_earlier_one(
    shard, run, tool, eager, monkeypatch
):
    made = shard(("in/0", lines("a", "b", "c")), checkpoint_seconds=1)
    polls = itertools.count(1)
    tool.on_poll = lambda: next(polls) == 2 and os.kill(os.getpid(), signal.SIGTERM)
    assert run(made) == 1
    assert [record.progress for record in made.part_records()] == [1, 2]
    tool.on_poll = lambda: None
    opened, plain = [], tool.open

    def particular(fetched, folder, resume):
        opened.append(resume.progress)
        if resume.progress == 2:
            raise RestartUnusable("it is cut")
        return plain(fetched, folder, resume)

    monkeypatch.setattr(tool, "open", particular)
    assert run(made) == 0
    assert opened == [2, 1]
    assert whole(made) == [(0, "a"), (0, "b"), (0, "c")]
    assert [part.part for part in made.marker("00000-00000.done")[0].chain] == [0, 2, 3]


@pytest.mark.parametrize("harm", ["overwritten", "removed"])
def test_a_part_whose_output_was_harmed_is_not_continued(shard, run, tool, client, harm):
    made = shard(("in/a", lines("a", "slow", "c")))
    tool.patience = False
    tool.on_poll = lambda: os.kill(os.getpid(), signal.SIGTERM)
    assert run(made) == 1
    tool.patience = True
    tool.on_poll = lambda: None
    key = f"{made.keys.input_folder(0, 0)}poses.gz.0"
    if harm == "removed":
        client.delete_object(Bucket=DATA, Key=key)
    else:
        client.put_object(Bucket=DATA, Key=key, Body=b"harmed")
    assert run(made) == 0
    assert whole(made) == [(0, "a"), (0, "slow"), (0, "c")]
    (summary,) = made.marker("00000-00000.done")
    for output in (output for part in summary.chain for output in part.outputs):
        found = client.head_object(Bucket=DATA, Key=output.key)
        assert (found["ETag"].strip('"'), found["ContentLength"]) == (output.etag, output.size)
