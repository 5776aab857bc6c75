"""advance(shard): carry out what :func:`drydock.decision.decide` says, until nothing is left to do.

Whoever looks at a shard calls :func:`advance`; every effect is a compare-and-swap of the shard's
document or can be done twice without harm. Order is what makes it safe: a round's objects are
written before the document names it, the document names it before SubmitJob, the owner and the
stop are looked at in between, and an end is committed before any token is answered.
"""

import json
from dataclasses import dataclass

from drydock import decision as decisions
from drydock.children import (
    another_image,
    has_grown,
    is_users_end,
    what_to_change,
    with_failures,
)
from drydock.decision import Decision, Facts, Limits, decide, is_frozen_for, needs_job
from drydock.detection import detect, shard_inputs
from drydock.documents import Documents, Versioned
from drydock.errors import Conflict, NotFound, RunMisconfigured
from drydock.failures import BLOCKED, POLICIES, classify
from drydock.job_views import JobView
from drydock.jobs import REFUSED
from drydock.keys import ControlKeys, job_name
from drydock.run_document import RunDocument, Stop
from drydock.services import Services
from drydock.settings import Settings
from drydock.shard_document import (
    Round,
    ShardDocument,
    ask_to_end,
    claim_round,
    close_round,
    end,
    enter_epoch,
    record_job,
    renew_claim,
)
from drydock.stops import put_and_tell
from drydock.submission import job_request, queue_of, write_round

# A function of ours lives 120 s at most while it submits; 60 s more and its claim is nobody's.
LEASE_S = 180.0
FIRST_DELAY_S = 60.0
_TURNS = 50


@dataclass(frozen=True, slots=True)
class Look:
    """All that is known of a shard at one moment."""

    run: RunDocument
    document: Versioned[ShardDocument]
    owner_running: bool
    job: JobView | None
    facts: Facts | None


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job that an event says has ended: that cannot be unsaid, so nobody need ask Batch."""

    job_id: str
    view: JobView


def advance(services: Services, run_id: str, shard: int, ended: EndedJob | None = None) -> Decision:
    """Do whatever there is to do about a shard now; return the decision it came to rest at.

    Raises:
        Conflict: others changed the shard's document each time; a retry is right.
    """
    documents = Documents(services.store, services.settings.control_bucket)
    for _ in range(_TURNS):
        look = _look(services, documents, run_id, shard, ended)
        if _runs_another_image(services, look):
            continue
        decision = decide(
            look.run,
            look.document.value,
            owner_running=look.owner_running,
            job=look.job,
            facts=look.facts,
            now=services.now(),
            limits=_limits(services.settings),
        )
        try:
            if _carry_out(services, documents, look, decision):
                return decision
        except Conflict:
            continue
    raise Conflict(f"run {run_id} shard {shard}: others changed its document {_TURNS} times")


def _runs_another_image(services: Services, look: Look) -> bool:
    """Stop the run, once, whose job runs another image than it was started with."""
    run, current = look.run, look.document.value.current
    if look.job is None or current is None or current.epoch != run.epoch or run.active_stop:
        return False
    told = another_image(run, current, look.job)
    if told is not None:
        put_and_tell(services, run.run_id, Stop(run.epoch, "misconfiguration", told, now=True))
    return told is not None


def _limits(settings: Settings) -> Limits:
    """Where lost events are looked for sooner, other waits are shorter too."""
    return Limits(
        first_delay_s=min(FIRST_DELAY_S, settings.reconcile_seconds / 4),
        max_memory_mib=settings.max_memory_mib,
        believed_early_s=max(0.0, LEASE_S - settings.reconcile_seconds / 4),
    )


def _look(
    services: Services, documents: Documents, run_id: str, shard: int, ended: EndedJob | None
) -> Look:
    run = documents.run(run_id).value
    document = documents.shard(run, shard, shard_inputs(services.store, run, shard))
    value = document.value
    owner_running = services.executions.is_running(run.owner)
    current = value.current
    job: JobView | None = None
    if needs_job(value) and current is not None and current.job_id is not None:
        job = _view(services, current.job_id, ended)
    facts: Facts | None = None
    is_claimed = current is not None and current.state == "claimed"
    if not is_claimed and not (job and job.state == "active") and not is_frozen_for(value, run):
        detected = detect(services.store, run, shard, value.inputs)
        speakers = len(detected.settlement.speakers)
        facts = Facts(
            speakers,
            detected.parts,
            tuple(detected.settlement.remaining()),
            in_the_way=bool(detected.settlement.in_the_way()),
        )
        if job is not None and current is not None:
            job = with_failures(services, run, shard, current, job, facts.remaining)
    return Look(run, document, owner_running, job, facts)


def _view(services: Services, job_id: str, ended: EndedJob | None) -> JobView:
    """What is known of a job; an event that leaves open who ended it makes us ask."""
    if ended is None or ended.job_id != job_id:
        return services.jobs.view(job_id)
    if ended.view.is_terminated is None and is_users_end(ended.view):
        asked = services.jobs.view(job_id)
        return asked if asked.state == "ended" else ended.view
    return ended.view


def _carry_out(services: Services, documents: Documents, look: Look, decision: Decision) -> bool:
    """Carry a decision out; True when the shard has come to rest."""
    run_id, known, document = look.run.run_id, look.document, look.document.value
    match decision:
        case decisions.Leave():
            return True
        case decisions.WaitUntil(time):
            services.messages.look_again(run_id, document.shard, time - services.now())
            return True
        case decisions.Answer(ending):
            is_recorded = document.ended is not None or is_frozen_for(document, look.run)
            if not is_recorded:
                documents.replace_shard(run_id, known, end(document, ending))
            answer_tokens(services, run_id, document.shard, ending)
            return True
        case decisions.EnterEpoch():
            documents.replace_shard(run_id, known, enter_epoch(document, look.run.epoch))
        case decisions.CloseRound():
            _close(services, documents, look, decision)
        case decisions.SubmitRound():
            claimed = _claim(services, documents, look, decision)
            _submit(services, documents, claimed, run_id)
        case decisions.EndJob(job_id, now):
            _end_job(services, documents, look, job_id, now=now)
        case decisions.TakeOverClaim(claimed_round):
            _take_over(services, documents, look, claimed_round)
    return False


def _close(
    services: Services, documents: Documents, look: Look, decision: decisions.CloseRound
) -> None:
    """Write down how a round ended; what nothing in the run can get past stops the run first."""
    document, ended = look.document.value, _current(look.document.value)
    grown = {BLOCKED} if has_grown(look.run, ended) else set()
    hopeless = [
        name for name in decision.failures if POLICIES.get(name) == "stop_run" and name not in grown
    ]
    if hopeless and ended.epoch == look.run.epoch:
        told = decision.texts.get(hopeless[0], "")
        text = what_to_change(services, look.run, document.shard, ended.number, hopeless[0], told)
        put_and_tell(services, look.run.run_id, Stop(look.run.epoch, "misconfiguration", text))
    closed = close_round(
        document,
        now=services.now(),
        progress=decision.progress,
        delay_s=decision.delay_s,
        reason=decision.reason,
        failures=decision.failures,
        texts=decision.texts,
        withheld=decision.withheld,
    )
    documents.replace_shard(look.run.run_id, look.document, closed)


def _end_job(
    services: Services, documents: Documents, look: Look, job_id: str, *, now: bool
) -> None:
    """Ask a job to end; whoever dies in between leaves the asking to the next look."""
    if now:
        services.jobs.terminate(job_id, decisions.STOPPED)
    else:
        services.jobs.cancel(job_id, decisions.STOPPED)
    asked = ask_to_end(look.document.value, "terminated" if now else "cancelled")
    documents.replace_shard(look.run.run_id, look.document, asked)


def _claim(
    services: Services, documents: Documents, look: Look, decision: decisions.SubmitRound
) -> Versioned[ShardDocument]:
    """Write the round's objects, then name it in the document.

    Raises:
        Conflict: somebody else claimed first; the objects written are nobody's then.
    """
    unique = services.unique()
    write_round(services, look.run, look.document.value, decision, unique)
    request = look.run.current.request
    facts = look.facts or Facts(0, 0, ())
    now = services.now()
    claimed = Round(
        number=decision.number,
        epoch=look.run.epoch,
        unique=unique,
        size=len(decision.places),
        jobs=-(-len(decision.places) // int(request["inputs_per_job"])),
        queue=decision.queue,
        state="claimed",
        lease_until=now + LEASE_S,
        claimed_at=now,
        settled_before=facts.settled,
        parts_before=facts.parts,
        job_definition_arn=look.run.current.job_definition_arn,
        memory_mib=decision.memory_mib,
    )
    document = claim_round(look.document.value, claimed)
    # Before the claim: whoever dies at any line after this one, somebody looks when it runs out.
    services.messages.look_again(look.run.run_id, document.shard, LEASE_S)
    try:
        return documents.replace_shard(look.run.run_id, look.document, document)
    except Conflict:
        # The swap may have succeeded although the answer was lost: one's own claim is one's own.
        found = documents.shard(look.run, document.shard, document.inputs)
        if found.value.current is not None and found.value.current.unique == unique:
            return found
        raise


def _submit(
    services: Services, documents: Documents, known: Versioned[ShardDocument], run_id: str
) -> None:
    """Submit a claimed round, unless its owner or its epoch has ended meanwhile."""
    document, claimed = known.value, _current(known.value)
    run = documents.run(run_id).value
    may_go_on = (
        run.epoch == claimed.epoch
        and run.active_stop is None
        and services.executions.is_running(run.owner)
    )
    if not may_go_on:
        _drop(services, documents, run_id, known, "not submitted: the run stopped")
        return
    try:
        job_id = services.jobs.submit(job_request(services, run, document, claimed))
    except RunMisconfigured as error:
        verdict = classify(str(error).removeprefix(REFUSED), None, None)
        advice = f"{verdict.advice} " if verdict.policy == "stop_run" else ""
        put_and_tell(services, run_id, Stop(run.epoch, "misconfiguration", f"{advice}{error}"))
        _drop(services, documents, run_id, known, str(error))
        return
    _record(services, documents, run, known, job_id)


def _record(
    services: Services,
    documents: Documents,
    run: RunDocument,
    known: Versioned[ShardDocument],
    job_id: str,
) -> None:
    """Write down the job of a claimed round; the job of a claim that was lost is terminated."""
    unique = _current(known.value).unique
    try:
        documents.replace_shard(run.run_id, known, record_job(known.value, job_id))
    except Conflict:
        found = documents.shard(run, known.value.shard, known.value.inputs)
        current = found.value.current
        if current is not None and current.unique == unique and current.job_id == job_id:
            return
        is_own = current is not None and current.unique == unique
        if is_own and current is not None and current.state == "claimed":
            _record(services, documents, run, found, job_id)
            return
        services.jobs.terminate(job_id, decisions.SUPERSEDED)
        raise


def _take_over(services: Services, documents: Documents, look: Look, claimed: Round) -> None:
    """Find the job of a claim whose claimant went silent by its name, or submit it."""
    run, document = look.run, look.document.value
    # As before a claim: whoever dies while it holds this one leaves it to somebody who looks.
    services.messages.look_again(run.run_id, document.shard, LEASE_S)
    renewed = renew_claim(document, services.now() + LEASE_S)
    known = documents.replace_shard(run.run_id, look.document, renewed)
    name = job_name(run.run_id, document.shard, claimed.number)
    queue_arn = queue_of(services.settings, run, claimed)
    job_id = services.jobs.find(queue_arn, name)
    if job_id is not None:
        documents.replace_shard(run.run_id, known, record_job(known.value, job_id))
    elif claimed.epoch != run.epoch:
        _drop(services, documents, run.run_id, known, "never submitted")
    else:
        _submit(services, documents, known, run.run_id)


def _drop(
    services: Services,
    documents: Documents,
    run_id: str,
    known: Versioned[ShardDocument],
    reason: str,
) -> None:
    """Close a claimed round for which no job was submitted; it says nothing about progress."""
    closed = close_round(known.value, now=services.now(), progress=None, delay_s=0, reason=reason)
    documents.replace_shard(run_id, known, closed)


def _current(document: ShardDocument) -> Round:
    return document.rounds[-1]


def submit_shard(services: Services, run_id: str, shard: int, owner: str, token: str) -> str:
    """Keep a waiting token, then advance its shard; return the name of the decision.

    Raises:
        RunSuperseded: another execution owns the run now.
        Conflict: the owner, who waits on the token, does not show as running yet (DescribeExecution
            is eventually consistent); a retry is right.
    """
    Documents(services.store, services.settings.control_bucket).owned_run(run_id, owner)
    store_token(services, run_id, shard, token)
    decision = advance(services, run_id, shard)
    if decision == decisions.Leave(decisions.OWNER_NOT_RUNNING):
        raise Conflict(f"run {run_id}: {decisions.OWNER_NOT_RUNNING}")
    return type(decision).__name__


def store_token(services: Services, run_id: str, shard: int, token: str) -> None:
    """Keep a task token, so that whoever ends the shard finds it."""
    key = ControlKeys(run_id).token(shard, token)
    services.store.put(services.settings.control_bucket, key, json.dumps({"token": token}).encode())


def answer_tokens(services: Services, run_id: str, shard: int, ending: str) -> int:
    """Answer every token that waits on a shard; return how many somebody still waited on.

    A token is removed once it was answered or nobody waits on it; removing comes last, so that a
    crash answers again, which does no harm.
    """
    store, bucket = services.store, services.settings.control_bucket
    accepted = 0
    for found in list(store.list(bucket, ControlKeys(run_id).tokens_folder(shard))):
        try:
            token = json.loads(store.get(bucket, found.key).body)["token"]
        except NotFound:
            continue
        accepted += services.executions.answer(token, {"ended": ending})
        store.delete(bucket, found.key)
    return accepted
