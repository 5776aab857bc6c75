"""Says what IAM says: whether policies allow an action on a resource, and which statement decides.

Everything that is asked for here happens inside one account, where an allow of an identity's policy
or of the resource's is enough and any deny wins. What is not understood is refused with an error,
never taken for a match or a miss.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.least_privilege.conditions import condition_holds, pattern_of, substituted

Document = Mapping[str, Any]
"""A policy as IAM takes it: Version and Statement."""

_ELEMENTS = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}


class PolicyNotUnderstood(ValueError):
    """Raised for a policy that IAM would refuse, or that is beyond what is evaluated here."""


@dataclass(frozen=True)
class Decision:
    """Whether a request is allowed, and by which statements: "policy/Sid" or "policy/number".

    Without an allow and without a deny nothing was said about the request, so it is not allowed.
    """

    allowed: bool
    allowed_by: tuple[str, ...] = ()
    denied_by: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True)
class Request:
    """What is asked: `context` holds condition keys; a resource policy asks who `principal` is.

    `principal` is an ARN, or a service such as events.amazonaws.com; empty, no statement that names
    principals applies.
    """

    action: str
    resource: str
    context: Mapping[str, str | list[str]] = field(default_factory=dict)
    principal: str = ""


def is_allowed(
    policies: Mapping[str, Document],
    action: str,
    resource: str,
    context: Mapping[str, str | list[str]] | None = None,
    principal: str = "",
) -> Decision:
    """Evaluate policies, by name, for `action` ("s3:GetObject") on `resource` (an ARN or "*").

    An action that knows no resources is asked for on "*". Policies of a resource are given beside
    those of the identity, with the `principal` that calls.

    Raises:
        PolicyNotUnderstood: a policy has what is not evaluated here.
    """
    request = Request(action, resource, dict(context or {}), principal)
    allows, denies = [], []
    for name, document in policies.items():
        for label, statement in statements_of(name, document):
            if applies(statement, request):
                (allows if statement["Effect"] == "Allow" else denies).append(label)
    return Decision(bool(allows) and not denies, tuple(allows), tuple(denies))


def statements_of(name: str, document: Document) -> Iterator[tuple[str, Document]]:
    """The statements of a policy, each with its label.

    Raises:
        PolicyNotUnderstood: it is of no known version, or of the older one with a variable in it,
            which is none there; without a Version it is of the older one.
    """
    version = document.get("Version", "2008-10-17")
    is_older = version == "2008-10-17" and "${" not in json.dumps(document)
    if version != "2012-10-17" and not is_older:
        raise PolicyNotUnderstood(f"{name}: Version {version}")
    for number, statement in enumerate(as_list(document["Statement"])):
        label = f"{name}/{statement.get('Sid', number)}"
        unknown = statement.keys() - _ELEMENTS
        if unknown or statement.get("Effect") not in ("Allow", "Deny"):
            raise PolicyNotUnderstood(f"{label}: Effect {statement.get('Effect')}, {unknown}")
        yield label, statement


def applies(statement: Document, request: Request) -> bool:
    """Whether a statement speaks of the request, to allow or to deny it."""
    return (
        _names_principal(statement, request.principal)
        and _names(statement, "Action", lambda each: action_matches(each, request.action))
        and _names_resource(statement, request)
        and all(
            condition_holds(operator, key, as_list(expected), request.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, expected in keys.items()
        )
    )


def action_matches(pattern: str, action: str) -> bool:
    """Whether a statement's action, with its wildcards, is this one; case does not count."""
    return pattern_of(pattern.lower()).fullmatch(action.lower()) is not None


def resource_matches(pattern: str, resource: str) -> bool:
    """Whether a statement's resource, with its wildcards, is this one.

    A wildcard stays within its part of the ARN; the last part is everything after the account.
    """
    if "*" in (pattern, resource):
        return pattern == "*"
    wanted, given = pattern.split(":", 5), resource.split(":", 5)
    return len(wanted) == len(given) and all(
        pattern_of(one).fullmatch(other) for one, other in zip(wanted, given, strict=True)
    )


def as_list(value: Any) -> list[Any]:
    """IAM writes one value without its list."""
    return value if isinstance(value, list) else [value]


def _names(statement: Document, element: str, matches: Any) -> bool:
    if element in statement:
        return any(matches(each) for each in as_list(statement[element]))
    return not any(matches(each) for each in as_list(statement["Not" + element]))


def _names_resource(statement: Document, request: Request) -> bool:
    if not statement.keys() & {"Resource", "NotResource"}:
        return True  # a trust policy: the resource is the role that has it

    def matches(pattern: str) -> bool:
        known = substituted(pattern, request.context)
        return known is not None and resource_matches(known, request.resource)

    return _names(statement, "Resource", matches)


def _names_principal(statement: Document, principal: str) -> bool:
    if not statement.keys() & {"Principal", "NotPrincipal"}:
        return True
    if not principal:
        return False
    return _names(statement, "Principal", lambda each: _is_principal(each, principal))


def _is_principal(element: Any, principal: str) -> bool:
    if element == "*":
        return True
    if not isinstance(element, dict) or element.keys() - {"AWS", "Service"}:
        raise PolicyNotUnderstood(f"Principal {element}")
    account = re.match(r"arn:[^:]+:(?:iam|sts)::(\d{12}):", principal)
    for each in as_list(element.get("AWS", [])):
        # An account, in either of its two spellings, stands for everyone in it.
        if each in ("*", principal) or (
            account and re.fullmatch(rf"(arn:[^:]+:iam::)?{account[1]}(:root)?", each)
        ):
            return True
    return principal in as_list(element.get("Service", []))
