"""Writes the page of a run's results: what MergeResults has gathered, and a few documents more.

The accounting is written before it, and never waits for it: a run whose page cannot be made ends
as it would have with one.
"""

import json
from collections.abc import Mapping
from typing import Any

from drydock.accounting import Accounts, Verdict
from drydock.detection import run_keys
from drydock.digest import Digest, Examples, cut
from drydock.errors import Malformed, NotFound, StoreUnavailable
from drydock.ranking import Ranked
from drydock.report import no_page, report_page
from drydock.report_data import Facts, page_data
from drydock.run_document import RunDocument
from drydock.services import Services
from drydock.spending import spent_usd
from drydock.submission import read_assets

NAME = "report.html"


def write_report(
    services: Services,
    run: RunDocument,
    ended: Verdict,
    accounts: Accounts,
    digest: Digest,
    examples: Examples,
    best: list[Ranked],
) -> str | None:
    """Write the page; why it could not be made, None when it was.

    Then a sentence that says so takes its place: the page of an earlier epoch would tell of that.

    Raises:
        StoreUnavailable: S3 does not answer; all results are written again then, and it is too.
    """
    try:
        facts = _facts(services, run)
        page = report_page(page_data(run, ended, accounts, digest, examples, best, facts))
        _put(services, run, page)
    except StoreUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has ended and is accounted for
        reason = cut(f"{type(error).__name__}: {error}")
        _put(services, run, no_page(str(run.current.request["name"]), reason))
        return reason
    return None


def _put(services: Services, run: RunDocument, page: bytes) -> None:
    key = run_keys(run).result(NAME)
    services.store.put(run.output_bucket, key, page, content_type="text/html; charset=utf-8")


def _facts(services: Services, run: RunDocument) -> Facts:
    has_budget = run.current.request.get("stop_after_usd") is not None
    assets, dockfiles = read_assets(services, run.run_id)
    return Facts(
        vcpu_hour_usd=services.settings.vcpu_hour_usd,
        metered_usd=spent_usd(services, run.run_id) if has_budget else None,
        pilot=_pilot(services, run) if run.pilot else None,
        assets=assets,
        dockfiles=dockfiles,
    )


def _pilot(services: Services, run: RunDocument) -> Mapping[str, Any] | None:
    """The pilot's verdict; None where there is none, or another run's."""
    try:
        body = services.store.get(run.output_bucket, run_keys(run).result("pilot.json")).body
        told = json.loads(body)
        return told if isinstance(told, dict) and told.get("run_id") == run.run_id else None
    except (NotFound, Malformed, ValueError):
        return None
