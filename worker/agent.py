"""One attempt of one array child, from its start to its exit code.

Exit codes (an interface: job definitions retry on 1 alone): 0 everything of this child is settled;
1 try again; 71 the tool ran out of memory; 74 the scratch was full; 75 a later round or epoch
decides; 78 nothing in this run can work.
"""

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from drydock.access import NoAccess, connect
from drydock.errors import AlreadyExists, DrydockError
from drydock.failures import EXIT_AGAIN, EXIT_MISCONFIGURED, EXIT_SCRATCH_FULL
from drydock.store import AccessDenied, Store
from worker.contract import Contract, graceful_seconds, read_contract
from worker.endings import Interrupted, Misconfigured, ScratchFull
from worker.journal import Journal
from worker.nowhere import KeepingNothing
from worker.scratch import Scratch
from worker.stop_signals import Stop, heeding_signals, watching_notices
from worker.work import Work, learn


def main(
    environment: Mapping[str, str],
    store: Store | None = None,
    stop: Stop | None = None,
    arguments: Sequence[str] = (),
) -> int:
    """Run an attempt; returns the exit code.

    ``store`` is S3 as the environment says by default. With a ``stop`` the caller heeds signals.
    ``arguments`` are the container's.
    """
    journal = Journal()
    try:
        contract = read_contract(environment, arguments)
    except Misconfigured as error:
        return _misconfigured(journal, str(error))
    journal = journal.about(job=contract.job_id, attempt=contract.attempt, child=contract.child)
    with contextlib.ExitStack() as listening:
        if stop is None:
            stop = Stop()
            listening.enter_context(heeding_signals(stop))
        listening.enter_context(watching_notices(stop, environment, journal))
        return _run(contract, store, stop, journal)


def _run(contract: Contract, given: Store | None, stop: Stop, journal: Journal) -> int:
    started = time.monotonic()
    store, work = given, None
    try:
        store = given or _connect(contract, journal)
        # Imported while S3 answers: together they take hardly longer than one of them.
        with ThreadPoolExecutor(1) as pool:
            learning = pool.submit(_learn, contract, store)
            from worker.attempt import Attempt  # noqa: PLC0415 - see above
        work = learning.result()
        journal = journal.about(run=work.places.run_id, shard=work.places.shard)
        if work.attempt_seconds:
            stop.set_deadline(started + graceful_seconds(work.attempt_seconds))
        store = store.encrypting_with(work.kms_key_id)
        with Scratch(contract.scratch_base) as scratch:
            code = Attempt(contract, work, store, stop, journal, scratch).run()
    except Misconfigured as error:
        code = _misconfigured(journal, str(error))
        _leave_sentence(store, work, str(error), journal)
    except AccessDenied as error:
        text = f"S3 refuses what the worker must do; check the job role's policy: {error}"
        code = _misconfigured(journal, text)
        _leave_sentence(store, work, text, journal)
    except Interrupted as error:
        journal.say("interrupted", why=str(error))
        code = EXIT_AGAIN
    except ScratchFull as error:
        journal.say("scratch_full", why=str(error))
        code = EXIT_SCRATCH_FULL
    except (DrydockError, OSError) as error:
        # Whatever may pass: an outage of S3. The next attempt finds what is settled.
        journal.say("try_again", error=type(error).__name__, why=str(error))
        code = EXIT_AGAIN
    journal.say("end", exit_code=code, seconds=round(time.monotonic() - started, 3))
    return code


def _connect(contract: Contract, journal: Journal) -> Store:
    """S3 with the environment's credentials, or by hand with the keys that are kept as secrets."""
    by_hand = contract.by_hand
    # Those who fetch and run a script never had keys in Secrets Manager.
    with_secrets = by_hand is not None and by_hand.wants_secret_keys and by_hand.script is None
    try:
        access = connect(with_secrets=with_secrets)
    except NoAccess as error:
        raise Misconfigured(str(error)) from error
    if access.how is not None:
        journal.say("credentials", why=access.how)
    if by_hand is not None and by_hand.output is None:
        return KeepingNothing.over(access.store)
    return access.store


def _learn(contract: Contract, store: Store) -> Work:
    if contract.task is not None:
        return learn(store, contract.task, contract.child)
    from worker.hand import learn_by_hand  # noqa: PLC0415 - a run has no use for it

    return learn_by_hand(store, contract)


def _misconfigured(journal: Journal, sentence: str) -> int:
    journal.say("misconfigured", why=sentence)
    sys.stderr.write(f"drydock: {sentence}\n")
    return EXIT_MISCONFIGURED


def _leave_sentence(
    store: Store | None, work: Work | None, sentence: str, journal: Journal
) -> None:
    """Say in S3 why nothing can work; the first sentence of a round wins. By hand stderr is all."""
    if store is None or work is None or work.by_hand:
        return
    try:
        store.put_once(work.output_bucket, work.places.misconfigured(), sentence.encode())
    except AlreadyExists:
        return
    except DrydockError as error:
        journal.say("sentence_lost", why=str(error))
