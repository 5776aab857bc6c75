"""Compute environments, job queues and job definitions: what is deployed before jobs are."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from local.batch.model import Queue
from local.batch.validation import (
    RefusedError,
    check_complete,
    check_container,
    check_linux_parameters,
    check_mounts,
    check_name,
    check_retry_strategy,
    check_secrets,
    check_time_limits,
    check_timeout,
)

_REFERENCE = re.compile(r"(?:arn:.*:job-definition/)?([A-Za-z0-9_-]{1,128})(?::([0-9]+))?")


class Registry:
    """What the Create and Register calls made; not thread-safe, the caller holds a lock."""

    def __init__(self, region: str, account: str) -> None:
        self.queues: dict[str, Queue] = {}
        self._arn = f"arn:aws:batch:{region}:{account}"
        self._environments: dict[str, dict[str, Any]] = {}
        self._definitions: dict[str, list[dict[str, Any]]] = {}

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a `job`, `job-queue`, `job-definition` or `compute-environment`."""
        return f"{self._arn}:{kind}/{name}"

    # -- compute environments

    def create_environment(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """CreateComputeEnvironment: kept as given; all are the same machines here."""
        name = request["computeEnvironmentName"]
        check_name("Compute environment name", name)
        if name in self._environments:
            raise RefusedError("Object already exists")
        arn = self.arn("compute-environment", name)
        self._environments[name] = {
            "state": "ENABLED",
            "tags": {},
            **request,
            "computeEnvironmentArn": arn,
            "status": "VALID",
            "statusReason": "ComputeEnvironment Healthy",
            "containerOrchestrationType": "ECS",
        }
        return {"computeEnvironmentName": name, "computeEnvironmentArn": arn}

    def describe_environments(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeComputeEnvironments, by names or ARNs or all."""
        wanted = _names(request.get("computeEnvironments"), self._environments)
        found = [self._environments[name] for name in wanted if name in self._environments]
        return {"computeEnvironments": found}

    # -- queues

    def create_queue(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """CreateJobQueue."""
        name = request["jobQueueName"]
        check_name("Job queue name", name)
        if name in self.queues:
            raise RefusedError("Object already exists")
        order = sorted(request.get("computeEnvironmentOrder", []), key=lambda each: each["order"])
        if not 1 <= len(order) <= 3:
            raise RefusedError("Job queue needs one to three compute environments")
        for each in order:
            environment = each["computeEnvironment"].rpartition("/")[2]
            if environment not in self._environments:
                raise RefusedError(f"Compute environment {environment} does not exist")
        limits = request.get("jobStateTimeLimitActions", [])
        check_time_limits(limits)
        queue = Queue(
            name=name,
            arn=self.arn("job-queue", name),
            priority=request["priority"],
            state=request.get("state", "ENABLED"),
            environments=order,
            tags=request.get("tags", {}),
            time_limits=limits,
        )
        self.queues[name] = queue
        return {"jobQueueName": name, "jobQueueArn": queue.arn}

    def describe_queues(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeJobQueues, by names or ARNs or all."""
        wanted = _names(request.get("jobQueues"), self.queues)
        return {"jobQueues": [self.queues[n].detail() for n in wanted if n in self.queues]}

    def queue(self, reference: str) -> Queue:
        """The queue of that name or ARN. Raises RefusedError."""
        name = reference.removeprefix(self.arn("job-queue", ""))
        if name not in self.queues:
            raise RefusedError(f"JobQueue {reference} not found")
        return self.queues[name]

    # -- definitions

    def register_definition(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """RegisterJobDefinition: a new revision of that name."""
        name = request["jobDefinitionName"]
        check_name("Job definition name", name)
        if request["type"] != "container" or "containerProperties" not in request:
            raise RefusedError(
                "The embedded AWS runs job definitions with containerProperties only"
            )
        capabilities = request.get("platformCapabilities", ["EC2"])
        check_container(request["containerProperties"], on_fargate="FARGATE" in capabilities)
        check_complete(request["containerProperties"])
        check_secrets(request["containerProperties"])
        check_mounts(request["containerProperties"])
        check_linux_parameters(request["containerProperties"].get("linuxParameters", {}))
        check_retry_strategy(request.get("retryStrategy", {}))
        check_timeout(request.get("timeout", {}))
        revisions = self._definitions.setdefault(name, [])
        revision = len(revisions) + 1
        arn = self.arn("job-definition", f"{name}:{revision}")
        revisions.append(
            {
                "tags": {},
                "parameters": {},
                "platformCapabilities": ["EC2"],
                **request,
                "jobDefinitionArn": arn,
                "revision": revision,
                "status": "ACTIVE",
                "containerOrchestrationType": "ECS",
            }
        )
        return {"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": revision}

    def deregister_definition(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """DeregisterJobDefinition: no new jobs; it stays to be described."""
        self.definition(request["jobDefinition"])["status"] = "INACTIVE"
        return {}

    def describe_definitions(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeJobDefinitions, by references, by name or all; in one page."""
        if "jobDefinitions" in request:
            found = [each for ref in request["jobDefinitions"] for each in self._revisions(ref)]
        elif "jobDefinitionName" in request:
            found = list(self._revisions(request["jobDefinitionName"]))
        else:
            found = [each for revisions in self._definitions.values() for each in revisions]
        status = request.get("status")
        return {"jobDefinitions": [each for each in found if status in {None, each["status"]}]}

    def definition(self, reference: str) -> dict[str, Any]:
        """The active one of that ARN, name:revision or name (latest). Raises RefusedError."""
        active = [each for each in self._revisions(reference) if each["status"] == "ACTIVE"]
        if not active:
            raise RefusedError(f"Job definition {reference} does not exist or is not ACTIVE")
        return active[-1]

    def _revisions(self, reference: str) -> list[dict[str, Any]]:
        found = _REFERENCE.fullmatch(reference)
        revisions = self._definitions.get(found[1], []) if found else []
        if found is None or found[2] is None:
            return revisions
        return [each for each in revisions if each["revision"] == int(found[2])]


def _names(wanted: Iterable[str] | None, known: Iterable[str]) -> list[str]:
    """Names, of names or ARNs; all that are known when none are asked for."""
    return [each.rpartition("/")[2] for each in wanted] if wanted else list(known)
