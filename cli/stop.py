"""Stops a run by its stack's StopRun function."""

from __future__ import annotations

import json

import boto3
from botocore.exceptions import ClientError

from cli.stack import Stack


class StopRefused(Exception):
    """Raised when StopRun could not be called, or said no; the text says why."""


def stop_run(stack: Stack, run_id: str, *, now: bool) -> None:
    """Stop a run; with ``now`` what runs is ended too.

    Raises:
        StopRefused: the caller may not call the function, or it failed.
    """
    event = json.dumps({"run_id": run_id, "now": now})
    try:
        answer = boto3.client("lambda").invoke(FunctionName=stack.stop_run_function, Payload=event)
    except ClientError as error:
        raise StopRefused(f"{stack.stop_run_function} cannot be called: {error}") from error
    payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise StopRefused(f"StopRun failed: {payload.get('errorMessage', payload)}")
