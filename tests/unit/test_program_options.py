"""What a request may ask of script and command, and the sentences of what it may not."""

from dataclasses import MISSING, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.command_options import CommandOptions
from drydock.errors import RequestRejected
from drydock.program_options import OWN_VARIABLES
from drydock.request import parse_request
from drydock.script_options import ScriptOptions
from drydock.templates import PLACEHOLDERS, fill
from worker.tools.command import CommandOptions as WorkersCommandOptions
from worker.tools.options import read_options
from worker.tools.script import ScriptOptions as WorkersScriptOptions

COMMON = {"name": "sorted", "input": "s3://lab/in/", "output": "s3://lab/out/"}
COMMAND = COMMON | {
    "tool": "command",
    "assets": {"ref": "s3://lab/ref.fa"},
    "options": {"command": ["samtools", "sort", "-o", "{output}/{stem}.bam", "{input}"]},
}
SCRIPT = COMMON | {
    "tool": "script",
    "assets": {"script": "s3://lab/myjob.sh"},
    "options": {"arguments": ["60", "{stem}"]},
}


def problems(request, **options):
    with pytest.raises(RequestRejected) as rejected:
        parse_request(request | {"options": request["options"] | options})
    return rejected.value.problems


@pytest.mark.parametrize(
    ("requested", "workers"),
    [(CommandOptions, WorkersCommandOptions), (ScriptOptions, WorkersScriptOptions)],
)
def test_the_workers_options_are_those_of_a_request(requested, workers):
    found = {each.name: each for each in fields(workers)}
    assert set(found) == set(requested.model_fields)
    for name, field in requested.model_fields.items():
        mine = found[name]
        default = mine.default_factory() if mine.default_factory is not MISSING else mine.default
        if field.is_required():
            assert default is MISSING, name
        else:
            expected = field.get_default(call_default_factory=True)
            assert (list(default) if isinstance(expected, list) else default) == expected, name


def test_what_is_asked_for_is_taken_as_it_is():
    everything = {
        "environment": {"REF": "{assets.ref}", "N": "{vcpus}"},
        "outputs": ["*.bam", "**/*.bai"],
        "stdin": "{input}",
        "stdout": "logs/{stem}-{index}.txt",
        "bad_input_codes": [3],
        "stop_signal": "USR1",
        "stop_seconds": 20,
        "allow_aws": True,
        "recursive": True,
    }
    request = COMMAND | {"options": COMMAND["options"] | everything}
    found = parse_request(request).options.model_dump(mode="json")
    assert found == request["options"]
    assert parse_request(SCRIPT).options.type == "script"
    zipped = SCRIPT | {"options": {"type": "zip", "name": "bin/run.sh"}}
    assert parse_request(zipped).options.name == "bin/run.sh"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"command": []}, "options.command: [] was given"),
        ({"command": "true"}, "options.command: 'true' was given"),
        ({"command": ["a", "{outptu}"]}, "options.command.1: '{outptu}' was given: {outptu} is no"),
        ({"command": ["a", "{"]}, "options.command.1: '{' was given: a brace is alone"),
        ({"command": ["{assets.x}"]}, "options.command.0: '{assets.x}' was given: the request has"),
        (
            {"stdin": "{assets.x}"},
            "options.stdin: '{assets.x}' was given: the request has ref, not",
        ),
        ({"stdin": "{nothing}"}, "options.stdin: '{nothing}' was given"),
        ({"stdout": "/etc/passwd"}, "options.stdout: '/etc/passwd' was given: a file's name below"),
        ({"stdout": "../x"}, "options.stdout: '../x' was given: a file's name below"),
        ({"stdout": "{output}/x"}, "{output} is no placeholder here: {stem}, {vcpus}, {index} are"),
        ({"outputs": ["*.bam", "../*"]}, "options.outputs.1: '../*' was given: it must name files"),
        ({"environment": {"X": "{y}"}}, "options.environment.X: '{y}' was given"),
        ({"environment": {"AWS_REGION": "x"}}, "AWS_REGION is reserved"),
        ({"environment": {"MY_TOKEN": "x"}}, "MY_TOKEN looks like a secret"),
        ({"environment": {"1X": "x"}}, "'1X' is no name of a variable"),
        ({"environment": {"CHECKPOINT_DIR": "x"}}, "CHECKPOINT_DIR is set by the worker"),
        ({"bad_input_codes": [0]}, "options.bad_input_codes.0: 0 was given"),
        ({"bad_input_codes": [256]}, "options.bad_input_codes.0: 256 was given"),
        ({"stop_signal": "KILL"}, "options.stop_signal: 'KILL' was given"),
        ({"stop_seconds": 25}, "options.stop_seconds: 25 was given"),
        ({"shell": True}, "options.shell: no such field"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(options, sentence):
    assert any(sentence in problem for problem in problems(COMMAND, **options)), problems(
        COMMAND, **options
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"type": "tar"}, "options.type: 'tar' was given"),
        ({"type": "zip"}, "options.name: is missing: it says which file"),
        ({"name": "../x"}, "options.name: '../x' was given"),
        ({"name": "/x"}, "options.name: '/x' was given"),
        ({"arguments": ["{x}"]}, "options.arguments.0: '{x}' was given"),
        ({"arguments": ["{assets.ref}"]}, "the request has script, not ref"),
    ],
)
def test_a_script_that_cannot_be_is_refused_by_its_field(options, sentence):
    assert any(sentence in problem for problem in problems(SCRIPT, **options))


def test_a_script_needs_one():
    with pytest.raises(RequestRejected) as rejected:
        parse_request(SCRIPT | {"assets": {}})
    assert "assets.script: is missing: the tool script runs it" in rejected.value.problems


def test_dockfiles_are_an_asset_of_that_name():
    options = {"command": ["ls", "{assets.dockfiles}"]}
    parse_request(COMMAND | {"dockfiles": "s3://lab/files/", "options": options})
    with pytest.raises(RequestRejected):
        parse_request(COMMAND | {"options": options})


def test_all_that_is_wrong_is_told_at_once():
    told = problems(COMMAND, stdin="{assets.x}", stdout="/x", environment={"HOME": "/"})
    assert len(told) == 3


def test_own_variables_are_what_the_worker_sets():
    assert {"INPUT", "OUTPUT_DIR", "CHECKPOINT_DIR", "HOME", "TMPDIR"} <= OWN_VARIABLES


# Pieces of templates, each with what it becomes where every value is "x".
pieces = st.one_of(
    st.sampled_from([(f"{{{name}}}", "x") for name in (*PLACEHOLDERS, "assets.ref")]),
    st.sampled_from([("{{", "{"), ("}}", "}")]),
    st.text(st.characters(exclude_characters="\0{}", codec="utf-8"), max_size=5).map(
        lambda plain: (plain, plain)
    ),
)


@given(st.lists(st.lists(pieces, max_size=5), min_size=1, max_size=4))
def test_what_a_request_takes_the_worker_can_fill(arguments):
    templates = ["".join(piece for piece, _ in each) for each in arguments]
    request = COMMAND | {"options": {"command": templates}}
    options = parse_request(request).options.model_dump(mode="json")
    read = read_options("command", WorkersCommandOptions, options)
    values = dict.fromkeys([*PLACEHOLDERS, "assets.ref"], "x")
    filled = ["".join(becomes for _, becomes in each) for each in arguments]
    assert [fill(text, values) for text in read.command] == filled


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    request=st.sampled_from([COMMAND, SCRIPT]),
    field=st.sampled_from(sorted({*CommandOptions.model_fields, *ScriptOptions.model_fields})),
    value=json_values,
)
def test_any_value_of_an_option_is_taken_or_refused_by_name(request, field, value):
    document = request | {"options": request["options"] | {field: value}}
    found = [f"options.{field}: nothing is wrong with it"]
    try:
        parse_request(document)
    except RequestRejected as error:
        found = error.problems
    # A zip needs a name, which is another field.
    named = "options.name" if value == "zip" else f"options.{field}"
    assert all(problem.startswith(named) for problem in found)
