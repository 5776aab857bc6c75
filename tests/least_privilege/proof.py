"""Holds what was asked against what is allowed, both ways."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.least_privilege.asked import Asked, questions
from tests.least_privilege.evaluate import (
    Decision,
    Document,
    Request,
    action_matches,
    applies,
    as_list,
    is_allowed,
    resource_matches,
    statements_of,
)
from tests.least_privilege.implied import INTERPRETER, implied
from tests.least_privilege.recording import Seen
from tests.least_privilege.roles import Resources, Role, roles_of
from tests.least_privilege.scenes import Recorded


@dataclass(frozen=True, order=True)
class Grant:
    """One action on one resource that one statement allows to one role."""

    role: str
    statement: str
    action: str
    resource: str


@dataclass(frozen=True)
class Refused:
    """A question that the role's policies do not answer with yes."""

    role: str
    scene: str
    asked: Asked


@dataclass
class Proof:
    """What the recorded runs show: grants by the scenes that used them, and what was refused."""

    grants: dict[Grant, dict[str, None]] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    questions: int = 0


def prove(recordings: Iterable[Recorded]) -> Proof:
    """Evaluate every recorded request, and what it implies, against its caller's role."""
    proof = Proof()
    for recorded in recordings:
        roles = roles_of(recorded.resources)
        for name, role in roles.items():
            for grant, _, _ in _grants(name, role, recorded.resources):
                proof.grants.setdefault(grant, {})
        _hold(proof, roles, recorded)
    return proof


def _hold(proof: Proof, roles: dict[str, Role], recorded: Recorded) -> None:
    known: dict[tuple[str, Asked], tuple[Decision, list[Grant]]] = {}
    granted = {name: list(_grants(name, role, recorded.resources)) for name, role in roles.items()}
    for name, scene, asked in _asked(roles, recorded):
        proof.questions += 1
        if (name, asked) not in known:
            known[name, asked] = _decide(roles[name], granted[name], asked, recorded.resources)
        decision, used = known[name, asked]
        if not decision:
            refused = Refused(name, scene, asked)
            if refused not in proof.refused:
                proof.refused.append(refused)
        for grant in used:
            proof.grants[grant][scene] = None


def questions_of(recorded: Recorded) -> Iterator[tuple[str, str, Asked]]:
    """Role, scene and question, of all that was recorded and of what it implies."""
    yield from _asked(roles_of(recorded.resources), recorded)


def grants_of(resources: Resources) -> Iterator[tuple[Grant, str]]:
    """Everything that is allowed to the stack's roles, with each resource as it is."""
    for name, role in roles_of(resources).items():
        for grant, resource, _ in _grants(name, role, resources):
            yield grant, resource


def _asked(roles: dict[str, Role], recorded: Recorded) -> Iterator[tuple[str, str, Asked]]:
    seen = list(callers(roles, recorded))
    for name, each in seen:
        for asked in questions(each, recorded.region):
            yield name, each.scene, asked
    yield from implied(recorded.resources, seen, recorded.region)


def callers(roles: dict[str, Role], recorded: Recorded) -> Iterator[tuple[str, Seen]]:
    """The requests of the stack's roles, each with its role; those of people and tests are left."""
    by_key = {role.access_key: name for name, role in roles.items()}
    (machine,) = recorded.resources.of("AWS::StepFunctions::StateMachine").values()
    by_key[INTERPRETER] = recorded.resources.name_of(machine["RoleArn"])
    for each in recorded.seen:
        if each.access_key in by_key:
            yield by_key[each.access_key], each


def _decide(
    role: Role, granted: list[tuple[Grant, str, Document]], asked: Asked, resources: Resources
) -> tuple[Decision, list[Grant]]:
    # All of it goes over TLS, which the embedded AWS does without.
    context = {"aws:SecureTransport": "true", **dict(asked.context)}
    policies = {**role.policies, **resources.policies_on(asked.resource)}
    principal = f"arn:aws:iam::123456789012:role/{role.name}"
    decision = is_allowed(policies, asked.action, asked.resource, context, principal)
    request = Request(asked.action, asked.resource, context, principal)
    used = [
        grant
        for grant, written, statement in granted
        if action_matches(grant.action, asked.action)
        and resource_matches(written, asked.resource)
        and applies(statement, request)
    ]
    return decision, used


def _grants(name: str, role: Role, resources: Resources) -> Iterator[tuple[Grant, str, Document]]:
    """Each grant, with its resource as it is and the statement that makes it."""
    for policy, document in role.policies.items():
        for label, statement in statements_of(policy, document):
            if statement["Effect"] == "Allow":
                for action in as_list(statement["Action"]):
                    for resource in as_list(statement["Resource"]):
                        # Of a statement for two services each action has the resources of its own.
                        if resource == "*" or resource.split(":")[2] == action.split(":")[0]:
                            grant = Grant(name, label, action, resources.readable(resource))
                            yield grant, resource, statement
