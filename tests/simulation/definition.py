"""The project's own state machine, and the pure half of what runs it: paths, templates, choices.

The subset of the Amazon States Language (JSONPath) that ``statemachine/run.asl.yaml`` is written
in; anything else is refused loudly, so that a machine that grows cannot be half run.
"""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[2]
_SUBSTITUTION = re.compile(r"\$\{([A-Za-z]+)\}")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]")
_STATE_FIELDS = {
    "Pass": {"Parameters", "InputPath", "Result", "ResultPath", "OutputPath"},
    "Task": {"Resource", "Parameters", "ResultSelector", "ResultPath", "TimeoutSeconds"}
    | {"TimeoutSecondsPath", "Retry", "Catch", "InputPath", "OutputPath"},
    "Choice": {"Choices", "Default"},
    "Map": {"Label", "MaxConcurrency", "MaxConcurrencyPath", "ItemReader", "ItemSelector"}
    | {"ItemProcessor", "ResultWriter", "ResultPath", "Retry", "Catch", "ResultSelector"}
    | {"ToleratedFailurePercentage"},
    "Fail": {"Error", "Cause", "ErrorPath", "CausePath"},
    "Succeed": set(),
}
_EVERY_STATE = {"Type", "Comment", "Next", "End"}


class StatesError(Exception):
    """An error by the name that Retry and Catch know it by."""

    def __init__(self, name: str, cause: str = "") -> None:
        super().__init__(f"{name}: {cause}")
        self.name = name
        self.cause = cause

    @property
    def output(self) -> dict[str, str]:
        """What a Catch makes of it."""
        return {"Error": self.name, "Cause": self.cause}


@functools.cache
def definition() -> dict[str, Any]:
    """The machine of this checkout; function ARNs are their logical names."""
    text = (CHECKOUT / "statemachine/run.asl.yaml").read_text()

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name == "ControlBucketName":
            return "drydock-control"
        return name.removesuffix("Arn")

    machine: dict[str, Any] = yaml.safe_load(_SUBSTITUTION.sub(value, text))
    _check(machine)
    return machine


def _check(level: Mapping[str, Any]) -> None:
    for name, state in level["States"].items():
        strange = set(state) - _STATE_FIELDS[state["Type"]] - _EVERY_STATE
        if strange:
            raise AssertionError(f"the simulator does not know {sorted(strange)} of {name}")
        if state["Type"] == "Map":
            _check(state["ItemProcessor"])


def read_path(path: str, data: Any, context: Mapping[str, Any]) -> Any:
    """What a reference path names: ``$.a.b`` of the data, ``$$.A.B`` of the context.

    Raises:
        StatesError: there is nothing (States.ParameterPathFailure).
    """
    found: Any = context if path.startswith("$$") else data
    rest = path[2:] if path.startswith("$$") else path[1:]
    position = 0
    while position < len(rest):
        step = _STEP.match(rest, position)
        if step is None:
            raise AssertionError(f"the simulator does not read the path {path}")
        try:
            found = found[step[1]] if step[1] is not None else found[int(step[2])]
        except (KeyError, IndexError, TypeError) as error:
            text = f"The JSONPath '{path}' could not be found in the input '{json.dumps(data)}'"
            raise StatesError("States.ParameterPathFailure", text) from error
        position = step.end()
    return found


def fill(template: Any, data: Any, context: Mapping[str, Any]) -> Any:
    """A template with every ``name.$`` replaced by what its path names."""
    if isinstance(template, dict):
        return {
            name.removesuffix(".$"): read_path(value, data, context)
            if name.endswith(".$")
            else fill(value, data, context)
            for name, value in template.items()
        }
    if isinstance(template, list):
        return [fill(each, data, context) for each in template]
    return template


def put_result(state: Mapping[str, Any], data: Any, result: Any) -> Any:
    """The state's output: its input with the result at ``ResultPath``."""
    path = state.get("ResultPath", "$")
    if path is None:
        return data
    if path == "$":
        return result
    # Nothing is changed in place: others may hold parts of it.
    output = place = dict(data)
    *folders, last = path.removeprefix("$.").split(".")
    for folder in folders:
        place[folder] = place = dict(place.get(folder) or {})
    place[last] = result
    return output


_COMPARISONS: dict[str, tuple[Any, Callable[[Any, Any], bool]]] = {
    "StringEquals": (str, operator.eq),
    "BooleanEquals": (bool, operator.eq),
    "NumericEquals": ((int, float), operator.eq),
    "NumericLessThan": ((int, float), operator.lt),
    "NumericLessThanEquals": ((int, float), operator.le),
    "NumericGreaterThan": ((int, float), operator.gt),
    "NumericGreaterThanEquals": ((int, float), operator.ge),
}


def choose(state: Mapping[str, Any], data: Any, context: Mapping[str, Any]) -> str:
    """The state that a Choice leads to."""
    for rule in state["Choices"]:
        if holds(rule, data, context):
            return str(rule["Next"])
    if "Default" not in state:
        raise StatesError("States.NoChoiceMatched", "no rule held")
    return str(state["Default"])


def holds(rule: Mapping[str, Any], data: Any, context: Mapping[str, Any]) -> bool:
    """Whether a rule of a Choice holds."""
    if "And" in rule:
        return all(holds(each, data, context) for each in rule["And"])
    if "Or" in rule:
        return any(holds(each, data, context) for each in rule["Or"])
    if "Not" in rule:
        return not holds(rule["Not"], data, context)
    (test,) = set(rule) - {"Variable", "Next", "Comment"}
    if test == "IsPresent":
        try:
            read_path(rule["Variable"], data, context)
        except StatesError:
            return not rule[test]
        return bool(rule[test])
    found = read_path(rule["Variable"], data, context)
    if test == "IsNull":
        return (found is None) == rule[test]
    kind, compare = _COMPARISONS[test]
    if isinstance(found, bool) and test != "BooleanEquals":
        return False
    return isinstance(found, kind) and compare(found, rule[test])


def matches(rule: Mapping[str, Any], error: StatesError) -> bool:
    """Whether a Retry or a Catch is for an error; States.ALL does not catch States.Runtime."""
    for name in rule["ErrorEquals"]:
        if name == error.name or (name == "States.ALL" and error.name != "States.Runtime"):
            return True
        if name == "States.TaskFailed" and error.name != "States.Timeout":
            return True
    return False
