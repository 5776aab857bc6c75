"""What a rule hands to its target: the event, a part of it, or a text made from it."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from local.events import Event
from local.names import rule_arn
from local.specs import RuleSpec, TargetSpec

_VARIABLE = re.compile(r"<([A-Za-z0-9_.-]+)>")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]|\['([^']+)'\]")


class PathInvalidError(ValueError):
    """A JSON path that is none, or in a form that EventBridge does not take."""


def target_input(target: TargetSpec, rule: RuleSpec, event: Event) -> str:
    """The JSON text that the target gets (EventBridge user guide, "Input transformation")."""
    if target.input is not None:
        return target.input
    if target.input_path is not None:
        return json.dumps(at_path(event, target.input_path))
    if target.input_transformer is None:
        return json.dumps(event)
    values = {name: at_path(event, path) for name, path in target.input_transformer.paths.items()}
    arn = rule_arn(event["region"], rule.name)
    values |= {
        "aws.events.rule-arn": arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event": event,
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return _fill(target.input_transformer.template, values)


def at_path(document: Any, path: str) -> Any:
    """What `$.a.b[0]` points to, None when it points nowhere. Raises PathInvalidError."""
    rest = path.removeprefix("$")
    if not path.startswith("$") or _STEP.sub("", rest):
        raise PathInvalidError(f"{path!r} is no path of the form $.detail.name or $.resources[0]")
    found = document
    for name, index, quoted in _STEP.findall(rest):
        try:
            found = found[int(index)] if index else found[name or quoted]
        except (KeyError, IndexError, TypeError):
            return None
    return found


def _fill(template: str, values: dict[str, Any]) -> str:
    """Put the values in: as JSON, or as their bare text inside a JSON string."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        inside_string = template[: match.start()].replace('\\"', "").count('"') % 2 == 1
        found = values[match[1]]
        if not inside_string:
            return json.dumps(found)
        text = found if isinstance(found, str) else json.dumps(found)
        return json.dumps(text)[1:-1]

    return _VARIABLE.sub(value, template)
