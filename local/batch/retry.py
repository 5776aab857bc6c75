"""Whether Batch tries a failed attempt again: retryStrategy with evaluateOnExit, pure."""

from collections.abc import Mapping
from typing import Any


def is_retried(strategy: Mapping[str, Any], attempts: list[dict[str, Any]]) -> bool:
    """The first rule that matches the last attempt decides; what no rule matches is retried.

    Every attempt counts, those that a reclaimed machine ended too.
    """
    if len(attempts) >= strategy.get("attempts", 1):
        return False
    for rule in strategy.get("evaluateOnExit", []):
        if _matches(rule, attempts[-1]):
            return bool(rule["action"].upper() == "RETRY")
    return True


def _matches(rule: Mapping[str, str], attempt: Mapping[str, Any]) -> bool:
    """All given conditions hold; what the attempt does not have is an empty text (`*` fits it)."""
    container = attempt["container"]
    said = {
        "onStatusReason": attempt.get("statusReason", ""),
        "onReason": container.get("reason", ""),
        "onExitCode": str(container.get("exitCode", "")),
    }
    return all(_fits(rule[key], text) for key, text in said.items() if key in rule)


def _fits(pattern: str, text: str) -> bool:
    pattern, text = pattern.lower(), text.lower()
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern
