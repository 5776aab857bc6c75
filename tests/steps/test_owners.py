"""EnumerateInputs: whose prefix it is, what may change, and what is written where."""

import json

import pytest

from drydock.enumeration import enumerate_inputs
from drydock.errors import RequestRejected
from drydock.tasks import parse_tasks
from tests.steps.enumerating import refused, upload
from tests.steps.world import CONTROL, DATA, EXECUTION, INTAKE


def test_an_output_prefix_that_holds_another_run_is_refused_and_names_it(world):
    world.inputs(2)
    run_id = world.start()
    world.executions.running.clear()
    options = world.request()["options"] | {"seed": 9}
    (problem,) = refused(world, world.request(name="b", options=options), "two")
    assert f"it holds run 'a-run' ({run_id})" in problem
    assert '"seed": 1' in problem
    assert world.run(run_id).epoch == 1


def test_an_output_prefix_with_somebody_else_s_run_json_is_refused(world):
    world.inputs(1)
    for body in (b"{}", b"no JSON", b"[]", b'{"run_id": 1, "identity": 3, "name": "x"}'):
        world.put(DATA, "out/run.json", body)
        assert "not drydock's" in refused(world, world.request())[0]


def test_a_run_that_goes_on_is_refused_and_left_alone(world):
    world.inputs(1)
    run_id = world.start()
    event = upload(world)
    (problem,) = refused(world, event, "two")
    assert f"run {run_id} is RUNNING as {EXECUTION}one" in problem
    assert world.json(INTAKE, "run.json.rejected.json")["problems"] == [problem]
    assert world.owner(run_id) == EXECUTION + "one"


def test_of_two_that_open_a_run_at_once_one_owns_it(world):
    world.inputs(1)

    def overtake(key):
        if key.startswith("runs/") and key.endswith("/run.json"):
            world.store.before_put = None
            world.enumerate(world.request(), "two")

    world.store.before_put = overtake
    with pytest.raises(RequestRejected, match="RUNNING"):
        world.enumerate(world.request(), "one")


def test_what_may_change_does_and_is_kept_by_epoch(world):
    world.inputs(1)
    run_id = world.start()
    world.executions.running.clear()
    world.start("two", keep_top=7, retry_failed=["unreadable"], resources={"memory_mib": 4000})
    run = world.run(run_id)
    assert [epoch.request["keep_top"] for epoch in run.epochs] == [1000, 7]
    assert run.reopened == {"unreadable": 2}


def test_a_deleted_prefix_is_a_new_run(world):
    world.inputs(1)
    first = world.start()
    world.executions.running.clear()
    for key in world.keys(DATA, "out/"):
        world.remove(DATA, key)
    assert world.start("two") != first


def test_nothing_secret_is_written_anywhere(world):
    world.inputs(1)
    request = world.request(environment={"MY_PASSWORD": "hunter2"}, secrets={"token": "hunter2"})
    problems = refused(world, world.upload("run.json", json.dumps(request).encode()))
    told = (
        json.dumps([problems, world.told()]) + world.get(INTAKE, "run.json.rejected.json").decode()
    )
    assert "hunter2" not in told
    assert "MY_PASSWORD" in told


def test_claims_and_documents_lie_in_the_control_bucket(world):
    world.inputs(1)
    run_id = world.start()
    world.submit(run_id)
    folders = {key.partition("/")[0] for key in world.keys(CONTROL)}
    assert folders == {"owners", "runs", "tokens"}
    assert "token" not in "".join(world.keys(DATA))


def test_the_call_is_the_function_s(world):
    world.inputs(1)
    world.executions.running.add(EXECUTION + "one")
    answer = enumerate_inputs(
        world.services, world.request(), EXECUTION + "one", None, lambda: 900.0
    )
    assert len(parse_tasks(world.get(DATA, "out/manifest/000000.tasks"))) == 1
    assert answer["status"] == "ready"
