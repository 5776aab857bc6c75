"""From a history in which something does not hold to a small one in which the same does not."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.history import History, history_of
from tests.simulation.watch import Violated

Found = tuple[History, Violated]


def shrink(seed: int, most: int = 250, told: Callable[[str], None] | None = None) -> Found:
    """Leave out faults, users' deeds and inputs as long as the same rule is violated.

    Raises:
        ValueError: nothing is violated in the seed's history.
    """
    found = _violation(seed, frozenset(), None)
    if found is None:
        raise ValueError(f"nothing is violated in the history of seed {seed}")
    rule, left_out, budget = found[1].rule, frozenset[str](), most
    step = max(1, len(_names(found[0])) // 2)
    while budget > 0:
        names = _names(found[0])
        shrunk = False
        for at in range(0, len(names), step):
            if budget <= 0:
                break
            budget -= 1
            tried = left_out | frozenset(names[at : at + step])
            smaller = _violation(seed, tried, rule)
            if smaller is not None:
                found, left_out, shrunk = smaller, tried, True
                break
        if told is not None:
            told(f"{len(_names(found[0]))} faults, deeds and inputs are left")
        if not shrunk:
            if step == 1:
                break
            step = max(1, step // 2)
        else:
            step = min(step, max(1, len(_names(found[0])) // 2))
    return found


def _names(history: History) -> list[str]:
    """What could be left out: the faults that happened, and the plan."""
    return [*history.chooser.injected, *history.plan.names()]


def _violation(seed: int, left_out: frozenset[str], rule: str | None) -> Found | None:
    history = history_of(seed, left_out)
    violated = history.run()
    if violated is None or (rule is not None and violated.rule != rule):
        return None
    return history, violated
