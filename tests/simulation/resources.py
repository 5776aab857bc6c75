"""What the project's own template says of its rules, functions and queues, as plain data.

Read as it is written, without SAM's translator: only what the simulated services act on.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from drydock.settings import Settings
from local.schedules import period_s
from local.template import Deployed, Resolver

REGION = "us-west-2"
ACCOUNT = "123456789012"
STACK_NAME = "drydock"
_TEMPLATE = Path(__file__).parents[2] / "template.yaml"
_PARAMETERS = {
    "VpcId": "vpc-1",
    "SubnetIds": "subnet-1",
    "WorkerImage": "123456789012.dkr.ecr.us-west-2.amazonaws.com/drydock/worker:1",
}
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK_NAME,
}


@dataclass(frozen=True)
class Rule:
    """A rule of EventBridge: a pattern or a period, and the ARNs of its targets.

    They are given ``constant`` instead of the event, where the template says so.
    """

    name: str
    pattern: dict[str, Any] | None
    period_s: float | None
    targets: tuple[str, ...]
    constant: str | None = None


@dataclass(frozen=True)
class Function:
    """A function: the file of ``functions/`` that it runs, and how long it may."""

    name: str
    module: str
    timeout_s: float


@dataclass(frozen=True)
class Queue:
    """A queue; a message received more than ``most_receives`` times is a dead letter."""

    arn: str
    url: str
    visibility_s: float
    most_receives: int | None


@dataclass(frozen=True)
class Mapping:
    """A queue's messages call a function."""

    function: str
    queue_arn: str
    batch_size: int
    most_at_once: int
    reports_failures: bool


@dataclass(frozen=True)
class Resources:
    """All of them; functions by their logical names, queues by their ARNs."""

    rules: tuple[Rule, ...]
    functions: dict[str, Function]
    queues: dict[str, Queue]
    mappings: tuple[Mapping, ...]
    told_of_uploads: tuple[str, ...]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads CloudFormation's short forms."""


def _short_form(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


@functools.cache
def template() -> dict[str, Any]:
    """The template; intrinsic functions in their long form."""
    return yaml.load(_TEMPLATE.read_text(encoding="utf-8"), Loader=_Loader)


def arn(service: str, rest: str) -> str:
    """An ARN in the stack's account."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


@functools.cache
def resources(settings: Settings) -> Resources:
    """The stack's, as its settings name them."""
    document = template()
    resolver = _resolver(document, settings)
    rules: list[Rule] = []
    functions: dict[str, Function] = {}
    queues: dict[str, Queue] = {}
    mappings: list[Mapping] = []
    told: list[str] = []
    timeout_s = document["Globals"]["Function"]["Timeout"]
    for name, resource in document["Resources"].items():
        if not resolver.is_made(resource):
            continue
        properties = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::Events::Rule":
                rules.append(_rule(resolver, name, properties))
            case "AWS::SQS::Queue":
                found = _queue(resolver, name, properties)
                queues[found.arn] = found
            case "AWS::S3::Bucket":
                if "EventBridgeConfiguration" in properties.get("NotificationConfiguration", {}):
                    told.append(resolver.resolve({"Ref": name}))
            case "AWS::Serverless::Function":
                module = properties["Handler"].removesuffix(".lambda_handler")
                allowed_s = float(properties.get("Timeout", timeout_s))
                functions[name] = Function(name, module, allowed_s)
        for event, source in properties.get("Events", {}).items():
            made = _event(resolver, name, event, source)
            (rules if isinstance(made, Rule) else mappings).append(made)
    return Resources(tuple(rules), functions, queues, tuple(mappings), tuple(told))


def _resolver(document: dict[str, Any], settings: Settings) -> Resolver:
    resolver = Resolver(document, _PARAMETERS, _PSEUDO)
    refs = {
        "ControlBucket": settings.control_bucket,
        "IntakeBucket": settings.intake_bucket,
        "SpotQueue": settings.spot_queue_arn,
        "OnDemandQueue": settings.on_demand_queue_arn,
        "WorkerJobDefinition": settings.job_definition_arn,
        "NotificationTopic": settings.notification_topic_arn,
        "ResubmitQueue": settings.resubmit_queue_url,
        "RunStateMachine": arn("states", f"stateMachine:{STACK_NAME}-run"),
    }
    services = {
        "AWS::SQS::Queue": ("sqs", ""),
        "AWS::Serverless::Function": ("lambda", "function:"),
    }
    for name, resource in document["Resources"].items():
        service, kind = services.get(resource["Type"], ("other", ""))
        attributes = {"Arn": arn(service, kind + name)}
        made = Deployed(name, resource["Type"], refs.get(name, name), attributes, runs=False)
        resolver.add(made)
    return resolver


def _rule(resolver: Resolver, name: str, properties: dict[str, Any]) -> Rule:
    targets = [resolver.resolve(target["Arn"]) for target in properties["Targets"]]
    return Rule(name, resolver.resolve(properties["EventPattern"]), None, tuple(targets))


def _queue(resolver: Resolver, name: str, properties: dict[str, Any]) -> Queue:
    return Queue(
        resolver.resolve({"Fn::GetAtt": f"{name}.Arn"}),
        resolver.resolve({"Ref": name}),
        # 30 s is what SQS takes by itself.
        float(properties.get("VisibilityTimeout", 30)),
        properties.get("RedrivePolicy", {}).get("maxReceiveCount"),
    )


def _event(resolver: Resolver, owner: str, name: str, source: dict[str, Any]) -> Rule | Mapping:
    properties = source["Properties"]
    is_function = owner.endswith("Function")
    target = resolver.resolve({"Fn::GetAtt": f"{owner}.Arn"} if is_function else {"Ref": owner})
    match source["Type"]:
        case "EventBridgeRule":
            pattern = resolver.resolve(properties["Pattern"])
            return Rule(f"{owner}{name}", pattern, None, (target,))
        case "Schedule":
            every_s, constant = period_s(properties["Schedule"]), properties.get("Input")
            return Rule(f"{owner}{name}", None, every_s, (target,), constant)
        case "SQS":
            return Mapping(
                owner,
                resolver.resolve(properties["Queue"]),
                properties["BatchSize"],
                properties["ScalingConfig"]["MaximumConcurrency"],
                "ReportBatchItemFailures" in properties.get("FunctionResponseTypes", ()),
            )
    raise AssertionError(f"the simulator does not know {owner}'s event {name}")
