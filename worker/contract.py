"""What the environment tells the worker: the contract of DOCK 3.8 users, and ours.

With ``S3_TASK_LOCATION`` the worker is a child of a drydock run; without it, it was started by
hand and the locations of input and output come from the environment themselves.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from drydock.errors import InvalidUri
from drydock.uris import S3Uri, parse_s3_uri
from worker.endings import Misconfigured
from worker.fetch_and_run import TOOL, FetchAndRun, read_fetch_and_run

DEFAULT_SCRATCH = "/tmp"  # noqa: S108 - the contract's default; the worker makes a private folder in it
# A stop needs time to send outputs up: the tool is told this long before the attempt's end.
GRACE_BEFORE_DEADLINE_S = 90.0


class HandLocations(NamedTuple):
    """What a person who starts the worker says instead of a task document.

    A ``script`` needs no input, and no output when nothing of it is to be kept.
    ``wants_secret_keys``: NO_ACCESS_KEY is empty, which in the original image means that S3 is used
    with keys from Secrets Manager.
    """

    input: S3Uri | None
    output: S3Uri | None
    dockfiles: S3Uri | None
    tool: str | None
    vcpus: int
    wants_secret_keys: bool
    dockexec: S3Uri | None = None
    script: FetchAndRun | None = None


class Contract(NamedTuple):
    """The environment, read. Exactly one of ``task`` and ``by_hand`` is there.

    ``child`` is the array index, 0 for a plain job. ``attempt_seconds`` and
    ``checkpoint_seconds`` are None when the environment says nothing of them.
    """

    child: int
    job_id: str
    attempt: int
    scratch_base: Path
    attempt_seconds: int | None
    checkpoint_seconds: int | None
    task: S3Uri | None
    by_hand: HandLocations | None


def read_contract(environment: Mapping[str, str], arguments: Sequence[str] = ()) -> Contract:
    """Read the environment; ``arguments`` are the container's, which a script's are part of.

    Raises:
        Misconfigured: a variable is missing or has a value that it cannot have.
    """
    task = _location(environment, "S3_TASK_LOCATION")
    return Contract(
        child=_number(environment, "AWS_BATCH_JOB_ARRAY_INDEX", 0) or 0,
        job_id=environment.get("AWS_BATCH_JOB_ID") or "by-hand",
        attempt=_number(environment, "AWS_BATCH_JOB_ATTEMPT", 1, least=1) or 1,
        scratch_base=Path(environment.get("SHRTCACHE") or DEFAULT_SCRATCH),
        attempt_seconds=_number(environment, "ATTEMPT_SECONDS", None),
        checkpoint_seconds=_number(environment, "CHECKPOINT_SECONDS", None),
        task=task,
        by_hand=_hand_locations(environment, arguments) if task is None else None,
    )


def graceful_seconds(attempt_seconds: int) -> float:
    """Seconds from an attempt's start to its graceful stop; half of an attempt too short for it."""
    return max(attempt_seconds - GRACE_BEFORE_DEADLINE_S, attempt_seconds / 2)


def _hand_locations(environment: Mapping[str, str], arguments: Sequence[str]) -> HandLocations:
    script = read_fetch_and_run(environment, arguments)
    given = _location(environment, "S3_INPUT_LOCATION")
    output = _location(environment, "S3_OUTPUT_LOCATION")
    if script is None and (given is None or output is None):
        missing = "S3_INPUT_LOCATION" if given is None else "S3_OUTPUT_LOCATION"
        raise Misconfigured(
            f"{missing} is not set: give S3_TASK_LOCATION, or S3_INPUT_LOCATION and "
            "S3_OUTPUT_LOCATION when starting the worker by hand"
        )
    dockfiles = _location(environment, "S3_DOCKFILES_LOCATION")
    return HandLocations(
        input=given,
        output=None if output is None else output.folder(),
        dockfiles=None if dockfiles is None else dockfiles.folder(),
        tool=environment.get("TOOL") or (None if script is None else TOOL),
        vcpus=_number(environment, "VCPUS", 1, least=1) or 1,
        wants_secret_keys=not environment.get("NO_ACCESS_KEY"),
        dockexec=_location(environment, "S3_DOCKEXEC_LOCATION"),
        script=script,
    )


def _location(environment: Mapping[str, str], name: str) -> S3Uri | None:
    text = environment.get(name, "").strip()
    if not text:
        return None
    try:
        return parse_s3_uri(text)
    except InvalidUri as error:
        raise Misconfigured(f"{name}: {error}") from error


def _number(
    environment: Mapping[str, str], name: str, default: int | None, *, least: int = 0
) -> int | None:
    text = environment.get(name, "").strip()
    if not text:
        return default
    # Only plain digits: int() would also take "1_000" and "٣".
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise Misconfigured(f"{name} is {text!r}: it must be a whole number, {least} or more")
    return int(text)
