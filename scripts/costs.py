"""Print docs/costs.md: what the stack costs idle, while machines run, and for a million inputs.

usage: python scripts/costs.py > docs/costs.md

Prices are those of docs/prices.yaml, counts those of docs/counts.json (tests/costs/counting.py).
What the stack consists of is read from template.yaml.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
MILLION = 1_000_000
# The pollers that Lambda has for an idle queue, and how long each of their looks takes at the most.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
_POLLERS, _LOOK_S = 5, 20
_MACHINES = {"m5.large": 2, "m5.4xlarge": 16, "m5.24xlarge": 96}
# An alarm of one metric names it itself; one that reckons has a list.
_SIMPLE_ALARM = re.compile(r"^      MetricName: ", re.MULTILINE)
_METRIC_OF_ALARM = re.compile(r"^          MetricStat:$", re.MULTILINE)
_PERIOD_S = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True)
class Sources:
    """All that the page is made of."""

    template: str
    prices: dict[str, Any]
    counts: dict[str, Any]

    def usd(self, name: str) -> float:
        """A price."""
        return float(self.prices["prices"][name]["usd"])

    @property
    def hours_a_month(self) -> float:
        return float(self.prices["hours_a_month"])


def read() -> Sources:
    """The sources as they lie in the checkout."""
    return Sources(
        (ROOT / "template.yaml").read_text(encoding="utf-8"),
        yaml.safe_load((ROOT / "docs/prices.yaml").read_text(encoding="utf-8")),
        json.loads((ROOT / "docs/counts.json").read_text(encoding="utf-8")),
    )


def page(sources: Sources) -> str:
    """The whole page."""
    parts = (
        _head(sources),
        _idle(sources),
        _machines(sources),
        _million(sources),
        _prices(sources),
    )
    return "\n".join(parts)


def _head(sources: Sources) -> str:
    return f"""\
# What it costs

In USD, {sources.prices["region"]}, as of {sources.prices["checked"]}, without free tiers and
taxes. Prices change: look at AWS's pages ([below](#the-prices)) before you rely on a figure
here. This page is written by `make costs` from [prices.yaml](prices.yaml),
[counts.json](counts.json) and the template.
"""


# ---- idle ----


def resources_of(template: str, kind: str) -> int:
    """How many resources of a type the template has."""
    return len(re.findall(rf"^    Type: {re.escape(kind)}$", template, re.MULTILINE))


def calls_a_month(template: str, hours: float) -> float:
    """How often the template's schedules fire."""
    rates = re.findall(r"rate\((\d+) (minute|hour|day)s?\)", template)
    return sum(hours * 3600 / (int(count) * _PERIOD_S[unit]) for count, unit in rates)


def idle_rows(sources: Sources) -> list[tuple[str, str, float]]:
    """What is charged for in a month in which nothing runs: what, the price's name, how many."""
    template, each = sources.template, sources.counts["scheduled_call"]
    calls = calls_a_month(template, sources.hours_a_month)
    looked_at = _SIMPLE_ALARM.findall(template) + _METRIC_OF_ALARM.findall(template)
    written = (ROOT / "functions/stop_run.py").read_text(encoding="utf-8").count("add_metric(")
    looks = _POLLERS * sources.hours_a_month * 3600 / _LOOK_S
    return [
        ("calls of StopRun: the sweep and the budgets' check", "lambda_request", calls),
        ("their GB-seconds", "lambda_gb_second", calls * each["gb_seconds"]),
        ("their logs, GB", "log_gb", calls * each["log_bytes"] / 1e9),
        ("Lambda's looks into the queue of events, at the most", "sqs_request", looks),
        ("metrics that alarms look at", "alarm_month", len(looked_at)),
        ("metrics that StopRun writes at each call", "metric_month", written),
        ("dashboard", "dashboard_month", resources_of(template, "AWS::CloudWatch::Dashboard")),
    ]


def _idle(sources: Sources) -> str:
    rows, total, beyond = [], 0.0, 0.0
    for what, price, count in idle_rows(sources):
        more = max(0.0, count - sources.prices["prices"][price].get("free", 0))
        total, beyond = total + count * sources.usd(price), beyond + more * sources.usd(price)
        usd = (_usd(count * sources.usd(price)), _usd(more * sources.usd(price)))
        rows.append((what, f"{count:,.0f}" if count >= 1 else f"{count:.3f}", *usd))
    rows.append(("machines, volumes, addresses; the VPC, which has no NAT", "0", "0", "0"))
    rows.append(("all of it", "", _usd(total), _usd(beyond)))
    grows = [
        ("inputs and results, and for 30 days what was deleted, GB a month in S3", "s3_gb_month"),
        ("images in the repository, GB a month, compressed", "ecr_gb_month"),
        ("logs, GB a month until `LogRetentionDays` is over", "log_gb_month"),
        ("a KMS key of your own (`KmsKeyId`), a month", "kms_key_month"),
        ("a secret for Docker Hub (`DockerHubSecretArn`), a month", "secret_month"),
    ]
    names = ("a month in which nothing runs", "how much", "USD", "above what is free")
    watching = {"alarm_month", "dashboard_month"}
    bare = sum(
        count * sources.usd(price)
        for _, price, count in idle_rows(sources)
        if price not in watching
    )
    return f"""\
## Idle

{_table(names, rows)}

The last column is for an account that has nothing else: so much is [free](#the-prices) each
month. A dashboard counts as free with 50 metrics at the most. Without them, and without alarms
(`AlarmsAndDashboard` false, where an account has many stacks), all of it is {_usd(bare)}.

{_table(("what grows with use", "USD"), [(what, _usd(sources.usd(name))) for what, name in grows])}
"""


# ---- machines ----


def gib_hour(sources: Sources) -> float:
    """An hour of a GiB of a volume."""
    return sources.usd("gp3_gib_month") / sources.hours_a_month


def volumes_gib(template: str) -> tuple[int, int]:
    """The volumes of a machine without GPUs: scratch by default, and the system's."""
    scratch = re.search(
        r"^  ScratchGib:\n(?:    .*\n)*?    Default: (\d+)$", template, re.MULTILINE
    )
    system = re.search(r"VolumeSize: !If \[HasGpus, \d+, (\d+)\]", template)
    if scratch is None or system is None:
        raise ValueError("the template has no ScratchGib or no volume for the system")
    return int(scratch[1]), int(system[1])


def _machines(sources: Sources) -> str:
    (scratch, system), hour = volumes_gib(sources.template), gib_hour(sources)
    share = float(sources.prices["spot_share"])
    rows = []
    for name, vcpus in _MACHINES.items():
        demand = vcpus * sources.usd("vcpu_hour")
        beside = (scratch + system) * hour + sources.usd("ipv4_hour")
        spot = demand * share
        rows.append(
            (
                f"{name}, {vcpus} vCPUs",
                *(
                    _usd(each)
                    for each in (
                        demand,
                        spot,
                        scratch * hour,
                        system * hour,
                        sources.usd("ipv4_hour"),
                        (spot + beside) / vcpus,
                    )
                ),
            )
        )
    names = (
        "an hour of",
        "On-Demand",
        "on Spot, about",
        f"scratch, {scratch} GiB",
        f"root, {system} GiB",
        "public address",
        "on Spot with all, a vCPU",
    )
    small = min(_MACHINES.values()) * sources.usd("vcpu_hour")
    return f"""\
## While machines run

{_table(names, rows)}

Spot has no list price; {share:.0%} of the On-Demand price is assumed here. A volume costs the
same on every machine, so small machines pay the most for it: 1,000 GiB of scratch, as some labs
give to every machine, is {_usd(1000 * hour)} an hour, against {_usd(small)} for a whole
m5.large On-Demand and about {_usd(small * share)} on Spot. `ScratchGib` is {scratch}
({_usd(scratch * hour)} an hour) unless you say otherwise, and nothing with `ScratchKind`
`INSTANCE_STORE` on machines that have one. Batch takes larger machines where many containers
wait, and they share one volume and one address. Machines in subnets of your own with a NAT
gateway have no address of their own; the gateway is charged by the hour and by the GB. Traffic to
S3 through the gateway endpoint and from ECR in the same Region is free.
"""


# ---- a million inputs ----


def million_rows(sources: Sources, run: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What is charged for a million inputs: what, how many, USD."""
    scale = MILLION / run["inputs"]
    container, pack = sources.counts["container"], run["inputs_per_job"]

    def of_containers(what: str) -> float:
        first, further = container["first_input"][what], container["further_input"][what]
        return run["containers"] * scale * (first + (pack - 1) * further)

    puts, gets = run["s3_put"] * scale, run["s3_get"] * scale
    log_gb = of_containers("log_bytes") / 1e9
    return [
        (
            "state transitions",
            run["transitions"] * scale,
            run["transitions"] * scale * sources.usd("transition"),
        ),
        (
            "calls of functions",
            run["invocations"] * scale,
            run["invocations"] * scale * sources.usd("lambda_request"),
        ),
        (
            "their GB-seconds",
            run["gb_seconds"] * scale,
            run["gb_seconds"] * scale * sources.usd("lambda_gb_second"),
        ),
        ("PUT and LIST by functions", puts, puts * sources.usd("s3_put")),
        ("GET by functions", gets, gets * sources.usd("s3_get")),
        (
            "PUT and LIST by containers",
            of_containers("s3_put"),
            of_containers("s3_put") * sources.usd("s3_put"),
        ),
        (
            "GET by containers",
            of_containers("s3_get"),
            of_containers("s3_get") * sources.usd("s3_get"),
        ),
        (
            "requests of the queue",
            run["messages"] * scale,
            run["messages"] * scale * sources.usd("sqs_request"),
        ),
        ("logs of containers, GB", log_gb, log_gb * sources.usd("log_gb")),
    ]


def _million(sources: Sources) -> str:
    runs = sources.counts["runs"]
    columns = [million_rows(sources, run) for run in runs]
    names = ["for a million inputs"]
    for run in runs:
        many = run["inputs_per_job"]
        names += [f"{many} a container" if many > 1 else "one a container", "USD"]
    rows = []
    for cells in zip(*columns, strict=True):
        row = [cells[0][0]]
        for _, count, usd in cells:
            row += [f"{count:,.0f}" if count >= 10 else f"{count:,.2f}", _usd(usd)]
        rows.append(tuple(row))
    totals = [sum(usd for *_, usd in column) for column in columns]
    rows.append(("all of it", *(cell for total in totals for cell in ("", _usd(total)))))
    spot = sources.usd("vcpu_hour") * float(sources.prices["spot_share"])
    times = _table(
        ("an input takes, on one vCPU", "vCPU-hours", "On-Demand, USD", "on Spot, about"),
        [
            (
                told,
                f"{MILLION * s / 3600:,.0f}",
                f"{MILLION * s / 3600 * sources.usd('vcpu_hour'):,.0f}",
                f"{MILLION * s / 3600 * spot:,.0f}",
            )
            for told, s in (
                ("10 seconds", 10),
                ("1 minute", 60),
                ("10 minutes", 600),
                ("1 hour", 3600),
            )
        ],
    )
    return f"""\
## A million inputs

Beside the machines, the service itself:

{_table(names, rows)}

Counted in a run of {runs[0]["inputs"]:,} inputs in {runs[0]["shards"]} shards of the real state
machine and functions in virtual time, with 5 % of the machines reclaimed an hour
([how](../benchmarks/README.md#a-million-inputs-in-virtual-time)), and scaled; the containers'
own requests are those of the real worker with Vina and one ligand an input. They are an
input's, not a molecule's: a thousand molecules in an input cost what one does, and a thousand
times less each. The GB-seconds are the time that requests take there; computing adds to it. AWS
Batch, and the events that it sends, cost nothing. With `KmsKeyId` bucket keys keep the requests
to KMS few.

The machines, whatever program it is:

{times}
"""


# ---- the prices themselves ----


def _prices(sources: Sources) -> str:
    rows = [
        (
            each["unit"],
            f"{each['usd']:.10f}".rstrip("0").rstrip("."),
            f"{each['free']:,}" if "free" in each else "",
            f"[page]({each['page']})",
            each["read"],
        )
        for each in sources.prices["prices"].values()
    ]
    return f"""\
## The prices

As of {sources.prices["checked"]}, written down and not fetched; AWS's page is right where it
says something else.

{_table(("for a", "USD", "free a month", "AWS's page", "where it was read"), rows)}
"""


def _usd(value: float) -> str:
    if value == 0:
        return "0"
    if value >= 0.995:
        return f"{value:,.2f}"
    return f"{value:.4f}" if value >= 0.00005 else "less than 0.0001"


def _table(names: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    head = list(names)
    lines = [f"| {' | '.join(line)} |" for line in (head, *rows)]
    return "\n".join((lines[0], "|---" * len(head) + "|", *lines[1:]))


if __name__ == "__main__":
    sys.stdout.write(page(read()))
