"""How far a run is, read from what lies in S3 and from what AWS says."""

from collections import Counter
from dataclasses import replace

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from cli.look import Doors, RunNotFound, find_run, look
from cli.progress import ShardProgress
from drydock.errors import Malformed
from drydock.executions import Executions
from drydock.keys import RunKeys
from drydock.stopping import stop_run
from tests.cli.conftest import STACK
from tests.steps.merged import settle
from tests.steps.world import DATA, EXECUTION, World


def requests_of(world, do):
    """What a function gives, and how often it asked S3."""
    asked = []
    world.s3.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
    try:
        return do(), asked
    finally:
        world.s3.meta.events.unregister("before-call.s3")


def test_a_run_goes_by_its_id_its_output_and_its_execution(world, doors):
    world.inputs(2)
    run_id = world.start("one")
    assert find_run(doors, run_id) == run_id
    assert find_run(doors, f"s3://{DATA}/out/") == run_id
    assert find_run(doors, f"s3://{DATA}/out") == run_id
    assert find_run(doors, EXECUTION + "one") == run_id


@pytest.mark.parametrize("given", ["nobody", f"s3://{DATA}/elsewhere/", "arn:aws:states:x"])
def test_what_is_no_run_is_said_with_what_would_be_one(doors, given):
    with pytest.raises(RunNotFound, match="16 hex digits"):
        find_run(doors, given)


@pytest.mark.parametrize(
    "card", [b"{", b"[]", b'{"run_id": 7}', b'{"run_id": "../../owners/x"}', b'{"run_id": null}']
)
def test_a_card_that_was_not_written_by_a_run_names_none(world, doors, card):
    world.put(DATA, "theirs/run.json", card)
    with pytest.raises(RunNotFound, match="16 hex digits"):
        find_run(doors, f"s3://{DATA}/theirs/")


@pytest.mark.parametrize("shards", [b"{", b"7", b"[{}]", b'[{"shard": [], "inputs": 1}]'])
def test_a_list_of_shards_that_is_none_is_named(world, doors, shards):
    world.inputs(1)
    run_id = world.start()
    world.put(DATA, RunKeys(run_id, "out/").shards(), shards)
    with pytest.raises(Malformed, match=r"out/manifest/shards.json lists no shards"):
        look(doors, run_id)


def test_accounts_that_are_none_say_nothing_of_the_end(world, doors):
    world.inputs(1)
    run_id = world.start()
    world.executions.running.clear()
    world.put(DATA, "out/results/accounting.json", b"[1]")
    assert look(doors, run_id).status == "UNKNOWN"


def test_an_unknown_id_is_no_run(doors):
    with pytest.raises(RunNotFound, match="knows no run 0123456789abcdef"):
        look(doors, "0123456789abcdef")


def test_a_run_without_manifest_has_no_shards_yet(world, doors):
    world.inputs(9)
    answer = world.enumerate(world.request(), remaining_s=lambda: 0.0)
    found = look(doors, answer["run_id"])
    assert (found.whole, found.shards, found.left_s) == (False, [], None)


def test_what_is_settled_runs_and_remains(world, doors):
    world.inputs(10)
    run_id = world.start()
    world.submit(run_id)
    (job,) = world.batch.live()
    world.work(job, [0, 1], fail={1: "bad_input"})
    job.running = 2
    world.time += 3600
    found = look(doors, run_id)
    assert found.status == "RUNNING"
    assert found.states == {"running": 1, "not begun": 2}
    assert [found.total(name) for name in ("inputs", "done", "failed", "remaining", "running")] == [
        10,
        1,
        1,
        8,
        2,
    ]
    assert found.failures == {"bad_input": 1}
    # Two of them in the hour that the shard has been worked on: eight more take four.
    assert found.settled_an_hour == pytest.approx(2.0)
    assert found.left_s == pytest.approx(4 * 3600)


def test_a_shard_between_rounds_waits(world, doors):
    world.inputs(4)
    run_id = world.start()
    world.submit(run_id)
    (job,) = world.batch.live()
    world.batch.end(job.job_id, "FAILED", "Array Child Job failed")
    world.submit(run_id, token="another")
    (shard,) = look(doors, run_id).shards
    assert (shard.state, shard.not_before is not None) == ("waiting", True)


def test_a_complete_shard_costs_one_request_and_others_a_few(world, doors):
    world.inputs(12)
    run_id = world.start()
    for shard in (0, 1):
        world.submit(run_id, shard, f"token {shard}")
    for job in world.batch.live():
        world.work(job)
        world.batch.end(job.job_id)
    for shard in (0, 1):
        world.submit(run_id, shard, f"again {shard}")
        world.aggregate(run_id, shard)
    found, asked = requests_of(world, lambda: look(doors, run_id))
    assert found.states == {"complete": 2, "not begun": 1}
    # The run, its shards, two accounts; of the third shard: no accounts, markers, document.
    assert sorted(asked) == ["GetObject"] * 6 + ["ListObjectsV2"]


def test_a_shard_of_ten_thousand_inputs_costs_ten_lists_and_two_documents():
    world = World(SHARD_SIZE="10000")
    doors = Doors(STACK, world.store, world.batch, world.executions, lambda: world.time)
    uris = "".join(f"s3://{DATA}/input/{number:05d}.pdbqt\n" for number in range(10_000))
    world.put(DATA, "list.txt", uris.encode())
    run_id = world.start(input=f"s3://{DATA}/list.txt")
    world.submit(run_id)
    (job,) = world.batch.live()
    job.running = 100
    keys = RunKeys(run_id, "out/")
    # All but one, half of them failed: 9,999 markers.
    for place in range(9_999):
        name = keys.done_marker(0, place, place)
        if place % 2:
            name = keys.failed_marker(0, place, 1, "bad_input")
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(DATA, name, b"x")
    world.batch.reads.clear()
    found, asked = requests_of(world, lambda: look(doors, run_id))
    assert (found.total("done"), found.failures) == (5_000, {"bad_input": 4_999})
    assert (found.total("remaining"), found.total("running")) == (1, 100)
    # The run and its shards; of the shard its accounts, which are not there, and its document.
    assert Counter(asked) == {"ListObjectsV2": 10, "GetObject": 4}
    assert len(world.batch.reads) <= 1


def test_what_retry_failed_opened_again_remains(world, doors):
    world.inputs(4)
    run_id = world.start()
    world.submit(run_id)
    (job,) = world.batch.live()
    world.work(job, fail={2: "bad_input"})
    world.batch.end(job.job_id)
    world.submit(run_id, token="again")
    world.aggregate(run_id)
    assert look(doors, run_id).total("remaining") == 0
    world.executions.running.clear()
    world.start("two", retry_failed=["bad_input"])
    assert look(doors, run_id).total("remaining") == 1


def test_a_stop_is_told_with_its_reason(world, doors):
    world.inputs(1)
    run_id = world.start()
    stop_run(world.services, {"run_id": run_id})
    assert look(doors, run_id).stop == "user: stopped by its user"


def test_a_failed_execution_is_told_by_its_error(world, doors, monkeypatch):
    world.inputs(1)
    run_id = world.start()
    monkeypatch.setattr(world.executions, "status", lambda _arn: "FAILED")
    world.executions.errors[f"{EXECUTION}one"] = "RunIncomplete"
    found = look(doors, run_id)
    assert (found.status, found.error) == ("FAILED", "RunIncomplete")


def test_a_failed_execution_that_is_forgotten_has_no_name_for_it(world, doors):
    world.inputs(1)
    run_id = world.start()
    world.put(DATA, "out/results/accounting.json", b'{"epoch": 1, "status": "incomplete"}')
    forgetful = replace(doors, executions=Executions())
    found = look(forgetful, run_id)
    assert (found.status, found.error) == ("FAILED", "")


def test_what_is_settled_while_it_is_looked_belongs_to_its_end(world, doors, monkeypatch):
    world.inputs(2)
    run_id = world.start()

    def ends(_arn):
        settle(world, run_id, 0)
        return "SUCCEEDED"

    monkeypatch.setattr(world.executions, "status", ends)
    found = look(doors, run_id)
    assert (found.status, found.total("remaining")) == ("SUCCEEDED", 0)


def test_spending_is_what_settled_inputs_took_at_least(world, doors):
    world.inputs(4)
    run_id = world.start(resources={"vcpus": 2})
    world.submit(run_id)
    (job,) = world.batch.live()
    world.work(job)
    world.batch.end(job.job_id)
    world.submit(run_id, token="again")
    world.aggregate(run_id)
    # Four inputs of 1.5 s on two vCPUs of 0.05 USD an hour.
    assert look(doors, run_id).spent_usd == pytest.approx(4 * 1.5 * 2 / 3600 * 0.05)


def test_what_is_done_in_other_shards_counts_in_proportion(world, doors):
    world.inputs(8)
    run_id = world.start()
    for shard in (0, 1):
        world.submit(run_id, shard, f"token {shard}")
    first, second = world.batch.live()
    world.work(first)
    world.work(second, [0, 1])
    assert look(doors, run_id).spent_usd is None
    world.batch.end(first.job_id)
    world.submit(run_id, token="again")
    world.aggregate(run_id)
    assert look(doors, run_id).spent_usd == pytest.approx(6 * 1.5 / 3600 * 0.05)


def test_nothing_tells_how_long_a_standstill_lasts():
    assert ShardProgress(0, 4).settled_a_second == 0.0
