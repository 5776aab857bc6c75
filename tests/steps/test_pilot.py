"""The pilot's shard, its verdict and its stop."""

import json

import pytest

from drydock.errors import RunSuperseded
from drydock.judging import judge_pilot
from drydock.merging import merge_results
from drydock.resubmission import resubmit_interrupted
from drydock.run_document import Stop, put_stop
from tests.steps.world import CONTROL, DATA, EXECUTION

ITEMS = {"phase": "pilot", "key": "out/manifest/pilot.json", "verdict": None}


def started(world, execution="one", **changes):
    return world.enumerate(world.request(pilot=2, **changes), execution)


def judge(world, run_id):
    return judge_pilot(world.services, run_id, world.owner(run_id))


def play(world, run_id, fail=None, token="token"):
    """The pilot's shard, to its end; what of it is not done or failed remains."""
    world.submit(run_id, token=token)
    (job,) = world.batch.live()
    world.work(job, fail=fail)
    resubmit_interrupted(world.services, world.ended(job))
    world.aggregate(run_id)


@pytest.fixture
def run_id(world):
    world.inputs(9)
    return started(world)["run_id"]


def test_the_pilot_is_the_first_shard_and_the_others_go_on_behind_it(world):
    world.inputs(9)
    answer = started(world)
    assert answer["items"] == ITEMS
    shards = world.json(DATA, "out/manifest/shards.json")
    assert [item["inputs"] for item in shards] == [2, 4, 3]
    assert world.json(DATA, "out/manifest/pilot.json") == shards[:1]
    found = [record for shard in range(3) for record in world.records(answer["run_id"], shard)]
    assert [record.index for record in found] == list(range(9))
    assert [record.place for record in found] == [0, 1, 0, 1, 2, 3, 0, 1, 2]


@pytest.mark.parametrize("inputs", [1, 2])
def test_a_run_no_larger_than_its_pilot_is_the_pilot(world, inputs):
    world.inputs(inputs)
    run_id = started(world)["run_id"]
    assert world.json(DATA, "out/manifest/shards.json") == [{"shard": 0, "inputs": inputs}]
    play(world, run_id)
    verdict = judge(world, run_id)["verdict"]
    assert (verdict["usd"]["likely"], verdict["stop"]) == (0, None)


@pytest.mark.parametrize("pilot", [4, 5, 10_000])
def test_a_pilot_is_no_larger_than_a_shard(world, pilot):
    world.inputs(9)
    world.enumerate(world.request(pilot=pilot))
    assert [item["inputs"] for item in world.json(DATA, "out/manifest/shards.json")] == [4, 4, 1]


@pytest.mark.parametrize("time_for", range(4))
def test_an_enumeration_that_is_cut_short_cuts_the_same_shards(world, time_for):
    world.inputs(9)
    looks = iter([900.0] * time_for)
    answer = world.enumerate(world.request(pilot=2), remaining_s=lambda: next(looks, 0.0))
    while answer["status"] == "more":
        answer = world.enumerate(None, cursor=answer["cursor"], remaining_s=lambda: 0.0)
    assert answer["items"] == ITEMS
    assert [item["inputs"] for item in world.json(DATA, "out/manifest/shards.json")] == [2, 4, 3]
    found = [record for shard in range(3) for record in world.records(answer["run_id"], shard)]
    assert [record.index for record in found] == list(range(9))


def test_a_list_and_its_duplicates_are_cut_the_same_way(world):
    world.inputs(5)
    uris = [f"s3://{DATA}/input/{n:03d}.pdbqt" for n in (0, 1, 2, 0, 3, 4, 1)]
    world.put(DATA, "list.txt", "\n".join(uris).encode())
    run_id = started(world, input=f"s3://{DATA}/list.txt")["run_id"]
    found = [record for shard in range(3) for record in world.records(run_id, shard)]
    assert [record.index for record in found] == list(range(7))
    assert [record.duplicate_of for record in found] == [None, None, None, 0, None, None, 1]
    assert world.detect(run_id, 1)["skipped"] == 1


def test_a_pilot_that_goes_well_lets_the_run_go_on_and_its_verdict_is_kept(world, run_id):
    play(world, run_id)
    answer = judge(world, run_id)
    assert (answer["phase"], answer["key"]) == ("shards", "out/manifest/shards.json")
    assert (answer["verdict"]["done"], answer["verdict"]["seconds_per_input"]) == (2, 1.5)
    assert answer["verdict"]["vcpu_hours"]["likely"] == pytest.approx(7 * 1.5 / 3600, abs=1e-4)
    kept = world.json(DATA, "out/results/pilot.json")
    assert kept == {"run_id": run_id, "epoch": 1, **json.loads(json.dumps(answer["verdict"]))}
    assert world.run(run_id).stop is None


def test_a_pilot_that_fails_stops_the_run_by_name(world):
    world.inputs(9)
    run_id = world.enumerate(world.request(pilot=4))["run_id"]
    play(world, run_id, fail=dict.fromkeys(range(3), "bad_input"))
    for _ in range(2):
        answer = judge(world, run_id)
        assert answer["phase"] == "stopped"
    text = answer["verdict"]["stop"]
    assert "of 4 3 failed" in text
    assert world.run(run_id).active_stop.reason == "pilot"
    assert world.told() == [("drydock stopped a-run", text)]
    ended = merge_results(world.services, run_id, world.owner(run_id))
    assert (ended["error"], ended["accounting"]["remaining"]) == ("RunStopped", 5)
    assert text in ended["cause"]


def test_inputs_that_the_pilot_could_not_settle_count_as_bad_ones(world):
    world.inputs(9)
    run_id = world.enumerate(world.request(pilot=4, max_rounds=1))["run_id"]
    world.submit(run_id)
    (job,) = world.batch.live()
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    world.aggregate(run_id)
    answer = judge(world, run_id)
    assert (answer["phase"], answer["verdict"]["remaining"]) == ("stopped", 4)


def test_a_raised_cap_lets_the_next_epoch_go_on_without_another_pilot(world):
    world.inputs(9)
    run_id = started(world, stop_after_usd=0.00005)["run_id"]
    play(world, run_id)
    answer = judge(world, run_id)
    assert (answer["phase"], answer["verdict"]["done"]) == ("stopped", 2)
    assert "stop_after_usd, which is 5e-05" in answer["verdict"]["stop"]
    world.executions.running.clear()
    assert started(world, "two", stop_after_usd=10.0)["items"] == ITEMS
    assert world.detect(run_id)["remains"] == 0
    assert world.aggregate(run_id)["status"] == "aggregated"
    assert judge(world, run_id)["phase"] == "shards"
    assert world.batch.live() == []


def test_what_an_earlier_epoch_settled_is_not_projected_again(world, run_id):
    play(world, run_id)
    before = judge(world, run_id)["verdict"]["vcpu_hours"]["likely"]
    world.submit(run_id, 1, "others")
    (job,) = world.batch.live()
    world.work(job)
    resubmit_interrupted(world.services, world.ended(job))
    after = judge(world, run_id)["verdict"]["vcpu_hours"]["likely"]
    assert after == pytest.approx(before * 3 / 7, rel=0.1)


def test_a_stop_during_the_pilot_keeps_its_reason_and_skips_the_others(world, run_id):
    play(world, run_id)
    stop = Stop(1, "user", "enough")
    world.documents.change_run(run_id, lambda run: put_stop(run, stop))
    answer = judge(world, run_id)
    assert (answer["phase"], answer["verdict"]["stop"]) == ("stopped", "enough")
    assert world.run(run_id).stop == stop


def test_an_outcome_that_is_gone_is_read_from_the_markers(world, run_id):
    play(world, run_id)
    before = judge(world, run_id)
    world.remove(CONTROL, world.shard(run_id).frozen.key)
    assert judge(world, run_id) == before


def test_another_pilot_of_a_later_epoch_changes_nothing_and_is_told(world, run_id):
    world.executions.running.clear()
    answer = world.enumerate(world.request(pilot=3), "two")
    told = "pilot: 3 was given: the run began with 2, which stays"
    assert answer["warnings"] == [told]
    assert world.told() == [("drydock warns: a-run", told)]
    assert answer["items"] == ITEMS


def test_an_execution_that_lost_its_run_judges_nothing(world, run_id):
    with pytest.raises(RunSuperseded):
        judge_pilot(world.services, run_id, EXECUTION + "other")
