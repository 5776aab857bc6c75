"""docs/failures.md says of every failure what the code does: its tables are held to the data, and
each class and name has an entry with commands that exist.
"""

import importlib
import inspect
import re
import shlex

import botocore.session
import click
import pytest
from botocore import xform_name

import drydock
from cli.__main__ import main
from cli.show import entry
from drydock.accounting import Accounts
from drydock.errors import DrydockError
from drydock.failures import RULES, TERMINATED, UNKNOWN, Policy
from drydock.tables import FAILURE_COLUMNS
from tests.architecture.imports import ROOT, sources
from worker.endings import InputFailed

PAGE = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"`([A-Za-z_.*]+)`")


def table(heading):
    """The rows of the table below a heading, as lists of cells."""
    section = re.search(
        rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    rows = [line for line in section[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def classes():
    """The rows that the classes' table must have, by what is in the data."""
    found = {}
    for each in (*RULES, TERMINATED, UNKNOWN):
        _, advice = found.setdefault(each.failure_class, (each.policy, []))
        if each.advice not in advice:
            advice.append(each.advice)
    return [
        f"| `{name}` | `{policy}` | {' '.join(advice)} |"
        for name, (policy, advice) in sorted(found.items())
    ]


def test_the_table_of_classes_is_what_the_data_say():
    written = [line for line in PAGE.splitlines() if line in classes() or is_class_row(line)]
    assert written == classes(), "the table must be:\n" + "\n".join(classes())


def is_class_row(line):
    """Whether a line is a row of a table with a policy in its second cell."""
    policies = "|".join(Policy.__args__)
    return re.fullmatch(rf"\| `[a-z_]+` \| `(?:{policies})` \| .*", line) is not None


def test_every_policy_is_explained():
    named = [_NAMED.search(row[0])[1] for row in table("Policies")]
    assert sorted(named) == sorted(Policy.__args__)


def test_the_classes_of_failed_inputs_are_those_of_the_worker():
    documented = {_NAMED.search(row[0])[1] for row in table("Failed inputs")}
    said = set(re.findall(r"``([a-z]+_[a-z]+)``", inspect.getdoc(InputFailed)))
    assert documented == said - {"failure_class", "exit_code"}
    literals = {
        name
        for path in sources("worker")
        for name in re.findall(r'InputFailed\(\s*"([a-z_]+)"', path.read_text(encoding="utf-8"))
    }
    assert literals <= documented
    assert len(literals) > 3


def errors():
    """Every error of the core that has a name of its own."""
    for path in sources("src/drydock"):
        if path.stem != "__init__":
            importlib.import_module(f"{drydock.__name__}.{path.stem}")
    found, left = set(), [DrydockError]
    while left:
        for each in left.pop().__subclasses__():
            if each.__module__.startswith("drydock.") and not each.__name__.startswith("_"):
                found.add(each.__name__)
                left.append(each)
    return found


def documented_errors():
    return [name for row in table("How an execution ends") for name in _NAMED.findall(row[0])]


def test_every_error_has_a_row_with_what_to_do():
    named = documented_errors()
    assert len(named) == len(set(named))
    assert {name for name in named if "." not in name} == errors()
    for row in table("How an execution ends"):
        assert all(row), row
        assert len(row) == 3


@pytest.mark.parametrize("machine", ["statemachine/run.asl.yaml"])
def test_every_error_that_the_state_machine_knows_has_a_row(machine):
    text = (ROOT / machine).read_text(encoding="utf-8")
    lists = re.findall(r"ErrorEquals:\n((?: +- [\w.]+\n)+)", text)
    matched = {name for found in lists for name in re.findall(r"- ([\w.]+)", found)}
    assert "Conflict" in matched
    families = {name.removesuffix("*") for name in documented_errors() if name.endswith("*")}
    lost = {
        name
        for name in matched - {"States.ALL"}
        if name not in documented_errors() and not name.startswith(tuple(families))
    }
    assert lost == set()


def test_the_page_names_every_column_of_the_failures_and_field_of_the_accounts():
    fields = Accounts(1, 0, 0, 0, 1, ending="exhausted", texts={"a": "b"}).as_json()
    named = set(_NAMED.findall(PAGE))
    assert {*FAILURE_COLUMNS, *fields} - named == set()


PARTS = ("What happened", "Where to look", "Command", "What to change")
_SECTIONS = ("Errors", "Failed inputs", "Ends of containers")
# What the AWS CLI has besides the API's own operations.
_OF_THE_CLI = {("s3", "cp"), ("s3", "ls"), ("logs", "tail")}


def entries(section):
    """The entries below a heading: their names, and the text of each part by its label."""
    found = re.search(rf"^## {section}, one by one$(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    each = re.split(r"^### `([\w.*]+)`$", found[1], flags=re.MULTILINE)[1:]
    return {
        name: dict(re.findall(r"^- \*\*([A-Za-z ]+):\*\* (.+)$", text, re.MULTILINE))
        for name, text in zip(each[::2], each[1::2], strict=True)
    }


ENTRIES = {section: entries(section) for section in _SECTIONS}
EVERY = {name: parts for found in ENTRIES.values() for name, parts in found.items()}


def test_every_name_and_class_has_one_entry_and_no_entry_is_of_none():
    assert set(ENTRIES["Errors"]) == set(documented_errors())
    ends = {each.failure_class for each in (*RULES, TERMINATED, UNKNOWN)}
    assert set(ENTRIES["Ends of containers"]) == ends
    of_inputs = {_NAMED.search(row[0])[1] for row in table("Failed inputs")}
    assert set(ENTRIES["Failed inputs"]) == of_inputs - ends
    assert len(EVERY) == sum(len(found) for found in ENTRIES.values())
    headings = re.findall(r"^#+ `?([^`\n]+)`?$", PAGE, re.MULTILINE)
    assert len(headings) == len({heading.lower() for heading in headings})


@pytest.mark.parametrize("name", EVERY)
def test_an_entry_says_all_four_things(name):
    assert tuple(EVERY[name]) == PARTS
    assert all(len(text) > 5 for text in EVERY[name].values())


def commands():
    """Every command of the page, by the entry that it stands in."""
    for name, parts in EVERY.items():
        for text in parts.values():
            for code in re.findall(r"`([^`]+)`", text):
                if code.split()[0] in ("./drydock", "aws", "make") and " " in code:
                    yield pytest.param(code, id=f"{name}-{code}")


@pytest.mark.parametrize("name", EVERY)
def test_an_entry_has_a_command(name):
    assert re.search(r"`(?:\./drydock|aws) [^`]+`", EVERY[name]["Command"])


@pytest.mark.parametrize("command", commands())
def test_a_command_is_one(command):
    program, *words = shlex.split(command)
    check = {"./drydock": check_drydock, "aws": check_aws, "make": check_make}[program]
    check(words)


def check_drydock(words):
    """By the command line's own parser."""
    words = ["0" if word == "INDEX" else word for word in words]
    context = click.Context(main)
    name, command, rest = main.resolve_command(context, words)
    command.make_context(name, rest, parent=context)


def check_aws(words):
    """By botocore's own models: an operation, and options that are members of its input."""
    service, command, *rest = words
    if (service, command) in _OF_THE_CLI:
        return
    service = "s3" if service == "s3api" else service
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    members = model.operation_model(names[command]).input_shape.members
    # The AWS CLI's own, for answers in pages.
    known = {xform_name(name, "-") for name in members} | {"max-items"}
    options = [word.removeprefix("--") for word in rest if word.startswith("--")]
    negated = {f"no-{name}" for name in known}
    assert set(options) <= known | negated, options


def check_make(words):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(words[0])}:", makefile, re.MULTILINE), words


def test_a_command_that_is_none_is_noticed():
    for words in (
        ["logz", "RUN"],
        ["logs", "RUN"],
        ["logs", "RUN", "x"],
        ["logs", "R", "1", "--t"],
    ):
        with pytest.raises(click.UsageError):
            check_drydock(words)
    for words in (["batch", "describe-job"], ["batch", "describe-jobs", "--job", "JOB"]):
        with pytest.raises((KeyError, AssertionError)):
            check_aws(words)
    with pytest.raises(AssertionError):
        check_make(["pushes"])


@pytest.mark.parametrize("name", EVERY)
def test_messages_lead_to_the_entry(name):
    """GitHub's anchors: lower case, without what is neither a letter nor an underscore here."""
    path, _, anchor = entry(name).partition("#")
    assert path == "docs/failures.md"
    assert anchor == re.sub(r"[^\w]", "", name.lower())


def test_each_error_of_lambdas_leads_to_one_entry():
    assert entry("Lambda.TooManyRequestsException") == entry("Lambda.*")
