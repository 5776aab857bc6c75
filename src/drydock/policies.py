"""What follows from how a shard's rounds ended: whether there is another, when, where, how large.

All of it is read off the rounds of the shard's document; nothing is counted beside them.
"""

from collections.abc import Iterable

from drydock.failures import POLICIES, UNKNOWN, Policy
from drydock.shard_document import Queue, Round, ShardDocument

MAX_DELAY_S = 900.0
# Rounds of an epoch whose children lost their machines; the next ones are On-Demand.
RECLAIMED_ROUNDS_ON_SPOT = 2
# So many in a row without progress, whatever they say, and Spot is not insisted on either.
BARREN_ROUNDS_ON_SPOT = 4

_NO_LIMIT_BUT_MAX_ROUNDS = 1_000_000
# After how many rounds in a row without progress, all failures of which have such a policy, no
# further one is made. A round that says nothing is one that may pass.
PATIENCE: dict[Policy, int] = {
    "again": _NO_LIMIT_BUT_MAX_ROUNDS,
    "later": _NO_LIMIT_BUT_MAX_ROUNDS,
    "few_times": 3,
    "with_progress": 1,
    "more_memory": 1,
    "never": _NO_LIMIT_BUT_MAX_ROUNDS,
    "stop_run": 1,
}
# The worker that hears of the end of its machine ends with "again", as for other things that pass.
_MAY_BE_RECLAIMS = frozenset({"again", "killed"})
_RECLAIMS = frozenset({"interrupted", "capacity"})


def policies_of(failures: Iterable[str]) -> frozenset[Policy]:
    """What classes of failures call for; a class that an earlier version had is unknown."""
    return frozenset(POLICIES.get(name, UNKNOWN.policy) for name in failures)


def is_exhausted(document: ShardDocument, max_rounds: int, memory_mib: int) -> bool:
    """Whether rounds without progress have shown that another one is of no use now.

    Of a row of rounds the most patient failure counts. A round that wanted more memory than it had,
    and the ``memory_mib`` that the next one would have are more, is no argument against that one.
    """
    patience = 0
    counted = 0
    for each in document.barren_rounds:
        wants_memory = "more_memory" in policies_of(each.failures)
        if wants_memory and each.memory_mib < memory_mib:
            continue
        counted += 1
        patience = max(patience, patience_of(each))
        if counted >= min(patience, max_rounds):
            return True
    return False


def patience_of(ended: Round) -> int:
    """How many rounds like this one there may be in a row; what was withheld has no say in it."""
    policies = policies_of(ended.failures) - {"never"}
    return max((PATIENCE[policy] for policy in policies), default=PATIENCE["again"])


def memory_for(document: ShardDocument, requested_mib: int, max_mib: int) -> int:
    """What each child of the next round gets: what the epoch's rounds had, twice that if they ran
    out of it, up to the cap; a request may be above that, and then stays as it is.
    """
    wanted = requested_mib
    for each in document.rounds_of_epoch:
        had = each.memory_mib or requested_mib
        ran_out = "more_memory" in policies_of(each.failures)
        wanted = max(wanted, min(2 * had, max(max_mib, requested_mib)) if ran_out else had)
    return wanted


def queue_for(document: ShardDocument) -> Queue:
    """Spot, until it was tried often enough; what has gone On-Demand stays there."""
    rounds = document.rounds_of_epoch
    if any(each.queue == "on-demand" for each in rounds):
        return "on-demand"
    reclaimed = sum(map(_was_reclaimed, rounds))
    is_enough = reclaimed >= RECLAIMED_ROUNDS_ON_SPOT or document.barren >= BARREN_ROUNDS_ON_SPOT
    return "on-demand" if is_enough else "spot"


def _was_reclaimed(ended: Round) -> bool:
    """Whether children lost their machines; without any progress it may also be an outage of S3."""
    classes = ended.failures.keys()
    return bool(classes & _RECLAIMS or (ended.progress and classes & _MAY_BE_RECLAIMS))


def delay_after(
    document: ShardDocument, failures: Iterable[str], first_delay_s: float, *, may_grow: bool
) -> float:
    """How long to wait after one more round without progress: longer each time, to a cap.

    One that wanted memory alone, and the next one will have more, is not waited after.
    """
    if may_grow and policies_of(failures) == {"more_memory"}:
        return 0.0
    return min(first_delay_s * 2.0**document.barren, MAX_DELAY_S)
