"""What runs of 10^3 to 10^9 inputs cost and ask: docs/scale.json with docs/prices.yaml's prices.

usage: python scripts/scale.py        writes the table of benchmarks/README.md anew

Counts are those of docs/scale.json (tests/costs/sizes.py); beyond the largest run that was counted
they are taken to grow with the inputs, and are told apart. scripts/scale_plot.py draws them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scripts import costs

PAGE = costs.ROOT / "benchmarks/README.md"
BEGIN, END = "<!-- make scale-plot writes this table -->", "<!-- until here -->"
SIZES = tuple(10**power for power in range(3, 10))
# The others' ideas: each input a job, waited for by an item of a Map, or asked for once a minute.
MAP, POLLED = "a Map item a job", "each job polled"
# https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html
BATCH_CALLS_A_DAY = 50 * 86_400
# What is charged, by the names of costs.million_rows.
SERVICES = {
    "S3 requests of containers": ("PUT and LIST by containers", "GET by containers"),
    "S3 requests of functions": ("PUT and LIST by functions", "GET by functions"),
    "Step Functions": ("state transitions",),
    "Lambda": ("calls of functions", "their GB-seconds"),
    "SQS": ("requests of the queue",),
    "CloudWatch Logs": ("logs of containers, GB",),
}


@dataclass(frozen=True)
class Point:
    """A run of one size: USD by service, and what it asks. ``counted``: it was really run."""

    inputs: int
    usd: dict[str, float]
    batch_calls: float
    transitions: float
    s3_requests: float
    counted: bool

    @property
    def total(self) -> float:
        """USD for all of it."""
        return sum(self.usd.values())

    def grown(self, inputs: int) -> Point:
        """The same with so many inputs, if everything grows with them."""
        by = inputs / self.inputs
        usd = {service: by * each for service, each in self.usd.items()}
        asked = (self.batch_calls, self.transitions, self.s3_requests)
        return Point(inputs, usd, *(by * each for each in asked), counted=False)


@dataclass(frozen=True)
class Way:
    """One way to have inputs worked on, at every size."""

    name: str
    is_ours: bool
    points: tuple[Point, ...]

    @property
    def last_counted(self) -> Point:
        """The largest that was run."""
        return max((each for each in self.points if each.counted), key=lambda each: each.inputs)


def counts() -> dict[str, Any]:
    """docs/scale.json."""
    found: dict[str, Any] = json.loads((costs.ROOT / "docs/scale.json").read_text("utf-8"))
    return found


def ways(sources: costs.Sources, counted: dict[str, Any]) -> list[Way]:
    """Ours in two packings, and the others' two ideas."""
    found = []
    for pack in sorted({run["inputs_per_job"] for run in counted["runs"]}):
        runs = [run for run in counted["runs"] if run["inputs_per_job"] == pack]
        name = f"ours, {pack} a job"
        found.append(Way(name, True, _to_the_end(_of_run(sources, run) for run in runs)))
    for peer, name in (("map", MAP), ("polling", POLLED)):
        points = (_of_peer(sources, each["inputs"], each[peer]) for each in counted["peers"])
        found.append(Way(name, False, _to_the_end(points)))
    return found


def _of_run(sources: costs.Sources, run: dict[str, Any]) -> Point:
    share = run["inputs"] / costs.MILLION
    rows = {
        what: (share * many, share * usd) for what, many, usd in costs.million_rows(sources, run)
    }
    usd = {service: sum(rows[what][1] for what in parts) for service, parts in SERVICES.items()}
    requests = sum(
        rows[what][0] for service, parts in SERVICES.items() for what in parts if "S3" in service
    )
    return Point(run["inputs"], usd, run["batch_calls"], run["transitions"], requests, counted=True)


def _of_peer(sources: costs.Sources, inputs: int, asked: dict[str, int]) -> Point:
    puts, gets = asked["s3_put"], asked["s3_get"]
    usd = dict.fromkeys(SERVICES, 0.0)
    usd["S3 requests of containers"] = puts * sources.usd("s3_put") + gets * sources.usd("s3_get")
    usd["Step Functions"] = asked["transitions"] * sources.usd("transition")
    told = (asked["batch_calls"], asked["transitions"], puts + gets)
    return Point(inputs, usd, *told, counted=True)


def _to_the_end(counted: Iterator[Point]) -> tuple[Point, ...]:
    points = sorted(counted, key=lambda each: each.inputs)
    largest = points[-1]
    return (*points, *(largest.grown(size) for size in SIZES if size > largest.inputs))


def digest(sources: costs.Sources, counted: dict[str, Any]) -> str:
    """Of all that is drawn: whether a picture is of these counts and prices."""
    drawn = [(way.name, way.points) for way in ways(sources, counted)]
    return hashlib.sha256(repr(drawn).encode()).hexdigest()


def table(sources: costs.Sources, counted: dict[str, Any]) -> str:
    """The table of all sizes, for the page."""
    found = ways(sources, counted)
    head = ["inputs"]
    for way in found:
        head += [f"{way.name}: USD", "calls of Batch"]
        if way.name != POLLED:
            head.append("transitions")
    rows = []
    for number, size in enumerate(SIZES):
        cells = [f"{size:,}"]
        for way in found:
            point = way.points[number]
            cells += [_cell(point, point.total, usd=True), _cell(point, point.batch_calls)]
            if way.name != POLLED:
                cells.append(_cell(point, point.transitions))
        rows.append(tuple(cells))
    return "\n".join((_markdown(tuple(head), rows), "", by_service(found)))


def by_service(found: list[Way]) -> str:
    """USD for a million inputs by service."""
    million = [way.last_counted.grown(costs.MILLION) for way in found]
    rows = [(service, *(_usd(point.usd[service]) for point in million)) for service in SERVICES]
    rows.append(("AWS Batch; EventBridge, for events of AWS's services", *("0" for _ in found)))
    rows.append(("all of it", *(_usd(point.total) for point in million)))
    return _markdown(("USD for a million inputs", *(way.name for way in found)), rows)


def page(text: str, written: str) -> str:
    """The page with the table in its place.

    Raises:
        ValueError: the page has no place for it.
    """
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"there is no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{written}\n\n{END}{after}"


def _cell(point: Point, value: float, *, usd: bool = False) -> str:
    text = _usd(value) if usd else f"{value:,.0f}"
    return text if point.counted else f"*{text}*"


def _usd(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def _markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (head, *rows)]
    return "\n".join((lines[0], "|---" * len(head) + "|", *lines[1:]))


def main() -> None:
    """Write the table."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page(text, table(costs.read(), counts())), encoding="utf-8")


if __name__ == "__main__":
    main()
