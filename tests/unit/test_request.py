"""The request: every field, every problem in one message, nothing secret told."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.errors import RequestRejected
from drydock.request import (
    MAX_ENVIRONMENT_CHARS,
    Request,
    parse_request,
    parse_request_text,
    request_schema,
)

MINIMAL = {
    "name": "a-run",
    "input": "s3://lab/input/",
    "output": "s3://lab/out",
    "tool": "vina",
    "options": {"center": [1, 2, 3], "size": [20, 20, 20]},
    "assets": {"receptor": "s3://lab/receptor.pdbqt"},
}
EVERYTHING = MINIMAL | {
    "options": {
        "center": [1.5, -2, 3],
        "size": [20, 22.5, 126],
        "scoring": "vinardo",
        "exhaustiveness": 1,
        "seed": 7,
        "num_modes": 1,
        "energy_range": 2.5,
        "max_evals": 100,
        "ligand_seconds": 60,
        "recursive": True,
    },
    "dockfiles": "s3://lab/dockfiles/",
    "environment": {"OMP_NUM_THREADS": "1"},
    "secrets": {},
    "image": "123456789012.dkr.ecr.us-west-2.amazonaws.com/lab/vina:2",
    "resources": {"vcpus": 2, "memory_mib": 4000, "gpus": 0, "shm_mib": 64},
    "inputs_per_job": 10,
    "records_per_input": 1000,
    "attempt_seconds": 3600,
    "checkpoint_seconds": 300,
    "max_rounds": 3,
    "stop_after_usd": None,
    "pilot": 0,
    "keep_top": 10,
    "retry_failed": ["input_changed", "unreadable"],
    "tags": {"grant": "R35 x/y:z", "empty": ""},
}

DOCK38 = {
    "name": "a-run",
    "input": "s3://lab/input/",
    "output": "s3://lab/out",
    "tool": "dock38",
    "options": {},
    "dockfiles": "s3://lab/dockfiles/",
}


def problems(document):
    with pytest.raises(RequestRejected) as caught:
        parse_request(document)
    return caught.value.problems


def test_what_is_needed_is_enough_and_the_rest_has_defaults():
    found = parse_request(MINIMAL)
    assert (found.keep_top, found.max_rounds, found.inputs_per_job, found.pilot) == (1000, 8, 1, 0)
    assert (found.resources.vcpus, found.resources.memory_mib, found.resources.gpus) == (1, 2000, 0)
    assert (found.attempt_seconds, found.image) == (14_400, None)
    assert (found.options.exhaustiveness, found.options.seed) == (8, 1)


def test_every_field_is_taken_and_kept():
    found = parse_request_text(json.dumps(EVERYTHING).encode())
    assert found.model_dump(mode="json") == EVERYTHING
    assert parse_request(found.model_dump(mode="json")) == found


def test_no_field_is_left_out_of_the_test_of_every_field():
    assert set(EVERYTHING) == set(Request.model_fields)


def test_dock38_has_options_of_its_own():
    found = parse_request(DOCK38)
    assert found.model_dump(mode="json")["options"] == {"recursive": False}
    assert parse_request(found.model_dump(mode="json")) == found
    assert problems(DOCK38 | {"options": MINIMAL["options"]}) == [
        "options.center: no such field",
        "options.size: no such field",
    ]
    assert problems(DOCK38 | {"dockfiles": None}) == [
        "request: dock38 needs dockfiles: a prefix with INDOCK and its grids"
    ]
    assert problems(MINIMAL | {"options": {}}) == [
        "options.center: is missing",
        "options.size: is missing",
    ]


def test_what_is_kept_of_a_request_is_a_request_again():
    kept = parse_request(MINIMAL).model_dump(mode="json")
    assert parse_request(kept).model_dump(mode="json") == kept


SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:lab/license-AbCdEf"
BAD = [
    ("name", "", "name: '' was given"),
    ("name", "a b", "name: 'a b' was given"),
    ("name", "x" * 65, "name: "),
    ("name", "a\n", "name: "),
    ("name", 7, "name: 7 was given"),
    ("input", "lab/input", "must begin with s3://"),
    ("output", "s3://Lab/out", "names no valid bucket"),
    ("output", "s3://lab/results/x", "must not begin with results/"),
    ("dockfiles", "/dock", "must begin with s3://"),
    ("tool", "dock", "vina, dock38, openmm, script, command are known"),
    ("tool", "Vina", "tool: 'Vina' was given"),
    ("options", {"size": [1, 1, 1]}, "options.center: is missing"),
    ("options", {"center": [1, 2], "size": [1, 1, 1]}, "options.center.2: is missing"),
    ("options", {"center": [1, 2, 3], "size": [1, 1, 0]}, "greater than 0"),
    ("options", {"center": [1, 2, 3], "size": [1, 1, 127]}, "less than or equal to 126"),
    ("options", {"center": [1, 2, 3], "size": [1, 1, 1], "exhaustivness": 1}, "no such field"),
    ("options", {"center": [1, 2, float("nan")], "size": [1, 1, 1]}, "finite"),
    (
        "options",
        {"center": [1, 2, 3], "size": [1, 1, 1], "seed": "x"},
        "options.seed: 'x' was given",
    ),
    ("assets", {"receptor": "nowhere"}, "assets.receptor: 'nowhere' was given"),
    ("assets", "receptor", "assets: 'receptor' was given"),
    ("command", "echo", "command: no such field"),
    ("environment", {"1X": "v"}, "'1X' is no name of a variable"),
    ("environment", {"AWS_REGION": "v"}, "AWS_REGION is reserved"),
    ("environment", {"S3_TASK_LOCATION": "v"}, "S3_TASK_LOCATION is reserved"),
    ("environment", {"MY_API_KEY": "v"}, "MY_API_KEY looks like a secret"),
    ("environment", {"db_password": "v"}, "db_password looks like a secret"),
    ("environment", {"LONG": "x" * MAX_ENVIRONMENT_CHARS}, "6000 are allowed"),
    ("secrets", {"TOKEN": "arn:aws:secretsmanager:x"}, "what was given for TOKEN is no ARN of"),
    ("secrets", {"AWS_SESSION_TOKEN": SECRET}, "AWS_SESSION_TOKEN is reserved"),
    ("secrets", {"SHRTCACHE": SECRET}, "SHRTCACHE is reserved"),
    ("secrets", {f"K{number}": SECRET for number in range(21)}, "at most 20"),
    ("resources", {"shm_mib": 2001}, "it is a part of the memory, of which there are 2000"),
    ("resources", {"shm_mib": 63}, "resources.shm_mib: 63 was given"),
    ("image", "lab/vina", "lacks a tag"),
    ("image", "dkr.ecr.us-west-2.amazonaws.com/vina:1", "lacks the account"),
    ("resources", {"vcpus": 0}, "resources.vcpus: 0 was given"),
    ("resources", {"memory_mib": 1}, "resources.memory_mib"),
    ("resources", {"gpus": -1}, "resources.gpus"),
    ("resources", {"cpus": 1}, "resources.cpus: no such field"),
    ("inputs_per_job", 0, "inputs_per_job: 0 was given"),
    ("records_per_input", 0, "records_per_input: 0 was given"),
    ("records_per_input", 1.5, "records_per_input: 1.5 was given"),
    ("attempt_seconds", 59, "attempt_seconds: 59 was given"),
    ("checkpoint_seconds", -1, "checkpoint_seconds: -1 was given"),
    ("max_rounds", 0, "max_rounds: 0 was given"),
    ("stop_after_usd", 0, "stop_after_usd: 0 was given"),
    ("pilot", 10_001, "pilot: 10001 was given"),
    ("keep_top", 0, "keep_top: 0 was given"),
    ("keep_top", 100_001, "keep_top: 100001 was given"),
    ("retry_failed", ["Bad Class"], "retry_failed.0: 'Bad Class' was given"),
    ("tags", {"aws:x": "y"}, "reserved"),
    ("tags", {"drydock:run": "y"}, "reserved"),
    ("tags", {"a": "é<>"}, "is no tag"),
    ("tags", {"a": "x" * 257}, "is no tag"),
    ("tags", {"": "x"}, "is no tag"),
    ("tags", {f"t{n}": "x" for n in range(41)}, "at most 40"),
    ("keeptop", 5, "keeptop: no such field"),
]


def test_a_secret_has_no_name_that_the_environment_has():
    shared = {"environment": {"CODE": "x", "B": "y"}, "secrets": {"CODE": SECRET, "A": SECRET}}
    assert problems(MINIMAL | shared) == ["secrets.CODE: the environment has a variable CODE too"]


def test_what_was_given_for_a_secret_is_not_repeated():
    assert "hunter2" not in "".join(problems(MINIMAL | {"secrets": {"CODE": "hunter2"}}))
    assert "hunter2" not in "".join(problems(MINIMAL | {"secrets": {"CODE": ["hunter2"]}}))
    assert "hunter2" not in "".join(problems(MINIMAL | {"secrets": "hunter2"}))


@pytest.mark.parametrize(("field", "value", "said"), BAD)
def test_a_bad_field_is_told_with_what_was_given_and_what_is_allowed(field, value, said):
    found = problems(MINIMAL | {field: value})
    assert said in found[0]
    assert found[0].startswith(field)
    assert [problem for problem in found[1:] if not problem.startswith("request:")] == []


@pytest.mark.parametrize("field", ["name", "input", "output", "tool", "options"])
def test_a_field_that_is_missing_is_told(field):
    found = problems({name: value for name, value in MINIMAL.items() if name != field})
    assert f"{field}: is missing" in found


def test_every_problem_is_in_one_message():
    document = {"name": "", "input": "x", "output": "s3://lab/results/", "tool": "vina", "more": 1}
    found = problems(document | {"options": {"center": [1, 2, 3], "size": [0, 1, 1], "seed": 0}})
    fields = {problem.partition(":")[0] for problem in found}
    assert fields == {
        "name",
        "input",
        "output",
        "more",
        "options.size.0",
        "options.seed",
        "request",
    }
    with pytest.raises(RequestRejected) as caught:
        parse_request(document)
    assert all(problem in str(caught.value) for problem in caught.value.problems)


def test_every_bad_variable_is_told():
    (found,) = problems(
        MINIMAL | {"environment": {"AWS_X": "1", "2": "2", "TOKEN": "3", "OK": "4"}}
    )
    assert "AWS_X" in found
    assert "'2'" in found
    assert "TOKEN" in found


def test_vina_needs_a_receptor():
    (found,) = problems(MINIMAL | {"assets": {}})
    assert "vina needs a receptor" in found
    parse_request(MINIMAL | {"assets": {}, "dockfiles": "s3://lab/dock/"})


def test_a_tool_of_the_users_image_takes_any_options():
    image = {"image": "123456789012.dkr.ecr.us-west-2.amazonaws.com/lab/mine:2"}
    found = parse_request(MINIMAL | {"tool": "mine", "options": {"depth": 3}} | image)
    assert found.options == {"depth": 3}
    assert parse_request(found.model_dump(mode="json")) == found


@pytest.mark.parametrize("tool", [MINIMAL, DOCK38])
def test_gpus_for_a_program_that_uses_none_are_refused(tool):
    (found,) = problems(tool | {"resources": {"gpus": 2}})
    assert found.startswith("resources.gpus: 2 was given")


def test_names_of_secrets_are_told_and_their_values_never():
    secret = "hunter2-hunter2"
    for document in (
        MINIMAL | {"environment": {"MY_SECRET": secret}},
        MINIMAL | {"environment": {"A": secret, "AWS_X": secret}},
        MINIMAL | {"environment": secret},
        MINIMAL | {"environment": {"A": [secret]}},
        MINIMAL | {"environment": {"A": secret * 1000}},
        MINIMAL | {"secrets": {"a": secret}},
        MINIMAL | {"secrets": secret},
        MINIMAL | {"password": secret},
        {"environment": {"MY_SECRET": secret}},
    ):
        assert secret not in "".join(problems(document))


def test_what_was_given_is_cut_to_a_length_that_a_message_bears():
    found = problems(MINIMAL | {"name": "x" * 10_000})
    assert len(found[0]) < 300


@pytest.mark.parametrize("document", [None, [], "text", 7, True])
def test_what_is_no_object_is_refused(document):
    assert len(problems(document)) == 1


@given(st.binary(max_size=100))
def test_any_bytes_are_a_request_or_refused(body):
    with pytest.raises(RequestRejected):
        parse_request_text(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(sorted(EVERYTHING)), json_values)
def test_any_value_of_a_field_is_taken_or_refused_by_name(field, value):
    try:
        found = []
        parse_request(MINIMAL | {field: value})
    except RequestRejected as rejected:
        found = rejected.problems
    assert all(problem.startswith((field, "request", "output")) for problem in found)


def test_the_schema_takes_what_the_model_takes():
    schema = request_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for document in (MINIMAL, EVERYTHING, DOCK38):
        jsonschema.validate(document, schema)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("keep_top", 0),
        ("tool", "dock"),
        ("more", 1),
        ("pilot", -5),
        ("name", ""),
        ("options", {}),
        ("tool", "dock38"),
    ],
)
def test_the_schema_refuses_what_an_editor_can_know(field, value):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(MINIMAL | {field: value}, request_schema())
