"""Shows how far a run has come: a screen that lives, or plain lines where nobody watches one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.progress import RunProgress, ShardProgress, unfinished
from drydock.plain import plain

SHARDS_SHOWN = 10
_STATES = ("running", "waiting", "not begun", "left", "complete")


def lines(run: RunProgress, now: float) -> list[str]:
    """The whole in plain lines; ``now`` in seconds since 1970."""
    return [
        f"{run.name} ({run.run_id}), epoch {run.epoch}: {_status(run, now)}",
        *_ending(run),
        *([f"stopped, {run.stop}"] if run.stop else []),
        _counts(run),
        *([f"failed: {_by_class(run)}", _advice(run)] if run.failures else []),
        _shards_in_words(run),
        *_pace(run),
        f"output: {run.output_uri}",
    ]


def screen(run: RunProgress, now: float) -> RenderableType:
    """The whole for a terminal."""
    parts: list[RenderableType] = [
        Text.assemble(
            (plain(run.name), "bold"), f"  {run.run_id}  epoch {run.epoch}  {_status(run, now)}"
        )
    ]
    parts.extend(Text(plain(line), style="red") for line in _ending(run))
    if run.stop:
        parts.append(Text(plain(f"stopped, {run.stop}"), style="yellow"))
    parts.append(_bar(run))
    parts.append(Text(_counts(run)))
    if run.failures:
        parts.append(Text(plain(f"failed: {_by_class(run)}"), style="red"))
        parts.append(Text(plain(_advice(run))))
    parts.extend(Text(line) for line in (_shards_in_words(run), *_pace(run)))
    left = unfinished(run.shards)
    if left:
        parts.append(_table(left[:SHARDS_SHOWN], now))
    if len(left) > SHARDS_SHOWN:
        parts.append(Text(f"… and {len(left) - SHARDS_SHOWN} more", style="dim"))
    parts.append(Text(plain(f"output: {run.output_uri}"), style="dim"))
    return Group(*parts)


def duration(seconds: float) -> str:
    """``2 d 3 h``, ``3 h 12 min``, ``4 min 5 s``: as exact as it is worth."""
    whole = max(0, round(seconds))
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _ending(run: RunProgress) -> list[str]:
    """The name that the execution failed by, and where it is explained; names of AWS's may not."""
    if not run.error or (run.error.startswith("States.") and run.error != "States.Timeout"):
        return [run.error] if run.error else []
    return [f"{run.error}: see {entry(run.error)}"]


def _status(run: RunProgress, now: float) -> str:
    words = {"RUNNING": "goes on", "SUCCEEDED": "done", "FAILED": "ended", "UNKNOWN": "gone"}
    told = words.get(run.status, run.status.lower())
    return f"{told}, since {duration(now - run.started_at)}" if not run.is_over else told


def _counts(run: RunProgress) -> str:
    inputs, settled = run.total("inputs"), run.total("settled")
    if not run.whole:
        if run.is_over:
            return "the manifest was never finished: nothing was begun"
        return "the manifest is being written"
    share = f" ({100 * settled / inputs:.1f} %)" if inputs else ""
    return (
        f"{settled:,} of {inputs:,} inputs settled{share}: {run.total('done'):,} done, "
        f"{run.total('failed'):,} failed, {run.total('skipped'):,} skipped; "
        f"{run.total('remaining'):,} remain, {run.total('running'):,} containers run"
    )


def _by_class(run: RunProgress) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in run.failures.items())


def _advice(run: RunProgress) -> str:
    entries = ", ".join(entry(name) for name in run.failures)
    return f"what to do: {entries}; which inputs: failures.csv of the results"


def entry(name: str) -> str:
    """Where the documentation says what a class or an error is and what to do."""
    name = "Lambda" if name.startswith("Lambda.") else name
    return f"docs/failures.md#{re.sub('[^a-z_]', '', name.lower())}"


def _shards_in_words(run: RunProgress) -> str:
    states, rounds = run.states, run.total("rounds")
    told = ", ".join(f"{states[name]:,} {name}" for name in _STATES if name in states)
    return f"shards: {told or 'none yet'}; {rounds:,} round{'' if rounds == 1 else 's'}"


def _pace(run: RunProgress) -> list[str]:
    told = []
    if run.settled_an_hour:
        left = run.left_s
        until = "" if left is None else f", about {duration(left)} left"
        told.append(f"about {run.settled_an_hour:,.0f} inputs an hour{until}")
    if run.spent_usd is not None:
        cap = "" if run.stop_after_usd is None else f" of {run.stop_after_usd:,.2f}"
        little = run.spent_usd < 0.01
        spent = "less than 0.01" if little else f"about {run.spent_usd:,.2f}"
        told.append(f"{spent}{cap} USD spent")
    elif run.total("settled"):
        told.append("spent: known with the first complete shard")
    return told


def _bar(run: RunProgress) -> RenderableType:
    inputs, settled = run.total("inputs"), run.total("settled")
    row = Table.grid(padding=(0, 1))
    row.add_row(
        ProgressBar(total=max(inputs, 1), completed=settled, width=60),
        f"{100 * settled / max(inputs, 1):.1f} %",
    )
    return row


def _table(shards: list[ShardProgress], now: float) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("shard", "settled", "", "state", "rounds", "queue", "running"):
        table.add_column(
            name, justify="right" if name in ("shard", "rounds", "running") else "left"
        )
    for shard in shards:
        table.add_row(
            str(shard.shard),
            ProgressBar(total=max(shard.inputs, 1), completed=shard.settled, width=20),
            f"{shard.settled:,}/{shard.inputs:,}",
            _state(shard, now),
            str(shard.rounds),
            shard.queue,
            str(shard.running),
        )
    return table


def _state(shard: ShardProgress, now: float) -> str:
    if shard.state == "waiting" and shard.not_before is not None and shard.not_before > now:
        at = datetime.fromtimestamp(shard.not_before, UTC) + timedelta(seconds=0.5)
        return f"next round at {at:%H:%M:%S} UTC"
    return shard.state
