"""Budgets: what runs spend is added up on a schedule, and ends them by name."""

import json
from threading import Barrier

import pytest

from drydock.errors import Malformed
from drydock.merging import merge_results
from drydock.resubmission import resubmit_interrupted
from drydock.spending import over_budget, spent_usd
from drydock.stopping import Ended, stop_run
from tests.steps.stand_ins import Killed
from tests.steps.world import CONTROL, DATA

CHECK = {"check": "budgets"}
# Four children of a vCPU each, a whole hour long.
HOUR_USD = 4 * 0.05


def check(world, after_s=0.0):
    world.time += after_s
    return stop_run(world.services, CHECK)


def begun(world, execution="one", token="token", **changes):
    run_id = world.start(execution, **changes)
    world.submit(run_id, token=token)
    (job,) = world.batch.live()
    job.running = 4
    check(world)
    return run_id, job


@pytest.fixture
def inputs(world):
    world.inputs(4)


@pytest.mark.usefixtures("inputs")
def test_a_run_below_its_budget_goes_on(world):
    run_id, job = begun(world, stop_after_usd=HOUR_USD)
    for _ in range(11):
        assert check(world, 300) == Ended()
    assert spent_usd(world.services, run_id) == pytest.approx(HOUR_USD * 11 / 12)
    assert world.run(run_id).stop is None
    assert job.cancelled == []


@pytest.mark.usefixtures("inputs")
def test_a_run_above_its_budget_is_stopped_once_and_what_runs_finishes(world):
    run_id, job = begun(world, stop_after_usd=HOUR_USD)
    for _ in range(12):
        check(world, 300)
    assert check(world, 300) == Ended(advanced=1)
    stop = world.run(run_id).active_stop
    assert (stop.reason, stop.now) == ("budget", False)
    assert stop.text == (
        "about 0.22 USD are spent, stop_after_usd is 0.2; the 4 vCPUs that run may cost up to "
        "0.80 USD more while they finish their inputs"
    )
    check(world, 300)
    assert world.told() == [("drydock stopped a-run", stop.text)]
    assert (job.cancelled, job.terminated) == (["drydock: stopped"], [])
    assert spent_usd(world.services, run_id) > HOUR_USD * 13 / 12
    world.work(job, children=[0, 1])
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    world.aggregate(run_id)
    ended = merge_results(world.services, run_id, world.owner(run_id))
    assert (ended["error"], ended["accounting"]["remaining"]) == ("RunStopped", 2)
    assert stop.text in ended["cause"]


@pytest.mark.usefixtures("inputs")
def test_looks_that_come_twice_or_at_once_count_once(world):
    run_id, _ = begun(world, stop_after_usd=1.0)
    check(world, 300)
    before = spent_usd(world.services, run_id)
    check(world)
    check(world)
    assert spent_usd(world.services, run_id) == before

    def overtake(key):
        if key.endswith("spend.json"):
            world.store.before_put = None
            check(world)

    world.store.before_put = overtake
    check(world, 300)
    assert spent_usd(world.services, run_id) == pytest.approx(2 * before)


@pytest.mark.usefixtures("inputs")
@pytest.mark.parametrize("fault", ["dies before", "dies after", "answers a conflict"])
def test_a_look_that_is_cut_short_is_made_good_by_the_next(world, fault):
    run_id, _ = begun(world, stop_after_usd=1.0)
    world.faults.arm(0, fault)
    try:
        check(world, 300)
    except Killed:
        world.faults.arm(None)
        check(world)
    assert spent_usd(world.services, run_id) == pytest.approx(HOUR_USD / 12)


@pytest.mark.usefixtures("inputs")
def test_looks_that_were_missed_count_when_the_next_one_comes(world):
    run_id, _ = begun(world, stop_after_usd=1.0)
    check(world, 1800)
    assert spent_usd(world.services, run_id) == pytest.approx(HOUR_USD / 2)


@pytest.mark.usefixtures("inputs")
def test_a_run_without_a_budget_is_not_looked_at(world):
    run_id, _ = begun(world)
    world.batch.reads.clear()
    assert check(world, 300) == Ended()
    assert world.batch.reads == []
    assert f"runs/{run_id}/spend.json" not in world.keys(CONTROL)


def test_a_hundred_arrays_are_one_read(world):
    world.inputs(12)
    run_id = world.start(stop_after_usd=1.0)
    for shard in range(3):
        world.submit(run_id, shard, f"token-{shard}")
    world.batch.reads.clear()
    check(world, 300)
    assert world.batch.reads == ["running"]


@pytest.mark.usefixtures("inputs")
def test_a_budget_is_for_all_epochs_and_a_higher_one_lets_the_next_go_on(world):
    run_id, job = begun(world, stop_after_usd=HOUR_USD)
    check(world, 3600)
    check(world, 3000)
    assert world.run(run_id).active_stop.reason == "budget"
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    world.executions.running.clear()
    _, again = begun(world, "two", token="two", stop_after_usd=HOUR_USD)
    assert again.cancelled == ["drydock: stopped"]
    resubmit_interrupted(world.services, world.ended(again, "FAILED"))
    world.executions.running.clear()
    world.start("three", stop_after_usd=10.0)
    world.submit(run_id, token="three")
    assert check(world, 300) == Ended()
    assert world.run(run_id).stop is None


def test_a_shard_has_spent_no_less_than_its_accounts_say(world):
    world.inputs(8)
    run_id = world.start(stop_after_usd=1.0, resources={"vcpus": 2})
    world.submit(run_id, 0, "first")
    (job,) = world.batch.live()
    check(world)
    world.submit(run_id, 1, "second")
    world.work(job)
    resubmit_interrupted(world.services, world.ended(job))
    world.aggregate(run_id)
    for _ in range(2):
        check(world)
        assert spent_usd(world.services, run_id) == pytest.approx(2 * 4 * 1.5 / 3600 * 0.05)


@pytest.mark.usefixtures("inputs")
def test_a_damaged_document_of_one_run_does_not_save_another(world):
    run_id, _ = begun(world, stop_after_usd=HOUR_USD)
    other = world.start("other", output=f"s3://{DATA}/other/", stop_after_usd=HOUR_USD)
    world.submit(other, token="other")
    check(world)
    first, second = sorted([run_id, other])
    world.put(CONTROL, f"runs/{first}/spend.json", b"{")
    for found in world.batch.live():
        found.running = 4
    for _ in range(13):
        with pytest.raises(Malformed):
            check(world, 3600)
    assert world.run(second).active_stop.reason == "budget"
    assert world.run(first).stop is None


@pytest.mark.usefixtures("inputs")
def test_who_sets_a_budget_is_told_by_how_much_it_may_be_exceeded(world):
    answer = world.enumerate(world.request(stop_after_usd=250))
    (told,) = answer["warnings"]
    assert told.startswith("stop_after_usd: 250 USD are looked at every 5 minutes; until then up")
    assert world.told() == []


def test_shards_are_looked_at_at_the_same_time(world, monkeypatch):
    world.inputs(12)
    run_id = world.start(stop_after_usd=1.0)
    for shard in range(3):
        world.submit(run_id, shard, f"token-{shard}")
    all_of_them, read = Barrier(3, timeout=20), type(world.store).get

    def together(store, bucket, key, **how):
        if key.startswith(f"runs/{run_id}/shards/"):
            all_of_them.wait()
        return read(store, bucket, key, **how)

    monkeypatch.setattr(type(world.store), "get", together)
    assert check(world, 300) == Ended()


def test_a_shard_that_an_earlier_epoch_froze_is_looked_at_once(world):
    world.inputs(8)
    run_id = world.start(stop_after_usd=1.0)
    world.submit(run_id, 0, "first")
    (job,) = world.batch.live()
    check(world)
    world.work(job)
    resubmit_interrupted(world.services, world.ended(job))
    world.aggregate(run_id)
    world.executions.running.clear()
    world.start("two", stop_after_usd=1.0)
    world.submit(run_id, 1, "second")
    check(world, 300)
    took = 4 * 1.5 / 3600 * 0.05
    assert spent_usd(world.services, run_id) == pytest.approx(took)
    world.remove(CONTROL, f"runs/{run_id}/shards/000000.json")
    check(world)
    assert f"runs/{run_id}/shards/000000.json" not in world.keys(CONTROL)


def test_what_another_run_left_in_the_prefix_is_not_this_ones(world):
    world.inputs(4)
    run_id = world.start(stop_after_usd=1.0)
    world.submit(run_id)
    (job,) = world.batch.live()
    check(world)
    world.work(job)
    resubmit_interrupted(world.services, world.ended(job))
    world.aggregate(run_id)
    key = "out/results/shards/000000/accounts.json"
    left = world.json(DATA, key)
    left["outcome"] = left["outcome"].replace(run_id, "0" * 15 + "f")
    left["accounts"]["seconds"] = 1e6
    world.put(DATA, key, json.dumps(left).encode())
    other = world.start("other", output=f"s3://{DATA}/other/")
    world.submit(other, token="other")
    over_budget(world.services, world.run(run_id), {0})
    assert spent_usd(world.services, run_id) == 0
