"""AggregateShard: what is not whole is not believed, and goes."""

import contextlib
import json

import pytest

from drydock.keys import RunKeys
from drydock.resubmission import resubmit_interrupted
from tests.steps.aggregating import WHOLE, finish
from tests.steps.stand_ins import Killed
from tests.steps.world import DATA


def test_a_cut_marker_is_voided_and_its_input_remains(world, run_id, job):
    finish(world, job)
    key = RunKeys(run_id, "out/").done_marker(0, 1, 1)
    world.put(DATA, key, world.get(DATA, key)[:-3])
    assert world.aggregate(run_id) == {"status": "remains", "cursor": None}
    assert world.detect(run_id)["remains"] == 1
    assert world.shard(run_id).voided == ("00001-00001.done",)
    world.submit(run_id, token="again")
    (again,) = world.batch.live()
    finish(world, again)
    assert world.executions.answers["again"] == [{"ended": "complete"}]
    assert world.aggregate(run_id) == WHOLE
    accounts = world.json(DATA, "out/results/shards/000000/accounts.json")["accounts"]
    assert (accounts["effort"]["rounds"], accounts["voided_markers"]) == (2, 1)


@pytest.mark.parametrize("damage", ["gone", "another size", "another body"])
def test_a_marker_whose_output_is_not_what_it_says_is_voided(world, run_id, job, damage):
    finish(world, job)
    key = RunKeys(run_id, "out/").input_folder(0, 2) + "poses.pdbqt.gz.0"
    body = world.get(DATA, key)
    if damage == "gone":
        world.remove(DATA, key)
    else:
        world.put(DATA, key, body + b"x" if damage == "another size" else bytes(len(body)))
    assert world.aggregate(run_id)["status"] == "remains"
    assert world.detect(run_id) == {"remains": 1, "done": 3, "failed": 0, "skipped": 0}


def test_a_marker_that_names_outputs_elsewhere_is_voided(world, run_id, job):
    finish(world, job)
    key = RunKeys(run_id, "out/").done_marker(0, 1, 1)
    summary = json.loads(world.get(DATA, key).splitlines()[0])
    for output in summary["chain"][0]["outputs"]:
        elsewhere = "elsewhere/" + output["key"]
        world.put(DATA, elsewhere, world.get(DATA, output["key"]))
        output["key"] = elsewhere
    world.put(DATA, key, json.dumps(summary).encode() + b'\n{"end": 1}\n')
    assert world.aggregate(run_id)["status"] == "remains"


@pytest.mark.parametrize(
    "content",
    [
        b'{"place":1}\n{"end": 1}\n',
        (
            b'{"place":1,"index":1,"input_etag":"e","chain":[],"molecules":"many",'
            b'"failed_molecules":0,"seconds":1}\n{"end": 1}\n'
        ),
        b"\xff\xfe\n",
        b"[]\n",
    ],
)
def test_a_marker_of_another_form_is_voided(world, run_id, job, content):
    finish(world, job)
    world.put(DATA, RunKeys(run_id, "out/").done_marker(0, 1, 1), content)
    assert world.aggregate(run_id)["status"] == "remains"
    assert world.detect(run_id)["remains"] == 1


def test_a_whole_marker_below_a_voided_one_speaks_next(world, run_id, job):
    finish(world, job)
    keys = RunKeys(run_id, "out/")
    world.put(DATA, keys.done_marker(0, 0, 1), b"cut")
    assert world.aggregate(run_id)["status"] == "remains"
    assert world.detect(run_id)["remains"] == 0
    assert world.aggregate(run_id) == WHOLE


def test_a_marker_that_another_writes_meanwhile_is_not_removed(world, run_id, job):
    finish(world, job)
    key = RunKeys(run_id, "out/").done_marker(0, 1, 1)
    whole = world.get(DATA, key)
    world.put(DATA, key, b"cut")

    def mend(name):
        if name.endswith("/shards/000000.json"):
            world.put(DATA, key, whole)

    world.store.before_put = mend
    assert world.aggregate(run_id)["status"] == "remains"
    world.store.before_put = None
    assert world.get(DATA, key) == whole
    assert world.aggregate(run_id) == WHOLE


def test_voiding_is_recorded_whenever_it_is_cut_short(world, run_id, job):
    finish(world, job)
    keys = [RunKeys(run_id, "out/").done_marker(0, place, place) for place in (1, 2)]
    for key in keys:
        world.put(DATA, key, b"cut")
    for _ in range(3):
        for at in range(3):
            world.faults.arm(at)
            with contextlib.suppress(Killed):
                world.aggregate(run_id)
    world.faults.arm(None)
    assert world.aggregate(run_id) == {"status": "remains", "cursor": None}
    assert sorted(world.shard(run_id).voided) == ["00001-00001.done", "00002-00002.done"]
    assert world.detect(run_id)["remains"] == 2


def test_work_that_is_never_whole_does_not_go_on_for_ever(world):
    """Somebody rewrites the outputs, whatever is done: that ends as inputs that remain."""
    world.inputs(2)
    run_id = world.start(max_rounds=3)
    for turn in range(20):
        world.submit(run_id, token=f"token-{turn}")
        for job in world.batch.live():
            world.work(job)
            for place in range(2):
                key = RunKeys(run_id, "out/").input_folder(0, place) + "poses.pdbqt.gz.0"
                world.put(DATA, key, b"rewritten")
            resubmit_interrupted(world.services, world.ended(job))
        answer = world.aggregate(run_id)
        if answer["status"] == "aggregated":
            break
    assert (answer["done"], answer["remaining"]) == (0, 2)
    assert len(world.batch.jobs) == 3
    assert world.executions.answers[f"token-{turn}"] == [{"ended": "exhausted"}]


def test_a_duplicate_whose_marker_was_damaged_is_skipped_again_and_not_worked_on(world):
    lines = "".join(f"s3://{DATA}/x/{name}\n" for name in ("a", "b", "a", "a"))
    world.put(DATA, "list.txt", lines.encode())
    run_id = world.start(input=f"s3://{DATA}/list.txt")
    world.submit(run_id)
    (job,) = world.batch.live()
    finish(world, job)
    keys = RunKeys(run_id, "out/")
    world.put(DATA, keys.skipped_marker(0, 2), b"cut")
    world.put(DATA, keys.skipped_marker(0, 1), b"stray")
    assert world.aggregate(run_id)["status"] == "remains"
    assert world.detect(run_id) == {"remains": 0, "done": 2, "failed": 0, "skipped": 2}
    assert world.aggregate(run_id) == WHOLE | {"done": 2, "skipped": 2}


def test_a_duplicate_whose_marker_was_damaged_never_remains_whoever_dies(world):
    world.put(DATA, "list.txt", f"s3://{DATA}/x/a\ns3://{DATA}/x/a\n".encode())
    run_id = world.start(input=f"s3://{DATA}/list.txt")
    world.submit(run_id)
    (job,) = world.batch.live()
    finish(world, job)
    keys = RunKeys(run_id, "out/")
    for at in range(20):
        world.put(DATA, keys.skipped_marker(0, 1), b"cut %d" % at)
        world.faults.arm(at)
        with contextlib.suppress(Killed):
            world.aggregate(run_id)
        assert world.detect(run_id)["remains"] == 0, world.faults.names
        if len(world.faults.names) <= at:
            break
    world.faults.arm(None)
    assert world.aggregate(run_id)["status"] == "aggregated"


@pytest.mark.parametrize("name", ["00001-00001.done", "00000-00003.done", "00002.1.tool.failed"])
def test_an_empty_object_where_a_marker_must_go_is_removed_before_anything_is_submitted(
    world, run_id, name
):
    key = RunKeys(run_id, "out/").markers_folder(0) + name
    world.put(DATA, key, b"")
    world.submit(run_id)
    assert world.executions.answers["token"] == [{"ended": "blocked"}]
    assert world.batch.jobs == {}
    assert world.aggregate(run_id) == {"status": "remains", "cursor": None}
    assert world.shard(run_id).voided == (name,)
    world.submit(run_id, token="again")
    (job,) = world.batch.live()
    finish(world, job)
    assert world.aggregate(run_id) == WHOLE


def test_what_came_in_the_way_of_a_running_round_goes_before_the_next(world, run_id, job):
    keys = RunKeys(run_id, "out/")
    world.work(job, children=[0, 2, 3])
    world.put(DATA, keys.done_marker(0, 1, 1), b"")
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    assert world.executions.answers["token"] == [{"ended": "blocked"}]
    assert world.aggregate(run_id)["status"] == "remains"
    world.submit(run_id, token="again")
    (again,) = world.batch.live()
    assert again.request.jobs == 1
    finish(world, again)
    assert world.aggregate(run_id) == WHOLE


def test_removing_what_is_in_the_way_may_die_anywhere(world):
    world.inputs(4)
    run_id = world.start(max_rounds=100)
    keys = RunKeys(run_id, "out/")
    for at in range(40):
        world.put(DATA, keys.done_marker(0, 1, 1), b"")
        world.faults.arm(at)
        with contextlib.suppress(Killed):
            world.submit(run_id, token=f"token-{at}")
            world.aggregate(run_id)
        if len(world.faults.names) <= at:
            break
    world.faults.arm(None)
    assert 3 < at < 40
    for turn in range(3):
        world.submit(run_id, token=f"again-{turn}")
        if world.batch.live():
            break
        assert world.aggregate(run_id)["status"] == "remains"
    (job,) = world.batch.live()
    finish(world, job)
    assert world.aggregate(run_id) == WHOLE


def test_what_was_in_the_way_and_went_of_itself_blocks_no_longer(world, run_id):
    key = RunKeys(run_id, "out/").done_marker(0, 1, 1)
    world.put(DATA, key, b"")
    world.submit(run_id)
    world.remove(DATA, key)
    assert world.aggregate(run_id)["status"] == "remains"
    world.submit(run_id, token="again")
    (job,) = world.batch.live()
    finish(world, job)
    assert world.aggregate(run_id) == WHOLE


def test_an_empty_marker_of_a_duplicate_is_written_again_and_is_no_work(world):
    lines = "".join(f"s3://{DATA}/x/{name}\n" for name in ("a", "b", "a"))
    world.put(DATA, "list.txt", lines.encode())
    run_id = world.start(input=f"s3://{DATA}/list.txt")
    world.put(DATA, RunKeys(run_id, "out/").skipped_marker(0, 2), b"")
    world.submit(run_id)
    assert world.executions.answers["token"] == [{"ended": "blocked"}]
    assert world.aggregate(run_id)["status"] == "remains"
    assert world.detect(run_id) == {"remains": 2, "done": 0, "failed": 0, "skipped": 1}


def test_strange_objects_among_the_markers_are_counted_and_count_as_nothing(world, run_id, job):
    finish(world, job)
    folder = RunKeys(run_id, "out/").markers_folder(0)
    for name in ("notes.txt", "00001.done", "00009-00009.done", "00002.skipped.bak"):
        world.put(DATA, folder + name)
    world.put(DATA, folder + "00003.skipped", b"")
    assert world.aggregate(run_id) == WHOLE
    accounts = world.json(DATA, "out/results/shards/000000/accounts.json")["accounts"]
    assert accounts["strange_markers"] == 5
