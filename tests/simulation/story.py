"""What happened, for people who do not know the simulator: who did what when, and what it broke."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.simulation.kernel import EPOCH_S, Noted

if TYPE_CHECKING:
    from tests.simulation.history import History
    from tests.simulation.watch import Violated

_READS = ("GetObject", "HeadObject", "HeadBucket", "ListObjectsV2", "DescribeExecution")
_READS += ("DescribeJobs", "ListJobs", "DescribeJobDefinitions")
_NOISE = ("results/", "tokens/", "outcomes/")
_MOST = 400


def tell(history: History, violated: Violated, *, whole: bool = False) -> str:
    """The story of a history, down to what did not hold."""
    plan = history.plan
    lines = [
        (
            f"Seed {plan.seed}. {len(plan.inputs)} inputs in shards of {plan.shard_size}, "
            f"{plan.machines} machines, request {plan.request}."
        ),
        *(
            f"  {each.name}: {each.units} units of {each.unit_s:.0f} s, {each.behaviour}"
            + ("" if each.repeats is None else f", repeats input {each.repeats}")
            for each in plan.inputs
        ),
        "",
    ]
    told = [_line(noted) for noted in history.kernel.story if whole or _matters(noted)]
    if len(told) > _MOST and not whole:
        told = [*told[:100], f"… {len(told) - _MOST} lines …", *told[100 - _MOST :]]
    return "\n".join([*lines, *_joined(told), "", *_end(violated)])


def _line(noted: Noted) -> str:
    seconds = noted.at - EPOCH_S
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours:02.0f}:{minutes:02.0f}:{rest:05.2f}  {noted.who}: {noted.what[:300]}"


def _joined(lines: list[str]) -> Iterator[str]:
    """Lines, equal ones in a row but once."""
    before, times = "", 0
    for line in lines:
        same = line[13:]
        if same == before:
            times += 1
            continue
        if times:
            yield f"             … {times} times more"
        before, times = same, 0
        yield line


def _matters(noted: Noted) -> bool:
    """Whether a line says what was decided, written, lost or ended."""
    what = noted.what
    words = what.split()
    if len(words) > 1 and words[1].rstrip(":") in _READS and _is_plain(what):
        return False
    return not (any(each in what for each in _NOISE) and _is_plain(what))


def _is_plain(what: str) -> bool:
    """Whether nothing went wrong with an effect."""
    return ": " not in what


def _end(violated: Violated) -> list[str]:
    return [f"VIOLATED {violated.rule}", violated.sentence, f"Seen: {violated.seen}"]
