"""What a mutation is: one safety of the protocol, and the texts without which it is gone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """``old``, which is in ``file`` exactly once, becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """One safety taken out. ``without`` says what the project does then.

    With a ``scene`` it is looked for in that alone, with so many ``faults`` at most; with ``deeds``
    in the histories whose users do one of them.
    """

    name: str
    safety: str
    without: str
    edits: tuple[Edit, ...]
    scene: str | None = None
    deeds: tuple[str, ...] = ()
    faults: int = 1


@dataclass(frozen=True)
class Economy:
    """What can be taken out and nothing is lost or doubled: what it is for, what holds instead."""

    what: str
    holds: str
