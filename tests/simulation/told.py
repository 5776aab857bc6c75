"""How a violation is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Violated(AssertionError):
    """Something does not hold that must: the rule's name, its sentence, and what was seen."""

    def __init__(self, rule: Callable[..., Any], seen: str) -> None:
        self.rule = rule.__name__
        self.sentence = " ".join((rule.__doc__ or "").split())
        self.seen = seen
        super().__init__(f"{self.rule}: {self.sentence} Seen: {seen}")
