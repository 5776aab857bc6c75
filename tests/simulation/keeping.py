"""Moments of a world that are kept, to be brought back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sortedcontainers import SortedDict


def keep(things: Iterable[Any], containers: Iterable[Any]) -> Callable[[], None]:
    """Take note of the fields of things and of what is in containers; the answer brings it back.

    Containers are lists, sets and dictionaries. Of what is in them only lists in dictionaries may
    be changed; all else must be replaced by others.
    """
    fields = [(thing.__dict__, dict(thing.__dict__)) for thing in things]
    contents = [(container, _copy(container)) for container in containers]

    def bring_back() -> None:
        for now, kept in fields:
            now.update(kept)
        for container, kept in contents:
            _fill(container, kept)

    return bring_back


def _copy(container: Any) -> Any:
    if isinstance(container, SortedDict):
        return dict(container)
    if isinstance(container, dict):
        return {key: list(each) if type(each) is list else each for key, each in container.items()}
    return list(container)


def _fill(container: Any, kept: Any) -> None:
    if isinstance(container, list):
        container[:] = kept
    elif isinstance(container, SortedDict):
        # Most of it is as it was, and each key takes its time.
        for key, each in kept.items():
            if container.get(key) is not each:
                container[key] = each
        if len(container) > len(kept):
            for key in [key for key in container if key not in kept]:
                del container[key]
    else:
        container.clear()
        container.update(_copy(kept) if isinstance(container, dict) else kept)
