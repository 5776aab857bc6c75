"""EnumerateInputs: uploads, told once or twice, accepted or refused."""

import json

import pytest

from tests.steps.enumerating import refused, upload, uris
from tests.steps.world import DATA, EXECUTION, INTAKE, World


def test_an_upload_starts_a_run(world):
    world.inputs(1)
    assert world.enumerate(upload(world))["status"] == "ready"
    assert world.keys(INTAKE) == ["run.json"]


def test_the_same_upload_told_twice_starts_one_run(world):
    world.inputs(1)
    event = upload(world)
    first = world.enumerate(event, "one")
    again = world.enumerate(event, "two")
    assert (again["status"], again["duplicate_of"]) == ("duplicate", EXECUTION + "one")
    assert again.keys() == first.keys()
    assert world.run(first["run_id"]).epoch == 1
    assert world.enumerate(event, "one") == first


def test_another_upload_of_the_same_key_is_another_start(world):
    world.inputs(1)
    run_id = world.enumerate(upload(world), "one")["run_id"]
    world.executions.running.clear()
    again = world.enumerate(upload(world, sequencer="2"), "two")
    assert (again["run_id"], again["epoch"]) == (run_id, 2)


def test_a_refused_upload_is_told_beside_it_and_to_people(world):
    world.inputs(1)
    problems = refused(world, upload(world, tool="dock", name=""))
    told = world.json(INTAKE, "run.json.rejected.json")
    assert told == {"rejected": f"s3://{INTAKE}/run.json", "problems": problems}
    assert len(problems) == 2
    subject, text = world.told()[0]
    assert subject == "drydock refused run.json"
    assert text == "\n".join(problems)
    assert world.batch.jobs == {}
    assert world.keys(DATA, "out/") == []


def test_everything_wrong_is_told_at_once_what_only_aws_can_tell_too(world):
    request = world.request(
        name="",
        input=f"s3://{DATA}/nothing/here/",
        output="no uri",
        assets={"receptor": f"s3://{DATA}/gone.pdbqt", "other": 7},
        image="elsewhere/image:1",
        resources={"gpus": 2},
    )
    problems = refused(world, request)
    assert sorted(problem.partition(":")[0] for problem in problems) == [
        "assets.other",
        "assets.receptor",
        "image",
        "input",
        "name",
        "output",
        "resources.gpus",  # neither the tool
        "resources.gpus",  # nor the stack has a use for any
    ]


def test_an_upload_that_is_accepted_takes_back_what_was_refused(world):
    refused(world, upload(world, tool="dock"))
    world.inputs(1)
    assert world.enumerate(upload(world, sequencer="2"), "two")["status"] == "ready"
    assert world.keys(INTAKE) == ["run.json"]


@pytest.mark.parametrize("key", ["ligands.sdf", "run.yaml", "json", "a/b/", "run.JSON"])
def test_a_file_of_another_kind_is_told_beside_it(world, key):
    (problem,) = refused(world, world.upload(key, b"x"))
    assert ".json" in problem
    assert world.json(INTAKE, key + ".rejected.json")["problems"] == [problem]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"x"',
        b"null",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"x" * 300_000,
    ],
    ids=["empty", "cut", "binary", "list", "text", "null", "deep", "deeper", "large"],
)
def test_what_is_no_request_at_all_is_refused(world, body):
    problems = refused(world, world.upload("run.json", body))
    assert problems
    assert all(len(problem) < 400 for problem in problems)
    assert world.json(INTAKE, "run.json.rejected.json")["problems"] == problems


def test_an_upload_that_was_removed_is_refused(world):
    event = upload(world)
    world.remove(INTAKE, "run.json")
    assert "removed" in refused(world, event)[0]


def test_an_event_that_names_no_object_is_refused(world):
    assert refused(world, {"detail-type": "Object Created", "detail": {}})


def test_a_list_is_run_with_the_stack_s_default_request(world):
    default = world.request(output=f"s3://{DATA}/lists/")
    world = World(DEFAULT_REQUEST=json.dumps(default))
    event = world.upload("day/mine.txt", f"s3://{DATA}/x/a\n".encode())
    run_id = world.enumerate(event)["run_id"]
    run = world.run(run_id)
    assert run.current.request["name"] == "mine"
    assert run.output_prefix == "lists/mine/"
    assert uris(world, run_id) == ["a"]


@pytest.mark.parametrize("default", ["", "{", "[]", "7", '{"output": 3}'])
def test_a_list_without_a_whole_default_request_is_refused(default):
    world = World(DEFAULT_REQUEST=default)
    assert refused(world, world.upload("mine.txt", b"s3://drydock-data/x/a\n"))
