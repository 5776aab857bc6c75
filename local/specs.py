"""What the deployer tells the embedded AWS about a template: plain data, AWS's own words.

The template reader turns resources into these; `local.embedded.EmbeddedAws` has one
`register_...`/`create_...` method for each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FunctionSpec:
    """A Lambda function: where its code is and what it is given.

    `handler` is "module.attribute" below `code_directory`; `layers` are directories that are put on
    the path behind it (for a layer's content both the directory itself and its `python/`).
    `logical_id` is what the template calls it, and `sam local` with it.
    """

    name: str
    arn: str
    handler: str
    code_directory: Path
    layers: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 3.0
    memory_mib: int = 128
    role_arn: str = ""
    reserved_concurrency: int | None = None
    dead_letter_arn: str | None = None
    logical_id: str = ""


@dataclass(frozen=True)
class RetrySpec:
    """How often and how long a target is tried again.

    EventBridge's own default is 185 tries over 24 hours; a template may say less.
    """

    maximum_attempts: int = 185
    maximum_age_s: float = 86_400.0


@dataclass(frozen=True)
class InputTransformer:
    """AWS's InputTransformer: names to JSON paths, and a template with `<name>` in it."""

    paths: Mapping[str, str]
    template: str


@dataclass(frozen=True)
class TargetSpec:
    """One target of a rule: a queue, a function or a state machine, by its ARN.

    At most one of `input` (a constant JSON text), `input_path` and `input_transformer` is given;
    with none of them the target gets the whole event.
    """

    id: str
    arn: str
    role_arn: str | None = None
    input: str | None = None
    input_path: str | None = None
    input_transformer: InputTransformer | None = None
    dead_letter_arn: str | None = None
    retry: RetrySpec = RetrySpec()


@dataclass(frozen=True)
class RuleSpec:
    """An EventBridge rule: an event pattern or a schedule expression (`rate(15 minutes)`)."""

    name: str
    targets: tuple[TargetSpec, ...]
    pattern: Mapping[str, Any] | None = None
    schedule: str | None = None
    enabled: bool = True


@dataclass(frozen=True)
class EventSourceMappingSpec:
    """A queue whose messages a function is called with."""

    queue_arn: str
    function_arn: str
    batch_size: int = 10
    report_batch_item_failures: bool = False
    maximum_concurrency: int | None = None
    maximum_batching_window_s: float = 0.0


@dataclass(frozen=True)
class QueueSpec:
    """An SQS queue, with `attributes` as CreateQueue takes them (texts, `RedrivePolicy` too)."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BucketSpec:
    """A bucket; `event_bridge` is NotificationConfiguration's EventBridgeConfiguration."""

    name: str
    event_bridge: bool = False


@dataclass(frozen=True)
class StateMachineSpec:
    """A state machine: its definition after substitution, as a document."""

    name: str
    definition: Mapping[str, Any]
    role_arn: str = "arn:aws:iam::123456789012:role/states"
