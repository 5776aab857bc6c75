"""The safeties, and how each is taken out. ``seed`` is the history that caught it last time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One safety taken out: ``old`` becomes ``new`` in ``file``."""

    name: str
    safety: str
    file: str
    old: str
    new: str
    seed: int = 0


MUTATIONS = (
    Mutation(
        "compare-and-swap",
        "a control document is changed only if it is still what was read",
        "src/drydock/store.py",
        """return self._put(bucket, key, body, None, {"IfMatch": f'"{etag}"'})""",
        "return self._put(bucket, key, body, None, {})",
    ),
    Mutation(
        "lease",
        "a claim is its claimant's until its lease runs out",
        "src/drydock/decision.py",
        "is_silent = now >= current.lease_until or current.epoch != run.epoch",
        "is_silent = True",
    ),
    Mutation(
        "token first",
        "a token is stored before its shard is looked at",
        "src/drydock/advancing.py",
        """    store_token(services, run_id, shard, token)
    decision = advance(services, run_id, shard)
""",
        """    decision = advance(services, run_id, shard)
    store_token(services, run_id, shard, token)
""",
    ),
)
