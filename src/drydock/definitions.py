"""Job definitions: what of a job's container only its definition can say.

SubmitJob overrides command, environment, vCPUs, memory and GPUs. Image, shared memory and secrets
it cannot, so that each combination of these has a definition of its own, made from the stack's.

https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerOverrides.html
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# So long a definition is given to new epochs; afterwards they get the next one.
PERIOD_S = 30 * 86_400
_OURS = re.compile(r"([0-9]{5})-[0-9a-f]{16}")
_KEPT = ("retryStrategy", "platformCapabilities", "propagateTags", "timeout")


@dataclass(frozen=True, slots=True)
class Container:
    """``secrets`` maps the name of a variable to the ARN of its value."""

    image: str
    shm_mib: int
    secrets: Mapping[str, str] = field(default_factory=dict)


def definition_name(stack_arn: str, container: Container, now: float) -> str:
    """The name of a container's definition: its hash, after the stack's name and the period.

    The stack's ARN has a revision, which an update of the stack raises.
    """
    made_from = json.dumps([stack_arn, asdict(container)], sort_keys=True)
    digest = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    return f"{name_prefix(stack_arn)}{period_of(now):05d}-{digest}"


def name_prefix(stack_arn: str) -> str:
    """What the names of all definitions begin with that are made from the stack's own."""
    return f"{stack_arn.rpartition('/')[2].partition(':')[0]}-"


def period_of(now: float) -> int:
    """The period that a time (seconds since 1970) lies in."""
    return int(now // PERIOD_S)


def is_past(arn: str, stack_arn: str, now: float) -> bool:
    """Whether a definition is one of ours that has not been given to an epoch for a whole period.

    What only begins like ours is somebody else's.
    """
    name, prefix = arn.rpartition("/")[2].partition(":")[0], name_prefix(stack_arn)
    rest = _OURS.fullmatch(name.removeprefix(prefix)) if name.startswith(prefix) else None
    return rest is not None and int(rest[1]) < period_of(now) - 1


def definition_of(own: Mapping[str, Any], name: str, container: Container) -> dict[str, Any]:
    """RegisterJobDefinition's parameters, from what Batch says of the stack's own definition."""
    properties = own["containerProperties"]
    linux = {**properties.get("linuxParameters", {}), "sharedMemorySize": container.shm_mib}
    secrets = [{"name": each, "valueFrom": arn} for each, arn in sorted(container.secrets.items())]
    return {
        "jobDefinitionName": name,
        "type": "container",
        "containerProperties": {
            **properties,
            "image": container.image,
            "linuxParameters": linux,
            "secrets": secrets,
        },
        **{each: own[each] for each in _KEPT if each in own},
    }


def is_for(definition: Mapping[str, Any], container: Container) -> bool:
    """Whether a definition, as Batch describes it, is that of the container."""
    properties = definition["containerProperties"]
    secrets = {each["name"]: each["valueFrom"] for each in properties.get("secrets", [])}
    return (
        properties["image"] == container.image
        and properties.get("linuxParameters", {}).get("sharedMemorySize") == container.shm_mib
        and secrets == dict(container.secrets)
    )
