"""What each role may do and what showed that it does, as a page for people."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from tests.architecture.imports import ROOT
from tests.least_privilege.reasons import OTHER_CALLERS, Judged

PAGE = ROOT / "docs" / "privileges.md"

_INTRODUCTION = """\
# What each role may do

Written by `make privileges ARGS=--write`; `tests/least_privilege/test_proof.py` holds it current.

Whole runs on the embedded AWS are recorded request by request: who asked for what. Each request is
put to the policies of its own role in `template.yaml`, as IAM would, and must be allowed; and each
action that a policy allows must have been used by one of the runs, or have its reason below. What
AWS itself does in a role's name without a request of ours (a function's log, the polls of its
queue, the Map's executions, a bucket's default encryption) is added to what was recorded.

Resources are written as in the template; `${DataBucket.Arn}` stands for each of the data buckets,
made or given. The last column names one of the runs that used it, or says in *italics* why it is
allowed all the same.
"""


def page(judged: Iterable[Judged]) -> str:
    """The whole page."""
    lines = [_INTRODUCTION]
    for role, grants in groupby(judged, key=lambda each: each.grant.role):
        lines += [f"## {role}", "", "| action | on | by | used by |", "|---|---|---|---|"]
        lines += [_row(each) for each in grants]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _row(each: Judged) -> str:
    grant = each.grant
    shown = each.scenes[0] if each.scenes else f"*{each.reason or 'NOTHING'}*"
    return f"| {grant.action} | `{grant.resource}` | {grant.statement} | {shown} |"


def rows(text: str) -> Iterator[tuple[str, str, bool]]:
    """The rows of a page: role, what is allowed, and whether a run used it.

    Which of several callers of one function comes to an effect depends on who is first.
    """
    role = ""
    for line in text.splitlines():
        if line.startswith("## "):
            role = line[3:]
        elif line.startswith("| ") and not line.startswith("| action |"):
            allowed, _, shown = line.rstrip(" |").rpartition(" | ")
            yield role, allowed, not shown.startswith("*") or OTHER_CALLERS in shown


def written() -> str:
    """The page as it is kept."""
    return Path(PAGE).read_text(encoding="utf-8")
