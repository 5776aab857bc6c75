"""What AWS Batch refuses, in words like its own: pure checks, each raises `RefusedError`.

Sources: the API reference of AWS Batch (SubmitJob, RegisterJobDefinition, EvaluateOnExit) and the
quotas page of its user guide; the texts as users quote them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MAX_ATTEMPTS = 10
MAX_ARRAY_SIZE = 10_000
MAX_RULES = 5
MAX_REQUEST_BYTES = 30 * 1024
MAX_OVERRIDES_CHARS = 8192
MAX_REASON_CHARS = 1024
MIN_TIMEOUT_S = 60
MIN_TIME_LIMIT_S = 600
MAX_TIME_LIMIT_S = 86_400
TIME_LIMIT_REASONS = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
)
MIN_MEMORY_MIB = 4
# What Fargate has below one.
_PARTS_OF_A_VCPU = ("0.25", "0.5", ".25", ".5")

# https://docs.aws.amazon.com/batch/latest/APIReference/API_Tmpfs.html
_TMPFS_OPTIONS = (
    "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount mand nomand atime "
    "noatime diratime nodiratime bind rbind unbindable runbindable private rprivate shared rshared "
    "slave rslave relatime norelatime strictatime nostrictatime mode uid gid nr_inodes nr_blocks "
    "mpol"
)
# The ARN of a secret or of a parameter, or a parameter's name.
_SECRET_SOURCE = re.compile(
    r"arn:aws[a-z-]*:(?:secretsmanager:[^:]+:[0-9]{12}:secret|ssm:[^:]+:[0-9]{12}:parameter).+"
    r"|/?[A-Za-z0-9_.-][A-Za-z0-9/_.-]*"
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_TEXT_PATTERN = re.compile(r"[0-9A-Za-z.:\s]*\*?")
_CODE_PATTERN = re.compile(r"[0-9]*\*?")
_PATTERNS = {
    "onStatusReason": _TEXT_PATTERN,
    "onReason": _TEXT_PATTERN,
    "onExitCode": _CODE_PATTERN,
}


class RefusedError(Exception):
    """A ClientException: the request is refused and nothing has happened."""


def check_name(what: str, name: str) -> None:
    """Job, queue, definition and environment names share one pattern."""
    if not _NAME.fullmatch(name):
        raise RefusedError(f"{what} should match valid pattern, {_NAME.pattern}: {name!r}")


def check_array_size(size: int) -> None:
    """2 to 10,000: an array of one is a plain job."""
    if not 2 <= size <= MAX_ARRAY_SIZE:
        raise RefusedError(f"Array size must be between 2 and {MAX_ARRAY_SIZE}, got {size}")


def check_request_size(body: bytes) -> None:
    """SubmitJob takes 30 KiB."""
    if len(body) >= MAX_REQUEST_BYTES:
        raise RefusedError(f"Job size must be less than 30 KiB, got {len(body) // 1024} KiB")


def check_reason(reason: str) -> None:
    """Why a job is cancelled or terminated: 1,024 characters."""
    if len(reason) > MAX_REASON_CHARS:
        raise RefusedError(
            f"Reason must have at most {MAX_REASON_CHARS} characters, got {len(reason)}"
        )


def check_retry_strategy(strategy: Mapping[str, Any]) -> None:
    """Attempts, and at most five rules whose patterns end with a `*` or have none."""
    rules: Sequence[Mapping[str, str]] = strategy.get("evaluateOnExit", [])
    attempts = strategy.get("attempts")
    if attempts is None and rules:
        raise RefusedError("RetryStrategy attempts must be specified with evaluateOnExit")
    if attempts is not None and not 1 <= attempts <= MAX_ATTEMPTS:
        raise RefusedError(
            f"RetryStrategy attempts must be between 1 and {MAX_ATTEMPTS}, got {attempts}"
        )
    if len(rules) > MAX_RULES:
        raise RefusedError(
            f"Evaluate on exit should have at most {MAX_RULES} conditions, got {len(rules)}"
        )
    for rule in rules:
        _check_rule(rule)


def _check_rule(rule: Mapping[str, str]) -> None:
    if rule["action"].upper() not in {"RETRY", "EXIT"}:
        raise RefusedError(f"Evaluate on exit action must be RETRY or EXIT, got {rule['action']!r}")
    given = {key: rule[key] for key in _PATTERNS if key in rule}
    if not given:
        raise RefusedError(f"Evaluate on exit needs one of {', '.join(_PATTERNS)}")
    for key, pattern in given.items():
        if len(pattern) > 512 or not pattern or not _PATTERNS[key].fullmatch(pattern):
            raise RefusedError(
                f"Evaluate on exit condition contains restricted characters: {key} {pattern!r}"
            )


def check_time_limits(actions: Iterable[Mapping[str, Any]]) -> None:
    """What a queue does with a job at its head that cannot start.

    https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable_time_limit_actions.html
    """
    for action in actions:
        kind, seconds = (action["state"], action["action"]), action["maxTimeSeconds"]
        if kind != ("RUNNABLE", "CANCEL"):
            raise RefusedError(f"JobStateTimeLimitActions CANCEL what is RUNNABLE, got {kind}")
        if action["reason"] not in TIME_LIMIT_REASONS:
            raise RefusedError(
                f"JobStateTimeLimitActions reason must be one of {', '.join(TIME_LIMIT_REASONS)}, "
                f"got {action['reason']}"
            )
        if not MIN_TIME_LIMIT_S <= seconds <= MAX_TIME_LIMIT_S:
            raise RefusedError(
                f"JobStateTimeLimitActions maxTimeSeconds must be between {MIN_TIME_LIMIT_S} and "
                f"{MAX_TIME_LIMIT_S}, got {seconds}"
            )


def check_timeout(timeout: Mapping[str, Any]) -> None:
    """A minute at least."""
    seconds = timeout.get("attemptDurationSeconds")
    if seconds is not None and seconds < MIN_TIMEOUT_S:
        raise RefusedError(
            f"Timeout attemptDurationSeconds must be at least {MIN_TIMEOUT_S} seconds, "
            f"got {seconds}"
        )


def check_container(container: Mapping[str, Any], *, on_fargate: bool = False) -> None:
    """What containerProperties and containerOverrides have in common."""
    if "" in container.get("command", []):
        raise RefusedError("Command field cannot have empty strings")
    _check_environment(container.get("environment", []))
    for requirement in container.get("resourceRequirements", []):
        kind, value = requirement["type"], requirement["value"]
        if not (on_fargate and kind == "VCPU" and value in _PARTS_OF_A_VCPU):
            _check_resource(kind, value)


def check_capabilities(wanted: Sequence[str]) -> None:
    """A definition for Fargate alone is registered, but no queue of machines takes its jobs."""
    if wanted and "EC2" not in wanted:
        raise RefusedError(
            "Job Queue is attached to Compute Environment that can not run Jobs with capability "
            f"{wanted[0]}"
        )


def check_complete(container: Mapping[str, Any]) -> None:
    """A job definition names an image, vCPUs and memory."""
    if not container.get("image"):
        raise RefusedError("Container properties should not be without image")
    given = {requirement["type"] for requirement in container.get("resourceRequirements", [])}
    for kind, older in (("VCPU", "vcpus"), ("MEMORY", "memory")):
        if kind not in given and not container.get(older):
            raise RefusedError(f"Container properties should specify {kind}")


def check_mounts(container: Mapping[str, Any]) -> None:
    """Each is of a volume that the container has; the words are ECS's."""
    volumes = {volume.get("name") for volume in container.get("volumes", [])}
    for mount in container.get("mountPoints", []):
        if mount.get("sourceVolume") not in volumes:
            raise RefusedError(f"Unknown volume '{mount.get('sourceVolume')}'.")


def check_linux_parameters(linux: Mapping[str, Any]) -> None:
    """Sizes in MiB, absolute paths, and the mount options that the API's reference lists."""
    if linux.get("sharedMemorySize", 1) < 1:
        raise RefusedError(f"sharedMemorySize must be positive, got {linux['sharedMemorySize']}")
    for tmpfs in linux.get("tmpfs", []):
        path = tmpfs["containerPath"]
        if not path.startswith("/"):
            raise RefusedError(f"Tmpfs containerPath must be absolute, got {path!r}")
        if tmpfs["size"] < 1:
            raise RefusedError(f"Tmpfs size of {path} must be positive, got {tmpfs['size']}")
        unknown = set(tmpfs.get("mountOptions", [])) - set(_TMPFS_OPTIONS.split())
        if unknown:
            raise RefusedError(f"Tmpfs mountOptions of {path} are invalid: {sorted(unknown)}")


def check_secrets(container: Mapping[str, Any]) -> None:
    """Each has a name of its own, and an execution role that may read it."""
    secrets = container.get("secrets", [])
    if secrets and not container.get("executionRoleArn"):
        raise RefusedError("executionRoleArn must be specified when secrets are used")
    taken = [variable.get("name", "") for variable in container.get("environment", [])]
    for secret in secrets:
        name, source = secret["name"], secret["valueFrom"]
        if not name or name in taken:
            raise RefusedError(
                f"The secret name must be unique and not shared with any new or existing "
                f"environment variables set on the container, such as {name!r}"
            )
        if not _SECRET_SOURCE.fullmatch(source):
            raise RefusedError(f"Invalid valueFrom for secret {name}: {source!r}")
        taken.append(name)


def _check_environment(environment: Iterable[Mapping[str, str]]) -> None:
    for variable in environment:
        name = variable.get("name", "")
        if not name or name.startswith("AWS_BATCH"):
            raise RefusedError(
                f"Environment variable {name!r}: names must not be empty or start with AWS_BATCH"
            )


def _check_resource(kind: str, value: str) -> None:
    least = {"VCPU": 1, "MEMORY": MIN_MEMORY_MIB, "GPU": 1}.get(kind)
    if least is None:
        raise RefusedError(f"Resource requirement {kind!r} is none of VCPU, MEMORY, GPU")
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) < least:
        raise RefusedError(
            f"Resource requirement {kind} must be a whole number of at least {least}, got {value!r}"
        )
