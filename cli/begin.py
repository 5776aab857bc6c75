"""Finds a run whose request was uploaded just now: EnumerateInputs takes seconds to begin it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from cli.look import Doors, RunNotFound, find_run, run_of
from cli.say import say
from drydock.concurrency import each
from drydock.errors import DrydockError, NotFound
from drydock.keys import INTAKE_REJECTED_SUFFIX
from drydock.uris import S3Uri, parse_s3_uri

WAIT_S = 60.0
LOOK_EVERY_S = 3.0
_REQUEST_SUFFIX = ".json"
# No request is larger; whatever else was refused is not read as a whole.
_READ_BYTES = 256 * 1024


def awaited(doors: Doors, given: str, sleep: Callable[[float], None]) -> str:
    """The id of the run that is named as for :func:`find_run`, once it has begun.

    Raises:
        RunNotFound: there is none after a minute, or what was given can name none.
    """
    until, is_told = doors.now() + WAIT_S, False
    while True:
        try:
            run_id = find_run(doors, given)
            run_of(doors, run_id)
        except RunNotFound as error:
            if not isinstance(error.__cause__, NotFound):
                raise
            if doors.now() >= until:
                raise RunNotFound(f"{error}{_refusal(doors, given)}") from error
            if not is_told:
                say(f"drydock: {error}; asking again for a minute, it may be beginning", err=True)
            is_told = True
            sleep(LOOK_EVERY_S)
        else:
            return run_id


def _refusal(doors: Doors, given: str) -> str:
    """What to say of a request for that output that was refused; empty where none is found.

    Only an output names a run that never began.
    """
    with suppress(DrydockError):
        output, bucket = parse_s3_uri(given).folder(), doors.stack.intake_bucket
        refused = [
            found.key
            for found in doors.store.list(bucket, "")
            if found.key.endswith(_REQUEST_SUFFIX + INTAKE_REJECTED_SUFFIX)
        ]
        outputs = each(
            lambda key: _output_of(doors, key.removesuffix(INTAKE_REJECTED_SUFFIX)), refused
        )
        for key, asked_for in zip(refused, outputs, strict=True):
            if asked_for == output:
                return f"; a request for it was refused: s3://{bucket}/{key} says why"
    return ""


def _output_of(doors: Doors, key: str) -> S3Uri | None:
    """The output that a request in the intake bucket asks for; None of what is no request."""
    try:
        found = doors.store.get(
            doors.stack.intake_bucket, key, first_byte=0, last_byte=_READ_BYTES - 1
        )
        return parse_s3_uri(str(json.loads(found.body)["output"])).folder()
    except (DrydockError, ValueError, KeyError, TypeError, RecursionError):
        return None
