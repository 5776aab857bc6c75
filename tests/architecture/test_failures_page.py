"""docs/failures.md says of every failure what the code does: its tables are held to the data."""

import importlib
import inspect
import re

import pytest

import drydock
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
