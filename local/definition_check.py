"""A state machine's definition as a graph: what AWS refuses at creation and moto meets later."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES = {"Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"}
_LAST = {"Succeed", "Fail"}
_SUBSTITUTION = re.compile(r"\$\{[^}]*\}")
_NAME_CHARACTERS = 80


def check_definition(definition: Mapping[str, Any]) -> list[str]:
    """Every problem of the definition, each as one sentence that names the state; [] for none.

    The rules of the Amazon States Language (states-language.net/spec.html): StartAt and every Next
    name a state of the same level, every state can be reached, some state ends, a state has either
    Next or End; and no `${...}` is left from SAM's substitutions.
    """
    problems = list(_check_level(definition, "the machine"))
    problems += [
        f"{where}: {text} was not substituted" for where, text in _substitutions(definition)
    ]
    return problems


def _check_level(level: Mapping[str, Any], where: str) -> Iterator[str]:
    states = level.get("States")
    if not isinstance(states, Mapping) or not states:
        yield f"{where}: States is missing or empty"
        return
    start = level.get("StartAt")
    if start not in states:
        yield f"{where}: StartAt names {start!r}, which is no state of it"
    for name, state in states.items():
        yield from _check_state(name, state, states)
    yield from (f"{name}: cannot be reached" for name in _unreached(start, states))
    if not any(_ends(state) for state in states.values()):
        yield f"{where}: no state ends it (End: true, Succeed or Fail)"


def _check_state(name: str, state: Mapping[str, Any], states: Mapping[str, Any]) -> Iterator[str]:
    kind = state.get("Type")
    if len(name) > _NAME_CHARACTERS:
        yield f"{name}: a name has at most {_NAME_CHARACTERS} characters"
    if kind not in _TYPES:
        yield f"{name}: Type is {kind!r}, not one of {', '.join(sorted(_TYPES))}"
    for target in _targets(state):
        if target not in states:
            yield f"{name}: Next names {target!r}, which is no state beside it"
    has_next, has_end = "Next" in state, state.get("End") is True
    if kind in _LAST | {"Choice"}:
        if "Next" in state or "End" in state:
            yield f"{name}: a {kind} state has neither Next nor End"
    elif has_next == has_end:
        yield f"{name}: has to have either Next or End: true"
    if kind == "Choice" and not state.get("Choices"):
        yield f"{name}: a Choice state needs Choices"
    for where, inner in _inner_levels(name, state):
        yield from _check_level(inner, where)


def _targets(state: Mapping[str, Any]) -> Iterator[str]:
    """Every state that this one may lead to."""
    if "Next" in state:
        yield state["Next"]
    if "Default" in state:
        yield state["Default"]
    for rule in (*state.get("Choices", ()), *state.get("Catch", ())):
        if "Next" in rule:
            yield rule["Next"]


def _unreached(start: object, states: Mapping[str, Any]) -> list[str]:
    reached: set[object] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in states and name not in reached:
            reached.add(name)
            todo.extend(_targets(states[str(name)]))
    return [name for name in states if name not in reached]


def _ends(state: Mapping[str, Any]) -> bool:
    return state.get("End") is True or state.get("Type") in _LAST


def _inner_levels(name: str, state: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The machines inside a Map or Parallel state."""
    if state.get("Type") == "Map":
        yield f"{name}'s ItemProcessor", state.get("ItemProcessor") or state.get("Iterator") or {}
    if state.get("Type") == "Parallel":
        for number, branch in enumerate(state.get("Branches", ())):
            yield f"{name}'s branch {number}", branch


def _substitutions(node: object, where: str = "the machine") -> Iterator[tuple[str, str]]:
    """Every `${...}` in the document, with the path to it."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _substitutions(value, f"{where}.{key}")
    elif isinstance(node, list):
        for value in node:
            yield from _substitutions(value, where)
    elif isinstance(node, str):
        yield from ((where, text) for text in _SUBSTITUTION.findall(node))
