"""The one place that reaches into moto: what its HTTP API does not tell.

moto is pinned to one version, and `tests/embedded/test_moto_backends.py` holds each of these. Its
modules are imported when they are first needed: together they take two seconds.
"""

from datetime import UTC, datetime
from typing import Any

from local.names import ACCOUNT
from local.s3_mirror import ObjectFacts, StoredObject


def run_state_machines() -> None:
    """Have moto interpret state machines; otherwise every execution is made up."""
    from moto.core.config import default_user_config  # noqa: PLC0415

    default_user_config["stepfunctions"] = {"execute_state_machine": True}


def forget_everything() -> None:
    """Empty every service of this process."""
    from moto.moto_api._internal.models import moto_api_backend  # noqa: PLC0415

    moto_api_backend.reset()


def s3_object(bucket: str, key: str) -> tuple[bytes, ObjectFacts] | None:
    """The current version of an object, None when there is none (or a delete marker)."""
    from moto.s3.models import FakeKey  # noqa: PLC0415

    buckets = _backend("s3", "aws").buckets
    found = buckets[bucket].keys.get(key) if bucket in buckets else None
    if not isinstance(found, FakeKey):
        return None
    facts = ObjectFacts(
        etag=found.etag.strip('"'),
        metadata=dict(found.metadata),
        encryption=found.encryption,
        kms_key_id=found.kms_key_id,
    )
    return found.value, facts


def s3_bucket_sends_events(bucket: str) -> bool:
    """Whether the bucket's notification configuration has EventBridgeConfiguration."""
    found = _backend("s3", "aws").buckets.get(bucket)
    configuration = found.notification_configuration if found else None
    return configuration is not None and configuration.event_bridge is not None


def restore_s3_bucket(bucket: str, region: str) -> None:
    """Create a bucket whose data are there already."""
    _backend("s3", "aws").create_bucket(bucket, region)


def restore_s3_object(bucket: str, stored: StoredObject) -> None:
    """Put an object back as it was: same bytes, ETag, metadata and time; nobody is told."""
    restored = _backend("s3", "aws").put_object(
        bucket,
        stored.key,
        stored.body,
        etag=stored.facts.etag,
        encryption=stored.facts.encryption,
        kms_key_id=stored.facts.kms_key_id,
        disable_notification=True,
    )
    restored.set_metadata(dict(stored.facts.metadata))
    restored.last_modified = datetime.fromtimestamp(stored.modified_s, UTC).replace(tzinfo=None)


def queue_backend(region: str) -> Any:
    """SQS of a region."""
    return _backend("sqs", region)


def execution(arn: str) -> Any:
    """The execution of a state machine. Raises moto's ExecutionDoesNotExist."""
    return _backend("stepfunctions", arn.split(":")[3]).describe_execution(arn)


def abort(execution: Any, error: str | None, cause: str | None) -> None:
    """Give a stopped execution its status now, with its reason.

    What the interpreter finds at its own end no longer counts: a stop in the middle of a state's
    beginning makes it see an error of its own, and call the execution FAILED.
    """
    from moto.stepfunctions.parser.api import ExecutionStatus  # noqa: PLC0415

    execution.exec_worker._execution_communication = _Unheard()  # noqa: SLF001
    execution.error, execution.cause = error, cause
    execution.stop_date = datetime.now(UTC)
    execution.exec_status = ExecutionStatus.ABORTED


def make_log_group(region: str, name: str) -> None:
    """Create a log group unless it is there."""
    backend = _backend("logs", region)
    if name not in backend.groups:
        backend.create_log_group(name, {})


def put_log_events(region: str, group: str, stream: str, events: list[tuple[int, str]]) -> None:
    """Add events (milliseconds since 1970, message) to a log stream, which is made if need be.

    Not by the API, which takes some milliseconds a call: a group may have 10,000 streams.
    """
    backend = _backend("logs", region)
    if stream not in backend.groups[group].streams:
        backend.create_log_stream(group, stream)
    told = [{"timestamp": at_ms, "message": message} for at_ms, message in events]
    backend.put_log_events(group, stream, told)


class _Unheard:
    def terminated(self) -> None:
        """Do nothing: the execution has ended before its interpreter."""


def _backend(service: Any, region: str) -> Any:
    if service == "stepfunctions":
        from moto.stepfunctions.parser.models import stepfunctions_parser_backends  # noqa: PLC0415

        return stepfunctions_parser_backends[ACCOUNT][region]
    from moto.backends import get_backend  # noqa: PLC0415

    return get_backend(service)[ACCOUNT][region]
