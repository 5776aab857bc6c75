"""Makes the resources of a template, one short function a type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from botocore.model import ListShape, Shape, StructureShape

from local.names import ACCOUNT, function_arn, queue_arn, role_arn, rule_arn
from local.parameters import TemplateError, Value
from local.specs import (
    BucketSpec,
    EventSourceMappingSpec,
    FunctionSpec,
    InputTransformer,
    QueueSpec,
    RetrySpec,
    RuleSpec,
    StateMachineSpec,
    TargetSpec,
)
from local.template import Deployed

if TYPE_CHECKING:
    from pathlib import Path

    from local.embedded import EmbeddedAws

Properties = Mapping[str, Any]

# The one in C where PyYAML has it; both are safe loaders.
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SUBSTITUTION = re.compile(r"\$\{([^}]*)\}")

# What CloudFormation acts on itself and no Create or Register call takes.
_ONLY_FOR_UPDATES = {"ReplaceComputeEnvironment", "UpdatePolicy", "UpdateToLatestImageVersion"}


@dataclass
class Deployment:
    """One deployment: where to, from which checkout, and the layers that it has met so far."""

    aws: EmbeddedAws
    checkout: Path
    stack_name: str
    layers: dict[str, Path] = field(default_factory=dict)

    def name(self, logical_id: str) -> str:
        """A physical name, for a resource that the template does not name.

        CloudFormation adds random letters; here the same resource always has the same name.
        """
        short = re.sub(r"(?<=.)(Bucket|Function|Topic|Rule)$", "", logical_id)
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", short).lower()
        return f"{self.stack_name}-{words}"

    def path(self, key: str) -> Path:
        """A folder or file of the checkout. Raises TemplateError when it is not there."""
        path = self.checkout / key
        if not path.exists():
            raise TemplateError(f"{path} does not exist")
        return path


def deploy_resource(
    deployment: Deployment, logical_id: str, kind: str, properties: Properties
) -> Deployed:
    """Make one resource; its properties are resolved already.

    Raises:
        TemplateError: a type, property or file that there is not.
    """
    if kind in _MAKERS:
        ref, attributes = _MAKERS[kind](deployment, logical_id, properties)
        return Deployed(logical_id, kind, ref, attributes)
    return _made_up(deployment, logical_id, kind, properties)


def _made_up(
    deployment: Deployment, logical_id: str, kind: str, properties: Properties
) -> Deployed:
    if kind.startswith("AWS::Serverless::"):
        raise TemplateError(f"{logical_id}: SAM knows no type {kind}")
    name = deployment.name(logical_id)
    service = kind.split("::")[1].lower()
    arn = f"arn:aws:{service}:{deployment.aws.region}:{ACCOUNT}:{name}"
    if kind == "AWS::IAM::Role":
        name = properties.get("RoleName", name)
        arn = role_arn(name)
    ref = arn if kind == "AWS::IAM::ManagedPolicy" else name
    return Deployed(logical_id, kind, ref, {"Arn": arn}, runs=False)


Made = tuple[str, dict[str, str]]


def _bucket(deployment: Deployment, logical_id: str, properties: Properties) -> Made:
    name = properties.get("BucketName", deployment.name(logical_id))
    notification = properties.get("NotificationConfiguration", {})
    event_bridge = notification.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled", False)
    deployment.aws.create_bucket(BucketSpec(name=name, event_bridge=event_bridge))
    domain = f"{name}.s3.amazonaws.com"
    return name, {"Arn": f"arn:aws:s3:::{name}", "DomainName": domain}


def _queue(deployment: Deployment, logical_id: str, properties: Properties) -> Made:
    name = properties.get("QueueName", deployment.name(logical_id))
    attributes = {
        key: json.dumps(value) if isinstance(value, dict) else str(value).lower()
        for key, value in properties.items()
        if key not in {"QueueName", "Tags"}
    }
    url = deployment.aws.create_queue(QueueSpec(name=name, attributes=attributes))
    arn = queue_arn(deployment.aws.region, name)
    return url, {"Arn": arn, "QueueName": name, "QueueUrl": url}


def _topic(deployment: Deployment, logical_id: str, properties: Properties) -> Made:
    name = properties.get("TopicName", deployment.name(logical_id))
    arn = deployment.aws.create_topic(name)
    return arn, {"TopicArn": arn, "TopicName": name}


def _log_group(deployment: Deployment, logical_id: str, properties: Properties) -> Made:
    name = properties.get("LogGroupName", deployment.name(logical_id))
    deployment.aws.create_log_group(name)
    return name, {"Arn": f"arn:aws:logs:{deployment.aws.region}:{ACCOUNT}:log-group:{name}:*"}


def _layer(deployment: Deployment, _logical_id: str, properties: Properties) -> Made:
    name = properties["LayerName"]
    arn = f"arn:aws:lambda:{deployment.aws.region}:{ACCOUNT}:layer:{name}:1"
    deployment.layers[arn] = deployment.path(properties["Content"]["S3Key"])
    return arn, {"LayerVersionArn": arn}


def _function(deployment: Deployment, logical_id: str, properties: Properties) -> Made:
    name = properties.get("FunctionName", deployment.name(logical_id))
    arn = function_arn(deployment.aws.region, name)
    variables = properties.get("Environment", {}).get("Variables", {})
    deployment.aws.register_function(
        FunctionSpec(
            name=name,
            arn=arn,
            handler=properties["Handler"],
            code_directory=deployment.path(properties["Code"]["S3Key"]),
            layers=tuple(deployment.layers[layer] for layer in properties.get("Layers", [])),
            environment={key: str(value) for key, value in variables.items()},
            timeout_s=float(properties.get("Timeout", 3)),
            memory_mib=int(properties.get("MemorySize", 128)),
            role_arn=properties["Role"],
            reserved_concurrency=properties.get("ReservedConcurrentExecutions"),
            dead_letter_arn=properties.get("DeadLetterConfig", {}).get("TargetArn"),
            logical_id=logical_id,
        )
    )
    return name, {"Arn": arn}


def _event_source_mapping(deployment: Deployment, logical_id: str, properties: Properties) -> Made:
    function = properties["FunctionName"]
    if not function.startswith("arn:"):
        function = function_arn(deployment.aws.region, function)
    responses = properties.get("FunctionResponseTypes", [])
    deployment.aws.map_queue(
        EventSourceMappingSpec(
            queue_arn=properties["EventSourceArn"],
            function_arn=function,
            batch_size=int(properties.get("BatchSize", 10)),
            report_batch_item_failures="ReportBatchItemFailures" in responses,
            maximum_concurrency=properties.get("ScalingConfig", {}).get("MaximumConcurrency"),
            maximum_batching_window_s=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
        )
    )
    return deployment.name(logical_id), {}


def _rule(deployment: Deployment, logical_id: str, properties: Properties) -> Made:
    name = properties.get("Name", deployment.name(logical_id))
    deployment.aws.register_rule(
        RuleSpec(
            name=name,
            targets=tuple(_target(target) for target in properties.get("Targets", [])),
            pattern=properties.get("EventPattern"),
            schedule=properties.get("ScheduleExpression"),
            enabled=properties.get("State", "ENABLED") == "ENABLED",
        )
    )
    return name, {"Arn": rule_arn(deployment.aws.region, name)}


def _target(properties: Properties) -> TargetSpec:
    transformer = properties.get("InputTransformer")
    retry = properties.get("RetryPolicy", {})
    return TargetSpec(
        id=properties["Id"],
        arn=properties["Arn"],
        role_arn=properties.get("RoleArn"),
        input=properties.get("Input"),
        input_path=properties.get("InputPath"),
        input_transformer=transformer
        and InputTransformer(transformer.get("InputPathsMap", {}), transformer["InputTemplate"]),
        dead_letter_arn=properties.get("DeadLetterConfig", {}).get("Arn"),
        retry=RetrySpec(
            maximum_attempts=int(retry.get("MaximumRetryAttempts", RetrySpec.maximum_attempts)),
            maximum_age_s=float(retry.get("MaximumEventAgeInSeconds", RetrySpec.maximum_age_s)),
        ),
    )


def _state_machine(deployment: Deployment, logical_id: str, properties: Properties) -> Made:
    name = properties.get("StateMachineName", deployment.name(logical_id))
    path = deployment.path(properties["DefinitionS3Location"]["Key"])
    definition = substituted(
        yaml.load(path.read_text(encoding="utf-8"), Loader=_YAML_LOADER),  # noqa: S506 - a safe one
        properties.get("DefinitionSubstitutions", {}),
    )
    arn = deployment.aws.create_state_machine(
        StateMachineSpec(name=name, definition=definition, role_arn=properties["RoleArn"])
    )
    return arn, {"Arn": arn, "Name": name}


def substituted(definition: Value, values: Mapping[str, str]) -> Value:
    """A definition with its `${Name}` replaced.

    Raises:
        TemplateError: a name that has no value.
    """
    if isinstance(definition, dict):
        return {key: substituted(value, values) for key, value in definition.items()}
    if isinstance(definition, list):
        return [substituted(value, values) for value in definition]
    if not isinstance(definition, str):
        return definition

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise TemplateError(
                f"the state machine's definition has {match[0]}, which has no value"
            )
        return str(values[match[1]])

    return _SUBSTITUTION.sub(value_of, definition)


def _compute_environment(deployment: Deployment, logical_id: str, properties: Properties) -> Made:
    name = properties.get("ComputeEnvironmentName", deployment.name(logical_id))
    request = {**properties, "ComputeEnvironmentName": name}
    answer = _batch(deployment, "CreateComputeEnvironment", request)
    arn = answer["computeEnvironmentArn"]
    return arn, {"ComputeEnvironmentArn": arn}


def _job_queue(deployment: Deployment, logical_id: str, properties: Properties) -> Made:
    name = properties.get("JobQueueName", deployment.name(logical_id))
    answer = _batch(deployment, "CreateJobQueue", {**properties, "JobQueueName": name})
    return answer["jobQueueArn"], {"JobQueueArn": answer["jobQueueArn"]}


def _job_definition(deployment: Deployment, logical_id: str, properties: Properties) -> Made:
    name = properties.get("JobDefinitionName", deployment.name(logical_id))
    answer = _batch(deployment, "RegisterJobDefinition", {**properties, "JobDefinitionName": name})
    return answer["jobDefinitionArn"], {"JobDefinitionArn": answer["jobDefinitionArn"]}


def _batch(deployment: Deployment, operation: str, properties: Properties) -> dict[str, Any]:
    client = deployment.aws.client("batch")
    shape = client.meta.service_model.operation_model(operation).input_shape
    method = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).lower()
    answer: dict[str, Any] = getattr(client, method)(**as_request(shape, properties))
    return answer


def as_request(shape: Shape, value: Value) -> Value:
    """CloudFormation's properties as the API's parameters: its case, and its types.

    Raises:
        TemplateError: a property that the API does not know.
    """
    if isinstance(shape, StructureShape):
        members = {}
        for name, inner in value.items():
            member = name[0].lower() + name[1:]
            if member in shape.members:
                members[member] = as_request(shape.members[member], inner)
            elif name not in _ONLY_FOR_UPDATES:
                raise TemplateError(f"AWS Batch knows no property {name} in {shape.name}")
        return members
    if isinstance(shape, ListShape):
        return [as_request(shape.member, inner) for inner in value]
    if shape.type_name == "map":
        return {key: str(inner) for key, inner in value.items()}
    convert: dict[str, Callable[[Any], Any]] = {"integer": int, "long": int, "string": str}
    return convert.get(shape.type_name, lambda inner: inner)(value)


_MAKERS: dict[str, Callable[[Deployment, str, Properties], Made]] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::SQS::Queue": _queue,
    "AWS::SNS::Topic": _topic,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::Lambda::LayerVersion": _layer,
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::EventSourceMapping": _event_source_mapping,
    "AWS::Events::Rule": _rule,
    "AWS::StepFunctions::StateMachine": _state_machine,
    "AWS::Batch::ComputeEnvironment": _compute_environment,
    "AWS::Batch::JobQueue": _job_queue,
    "AWS::Batch::JobDefinition": _job_definition,
}
