"""What the state machine did, step by step: saved when an execution ends, shown whenever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_DETAIL_CHARS = 200


class NoHistory(Exception):
    """Raised when no execution is saved, or none of that name."""


def save_history(states: SFNClient, execution_arn: str, folder: Path) -> Path:
    """Write DescribeExecution and the whole GetExecutionHistory as JSON; return where."""
    events: list[Any] = []
    for page in states.get_paginator("get_execution_history").paginate(executionArn=execution_arn):
        events.extend(page["events"])
    described = dict(states.describe_execution(executionArn=execution_arn))
    described.pop("ResponseMetadata", None)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{execution_arn.rpartition(':')[2]}.json"
    document = {"execution": described, "events": events}
    path.write_text(json.dumps(document, indent=1, default=str))
    return path


def warnings_of(states: SFNClient, execution_arn: str) -> list[str]:
    """What EnumerateInputs told an execution's user; nothing before it is done."""
    page = states.get_execution_history(executionArn=execution_arn, maxResults=100)
    for event in page["events"]:
        exited = event.get("stateExitedEventDetails", {})
        if exited.get("name") == "EnumerateInputs":
            run = json.loads(exited["output"]).get("run", {})
            if run.get("status") != "more":
                return list(run.get("warnings") or [])
    return []


def find_history(folder: Path, name: str | None) -> Path:
    """The saved execution of that name (or the beginning of one), else the newest.

    Raises:
        NoHistory: there is none.
    """
    saved = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    chosen = [path for path in saved if name is None or path.stem.startswith(name)]
    if not chosen:
        wanted = "" if name is None else f" that begins with {name!r}"
        raise NoHistory(f"no execution{wanted} is saved in {folder}; make run saves one")
    return chosen[-1]


def show_history(path: Path, console: Console) -> None:
    """Print a saved history, one line an event, cut to the width of the terminal."""
    document = json.loads(path.read_text())
    execution, events = document["execution"], document["events"]
    lines = [f"{execution['name']}: {execution['status']}"]
    for event in events:
        at, state = str(event["timestamp"])[11:23], _details(event).get("name", "")
        lines.append(f"{at}  {event['type']:<24}  {state:<20}  {_what(event)}")
    width = console.width if console.is_terminal else None
    lines = [line[:width].rstrip() for line in lines]
    lines.append(f"{len(events)} events, whole in {path}")
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _details(event: dict[str, Any]) -> dict[str, Any]:
    found = (value for name, value in event.items() if name.endswith("EventDetails"))
    return next(found, {})


def _what(event: dict[str, Any]) -> str:
    """The telling part of an event's details, on one line."""
    details = _details(event)
    for name in ("error", "cause", "output", "parameters", "input", "resource"):
        if details.get(name):
            return " ".join(str(details[name]).split())[:_DETAIL_CHARS]
    return ""
