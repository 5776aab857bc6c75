"""Many small requests at a time: the one door to threads of the core's steps."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(do: Callable[[T], R], items: Iterable[T], readers: int = 16) -> list[R]:
    """What ``do`` says of each item, in their order; ``readers`` of them are asked at a time.

    Raises whatever the first of them raises.
    """
    with ThreadPoolExecutor(max_workers=readers) as pool:
        return list(pool.map(do, items))
