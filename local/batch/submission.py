"""SubmitJob: from a request and a job definition to the job and its children."""

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from local.batch.model import Job, Spec, now_ms
from local.batch.registry import Registry
from local.batch.validation import (
    RefusedError,
    check_array_size,
    check_capabilities,
    check_container,
    check_name,
    check_retry_strategy,
    check_timeout,
)

_NOT_HERE = (
    "consumableResourcePropertiesOverride",
    "dependsOn",
    "ecsPropertiesOverride",
    "eksPropertiesOverride",
    "nodeOverrides",
    "schedulingPriorityOverride",
    "shareIdentifier",
)


def make_job(
    request: Mapping[str, Any],
    registry: Registry,
    job_id: str | None = None,
    created_ms: int | None = None,
) -> Job:
    """The job that a SubmitJob request asks for, made now if nothing else is said.

    Raises RefusedError.
    """
    check_name("Job name", request["jobName"])
    for key in _NOT_HERE:
        if request.get(key):
            raise RefusedError(f"The embedded AWS does not run jobs with {key}")
    spec = _spec(request, registry)
    job_id = job_id or str(uuid.uuid4())
    created = now_ms() if created_ms is None else created_ms
    job = Job(id=job_id, arn=registry.arn("job", job_id), spec=spec, created_ms=created)
    size = request.get("arrayProperties", {}).get("size")
    if size is not None:
        check_array_size(size)
        job.children = [
            Job(f"{job_id}:{n}", f"{job.arn}:{n}", spec, parent=job, index=n, created_ms=created)
            for n in range(size)
        ]
    return job


def _spec(request: Mapping[str, Any], registry: Registry) -> Spec:
    queue = registry.queue(request["jobQueue"])
    if queue.state != "ENABLED":
        raise RefusedError(f"JobQueue {queue.name} is not in the ENABLED state")
    definition = registry.definition(request["jobDefinition"])
    check_capabilities(definition["platformCapabilities"])
    overrides = request.get("containerOverrides", {})
    retry = request.get("retryStrategy") or definition.get("retryStrategy") or {}
    timeout = request.get("timeout") or definition.get("timeout") or {}
    check_container(overrides)
    check_retry_strategy(retry)
    check_timeout(timeout)
    parameters = {**definition["parameters"], **request.get("parameters", {})}
    container = _container(definition["containerProperties"], overrides, parameters)
    needs = {each["type"]: int(each["value"]) for each in container["resourceRequirements"]}
    return Spec(
        name=request["jobName"],
        queue=queue,
        definition_arn=definition["jobDefinitionArn"],
        container=container,
        retry_strategy={"attempts": 1, **retry},
        timeout_s=timeout.get("attemptDurationSeconds"),
        vcpus=needs["VCPU"],
        gpus=needs.get("GPU", 0),
        parameters=parameters,
        tags=request.get("tags", {}),
        overrides_chars=len(json.dumps(overrides, separators=(",", ":"), ensure_ascii=False)),
    )


def _container(
    properties: Mapping[str, Any], overrides: Mapping[str, Any], parameters: Mapping[str, str]
) -> dict[str, Any]:
    """ContainerDetail: the definition's container with what the request overrides."""
    command = overrides.get("command") or properties.get("command", [])
    return {
        "volumes": [],
        "mountPoints": [],
        "ulimits": [],
        "secrets": [],
        **{key: value for key, value in properties.items() if key not in {"vcpus", "memory"}},
        "command": [_substituted(word, parameters) for word in command],
        "environment": _merged("name", properties, overrides, "environment"),
        "resourceRequirements": _merged(
            "type", _modern(properties), _modern(overrides), "resourceRequirements"
        ),
        "networkInterfaces": [],
    }


def _modern(container: Mapping[str, Any]) -> dict[str, Any]:
    """`vcpus` and `memory` of older definitions as resource requirements."""
    older = [
        {"type": kind, "value": str(container[key])}
        for key, kind in (("vcpus", "VCPU"), ("memory", "MEMORY"))
        if container.get(key)
    ]
    return {"resourceRequirements": [*older, *container.get("resourceRequirements", [])]}


def _merged(
    key: str, below: Mapping[str, Any], above: Mapping[str, Any], name: str
) -> list[dict[str, str]]:
    """Two lists of named things, where the second has the last word."""
    entries: Iterable[dict[str, str]] = [*below.get(name, []), *above.get(name, [])]
    return list({entry[key]: entry for entry in entries}.values())


def _substituted(word: str, parameters: Mapping[str, str]) -> str:
    """`Ref::name` in a command is the parameter of that name, where there is one."""
    return parameters.get(word.removeprefix("Ref::"), word) if word.startswith("Ref::") else word
