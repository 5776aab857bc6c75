"""What a run's page shows, as plain data: of a fixed size however large the run is."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drydock import __version__
from drydock.accounting import Accounts, Verdict
from drydock.advice import of_attempt, of_input
from drydock.digest import Digest, Examples, cut
from drydock.histogram import Histogram
from drydock.ranking import Ranked
from drydock.run_document import Epoch, RunDocument
from drydock.task_document import PinnedAsset

BEST = 100
_EPOCHS = 20
_OPTIONS = 200
_SMILES_CHARACTERS = 400
_HOUR_S = 3600.0
# Docking programs whose scores are energies in this unit.
_UNITS = {"vina": "kcal/mol", "dock38": "kcal/mol"}
# Told elsewhere on the page, or of no interest to who reads results.
_NOT_VALUES = ("name", "input", "output", "tool", "options", "dockfiles", "assets", "tags")
_QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page tells of beside the shards.

    ``metered_usd`` is what a run with a budget has spent by its meters, ``pilot`` the pilot's
    verdict as it was written down.
    """

    vcpu_hour_usd: float
    metered_usd: float | None = None
    pilot: Mapping[str, Any] | None = None
    assets: Mapping[str, PinnedAsset] = field(default_factory=dict)
    dockfiles: PinnedAsset | None = None


def page_data(
    run: RunDocument,
    ended: Verdict,
    accounts: Accounts,
    digest: Digest,
    examples: Examples,
    best: Iterable[Ranked],
    facts: Facts,
) -> dict[str, Any]:
    """All that the page shows."""
    request = run.current.request
    tool = str(request["tool"])
    return {
        "run": {
            "name": request["name"],
            "run_id": run.run_id,
            "tool": tool,
            "status": ended.status,
            "error": ended.error,
            "cause": ended.cause,
            "epoch": run.epoch,
            "drydock": __version__,
            "output": request["output"],
            "began_at": run.epochs[0].started_at,
            "ended_at": digest.timeline.ended_at,
        },
        "accounts": accounts.as_json(),
        "knows_molecules": accounts.knows_molecules,
        "scores": _scores(digest.scores, digest.untold, _UNITS.get(tool)),
        "best": [_molecule(rank, found) for rank, found in enumerate(best, start=1)][:BEST],
        "timeline": digest.timeline.as_json() | {"shards": digest.table(), "of": digest.shards},
        "cost": _cost(run, accounts, digest, facts),
        "failures": _failures(accounts, examples),
        "interruptions": _interruptions(accounts),
        "remaining": {"endings": dict(sorted(digest.endings.items())), "texts": digest.texts},
        "provenance": _provenance(run, facts),
    }


def _scores(found: Histogram, untold: int, unit: str | None) -> dict[str, Any] | None:
    if found.lowest is None:
        return None
    return {
        "unit": unit,
        "count": found.count,
        "beyond": found.beyond,
        "untold": untold,
        "lowest": found.lowest,
        "highest": found.highest,
        "width": found.width,
        "bins": [[number * found.width, found.bins[number]] for number in sorted(found.bins)],
        "quantiles": [[share, found.quantile(share)] for share in _QUANTILES],
    }


def _molecule(rank: int, found: Ranked) -> dict[str, Any]:
    more = json.loads(found.row.split("\t", 2)[2])
    smiles = more.get("smiles")
    return {
        "rank": rank,
        "id": cut(found.molecule_id),
        "score": found.score,
        # One that is cut would be another molecule.
        "smiles": smiles if smiles and len(smiles) <= _SMILES_CHARACTERS else None,
        "input": cut(str(more.get("input", ""))),
        "index": more.get("index"),
    }


def _work_usd(accounts: Accounts, vcpus: int, vcpu_hour_usd: float) -> float:
    seconds = accounts.seconds + (accounts.effort.lost_seconds or 0.0)
    return seconds * vcpus / _HOUR_S * vcpu_hour_usd


def _cost(run: RunDocument, accounts: Accounts, digest: Digest, facts: Facts) -> dict[str, Any]:
    request, price = run.current.request, facts.vcpu_hour_usd
    vcpus = int(request["resources"]["vcpus"])
    work = _work_usd(accounts, vcpus, price)
    settled = accounts.inputs - accounts.remaining
    told: dict[str, Any] = {
        "vcpu_hour_usd": price,
        "vcpus": vcpus,
        "seconds": accounts.seconds,
        "lost_seconds": accounts.effort.lost_seconds,
        "at_least": accounts.effort.at_least,
        "on_demand_share": accounts.effort.on_demand_share,
        "work_usd": work,
        "metered_usd": facts.metered_usd,
        "spent_usd": max(work, facts.metered_usd or 0.0),
        "budget_usd": request.get("stop_after_usd"),
        "settled": settled,
        "pilot": None,
    }
    if facts.pilot is not None and digest.pilot is not None:
        rest = accounts.inputs - digest.pilot.inputs
        told["pilot"] = {
            "inputs": digest.pilot.inputs,
            "rest": rest,
            "rest_settled": settled - digest.pilot.inputs + digest.pilot.remaining,
            "rest_usd": work - _work_usd(digest.pilot, vcpus, price),
            "projected_usd": facts.pilot.get("usd"),
            "seconds_per_input": facts.pilot.get("seconds_per_input"),
            "stop": facts.pilot.get("stop"),
        }
    return told


def _failures(accounts: Accounts, examples: Examples) -> list[dict[str, Any]]:
    """Failed inputs by class, most first."""
    return [
        {
            "class": name,
            "count": count,
            "meaning": of_input(name)[0],
            "advice": of_input(name)[1],
            "examples": examples.found.get(name, []),
        }
        for name, count in _most_first(accounts.failures)
    ]


def _interruptions(accounts: Accounts) -> list[dict[str, Any]]:
    """Attempts that did not end well by class, most first."""
    return [
        {"class": name, "count": count, "advice": of_attempt(name)}
        for name, count in _most_first(accounts.effort.interruptions)
    ]


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _provenance(run: RunDocument, facts: Facts) -> dict[str, Any]:
    request = run.current.request
    options = {name: cut(_text(value)) for name, value in request["options"].items()}
    return {
        "image": run.current.image,
        "image_asked": request.get("image"),
        "input": request["input"],
        "options": dict(list(options.items())[:_OPTIONS]),
        "seed": request["options"].get("seed"),
        "values": _values(run.current),
        "assets": [
            _asset(name, asset)
            for name, asset in (*facts.assets.items(), ("dockfiles", facts.dockfiles))
            if asset is not None
        ],
        "tags": {cut(str(key)): cut(str(tag)) for key, tag in (request.get("tags") or {}).items()},
        "reopened": run.reopened,
        "epochs_in_all": len(run.epochs),
        "epochs": _epochs(run),
    }


def _values(epoch: Epoch) -> dict[str, str]:
    """What an epoch was started with; of the environment and of secrets the names alone."""
    told = {}
    for name, value in epoch.request.items():
        if name in _NOT_VALUES or value in (None, {}, [], ""):
            continue
        if name in ("environment", "secrets"):
            told[name] = cut(", ".join(sorted(value)))
        elif name == "resources":
            told |= {str(key): _text(amount) for key, amount in value.items()}
        else:
            told[name] = cut(_text(value))
    return told


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _asset(name: str, asset: PinnedAsset) -> dict[str, Any]:
    objects = asset.objects
    return {
        "name": cut(name),
        "uri": asset.uri,
        "objects": len(objects),
        "bytes": sum(each.size for each in objects),
        "etag": objects[0].etag if len(objects) == 1 else None,
    }


def _epochs(run: RunDocument) -> list[dict[str, Any]]:
    """The newest epochs, oldest first, each with what it was given other than the one before."""
    told = []
    for number, epoch in enumerate(run.epochs):
        changed = []
        if number:
            before, now = _given(run.epochs[number - 1]), _given(epoch)
            names = sorted(before.keys() | now.keys())
            changed = [name for name in names if before.get(name) != now.get(name)]
        told.append(
            {
                "epoch": epoch.epoch,
                "started_at": epoch.started_at,
                "execution": epoch.owner.rpartition(":")[2],
                "image": epoch.image,
                "changed": changed,
            }
        )
    return told[-_EPOCHS:]


def _given(epoch: Epoch) -> dict[str, Any]:
    return {**epoch.request, "image": epoch.image}
