"""An attempt at a pack of inputs: skip what is settled, go on from parts, settle the rest."""

import contextlib
import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from drydock.errors import StoreUnavailable
from drydock.failures import (
    EXIT_AGAIN,
    EXIT_DONE,
    EXIT_LATER,
    EXIT_OUT_OF_MEMORY,
    EXIT_SCRATCH_FULL,
)
from drydock.markers import Failure, InputSummary
from drydock.parts import OutputObject, PartOutputs, PartRecord, as_outputs
from drydock.store import Store
from drydock.tasks import Record
from worker.confinement import let_tool_read
from worker.contract import Contract
from worker.endings import InputFailed, Interrupted, RestartUnusable, ScratchFull, own_code
from worker.gpus import check_gpus
from worker.history import History, HistoryReader
from worker.journal import Journal
from worker.logs import log_stream
from worker.results import FLUSH_S, MarkerWriter, write_outputs, write_part_record
from worker.scratch import full_named, remove, tells_of_no_room
from worker.stop_signals import Stop
from worker.tools import (
    Contribution,
    Death,
    FetchedInput,
    Session,
    Setting,
    Tool,
    load_tool,
    make_tool,
)
from worker.transfer import fetch_assets, fetch_input
from worker.work import Known, Work, look_up, run_is_stopped

if TYPE_CHECKING:
    from worker.original import OriginalPrefix

# A program's end and a stop are noticed at once; this is for what it does meanwhile.
_POLL_S = 0.2
# How often the run's stop is looked for between inputs.
_STOP_POLL_S = 60.0
# Between two tries to save what is finished, and the least that one must have left.
_RETRY_S = 1.0
# The last part's restart, in the input's folder.
RESTART = "last-restart"
T = TypeVar("T")


class Attempt:
    """Works through a pack. After :meth:`run` nothing is pending."""

    def __init__(
        self,
        contract: Contract,
        work: Work,
        store: Store,
        stop: Stop,
        journal: Journal,
        scratch: Path,
    ) -> None:
        self._contract = contract
        self._work = work
        self._store = store
        self._stop = stop
        self._journal = journal
        self._scratch = scratch
        period = min(FLUSH_S, work.checkpoint_seconds or FLUSH_S)
        self._markers = MarkerWriter(
            store, work.output_bucket, work.places, journal, period_s=period
        )
        self._known: Known = look_up(store, work, journal)
        self._original: OriginalPrefix | None = None
        if work.by_hand:
            from worker.original import original_prefix  # noqa: PLC0415 - a run has no use for it

            self._original = original_prefix(work, contract, store, stop, journal)
        self._histories = HistoryReader(store, work.output_bucket, stop, journal)
        self._tool: Tool | None = None
        self._parts_written = 0
        self._stop_read = 0.0
        self._out_of_memory = 0  # Inputs; what else remains goes first.
        self._scratch_full = False
        self._failed_with = EXIT_AGAIN
        self._died_with: int | None = None

    def run(self) -> int:
        """Settle what can be settled; returns the exit code."""
        unsettled = failed = 0
        self._look_around(self._work.records[0].place)
        try:
            for record in self._work.in_turn(self._contract.attempt):
                outcome = self._known.settled_as(record) or self._settle(record, time.monotonic())
                failed += outcome == "failed"
                unsettled += outcome == "remains"
        finally:
            self._patiently(self._markers.flush)
        if self._original is not None and not unsettled + failed:
            self._original.remove_restart()
        return self._exit_code(unsettled, failed)

    def _exit_code(self, unsettled: int, failed: int) -> int:
        if unsettled == 0 and not self._markers.blocked:
            return self._failed_with if failed and self._work.by_hand else EXIT_DONE
        reason = self._stop.reason
        if self._passes_codes_on and self._died_with is not None and reason is None:
            return own_code(self._died_with)
        if reason is not None and reason.kind == "run_stopped":
            return EXIT_LATER
        gained = self._parts_written + self._markers.written
        is_late = reason is not None and reason.kind == "deadline" and not gained
        if self._out_of_memory and (is_late or (not reason and self._out_of_memory == unsettled)):
            return EXIT_OUT_OF_MEMORY
        if is_late:
            return EXIT_AGAIN if self._contract.attempt < unsettled else EXIT_LATER
        if self._scratch_full and reason is None:
            return EXIT_SCRATCH_FULL
        return EXIT_AGAIN

    @property
    def _passes_codes_on(self) -> bool:
        """Whether a death's code is the job's: whoever runs a script by hand knows its codes."""
        return self._work.by_hand and self._work.tool == "script"

    def _settle(self, record: Record, began: float) -> str:
        """Work on one input: ``done``, ``failed`` or ``remains``."""
        self._look_for_stop()
        if self._stop.reason is not None:
            return "remains"
        journal = self._journal.about(index=record.index, place=record.place)
        folder = self._scratch / f"input-{record.place}"
        (folder / "fetched").mkdir(parents=True)
        parts: list[PartRecord] = []
        try:
            with full_named(self._scratch):
                tool = self._ready_tool()
                fetched = fetch_input(self._store, record, folder / "fetched", self._stop)
                fetched = fetched._replace(etag=self._work.told(fetched.etag))
                keys = self._known.part_keys(record.place)
                if self._original is not None and not keys:
                    keys = self._original.adopt(fetched, folder)
                outputs = self._work.places.input_folder(record.place)
                history = self._histories.read(keys, fetched.etag, outputs)
                parts = history.records
                session = self._open(tool, fetched, folder, history, journal)
                with contextlib.closing(session):
                    return self._drive(session, record, fetched, history, journal)
        except InputFailed as failure:
            self._fail(record, failure, parts, began)
            return "failed"
        except Interrupted as error:
            journal.say("interrupted", why=str(error))
            return "remains"
        except ScratchFull as error:
            self._scratch_full = True
            journal.say(
                "scratch_full",
                why=str(error),
                needed_bytes=error.needed_bytes,
                free_bytes=error.free_bytes,
            )
            return "remains"
        finally:
            remove(folder)

    def _drive(
        self,
        session: Session,
        record: Record,
        fetched: FetchedInput,
        history: History,
        journal: Journal,
    ) -> str:
        """Poll a session until it ends or must; seal parts on the way."""
        period = self._work.checkpoint_seconds
        while not session.poll():
            _collect_garbage_again()
            if period and session.unsealed and history.seconds() >= period:
                contribution = session.contribute()
                if contribution.fresh:
                    self._seal(contribution, record, fetched, history, "checkpoint")
            self._markers.flush_if_due()
            left = period - history.seconds()
            self._stop.wait(left if 0 < left < _POLL_S else _POLL_S)
            if self._stop.reason is not None:
                session.interrupt()
                journal.say("interrupted", why=self._stop.reason.text)
                return self._leave(session, record, fetched, history, self._stop.reason.text)
        if session.death is not None:
            journal.say("tool_died", why=session.death.reason)
            return self._after_death(session, session.death, record, fetched, history)
        self._complete(session, record, fetched, history)
        return "done"

    def _leave(
        self, session: Session, record: Record, fetched: FetchedInput, history: History, why: str
    ) -> str:
        """Keep what is finished as a part for the next attempt."""
        if session.unsealed:
            self._seal(session.contribute(), record, fetched, history, why)
        self._patiently(self._markers.flush)
        return "remains"

    def _after_death(
        self,
        session: Session,
        death: Death,
        record: Record,
        fetched: FetchedInput,
        history: History,
    ) -> str:
        self._out_of_memory += death.out_of_memory
        self._died_with = death.exit_code
        no_room = tells_of_no_room(death.reason)
        self._scratch_full = self._scratch_full or no_room
        if death.place is None or no_room:
            return self._leave(session, record, fetched, history, death.reason)
        # Recorded even without progress: a second death at the same place is final.
        contribution = session.contribute()
        self._seal(contribution, record, fetched, history, death.reason, trouble=death.place)
        return "remains"

    def _seal(
        self,
        contribution: Contribution,
        record: Record,
        fetched: FetchedInput,
        history: History,
        why: str,
        trouble: str | None = None,
    ) -> None:
        """Write a part: its outputs, then the record that lets another attempt go on from it."""
        part, restart = self._patiently(lambda: self._put(contribution, record, history))
        sealed = PartRecord(
            part=part.part,
            parent=None if history.parent is None else history.parent.part,
            place=record.place,
            index=record.index,
            input_etag=fetched.etag,
            outputs=part.outputs,
            restart=restart,
            progress=contribution.progress,
            why=why,
            job_id=self._contract.job_id,
            attempt=self._contract.attempt,
            seconds=history.seconds(),
            trouble=trouble,
            counts=contribution.counts,
            best_id=contribution.best_id,
            best_score=contribution.best_score,
        )
        bucket, places = self._work.output_bucket, self._work.places
        self._patiently(lambda: write_part_record(self._store, bucket, places, sealed))
        self._parts_written += 1
        history.add(sealed)
        if self._original is not None and restart is not None:
            self._original.keep_restart(restart)
        self._journal.say("part", index=record.index, part=part.part, progress=sealed.progress)

    def _complete(
        self, session: Session, record: Record, fetched: FetchedInput, history: History
    ) -> None:
        """Write the last part's outputs and take note of the marker, which comes last."""
        chained = [as_outputs(each) for each in history.chain]
        contribution = session.contribute()
        if contribution.fresh or not chained:
            last, _ = self._put(contribution, record, history)
            job_id, attempt = self._contract.job_id, self._contract.attempt
            seconds = history.seconds()
            chained.append(last._replace(seconds=seconds, job_id=job_id, attempt=attempt))
        self._markers.done(
            InputSummary(
                place=record.place,
                index=record.index,
                input_etag=fetched.etag,
                chain=tuple(chained),
                molecules=contribution.counts["molecules"],
                failed_molecules=contribution.counts["failed_molecules"],
                seconds=round(sum(part.seconds for part in chained), 3),
                best_id=contribution.best_id,
                best_score=contribution.best_score,
                job_id=self._contract.job_id,
                attempt=self._contract.attempt,
            )
        )

    def _put(
        self, contribution: Contribution, record: Record, history: History
    ) -> tuple[PartOutputs, OutputObject | None]:
        part, restart = write_outputs(
            self._store,
            self._work.output_bucket,
            self._work.places.input_folder(record.place),
            contribution,
            history.highest + 1,
            self._scratch,
        )
        history.highest = part.part
        return part, restart

    def _patiently(self, write: Callable[[], T]) -> T:
        """Write, and at a stop try again as long as there is time: nobody else can."""
        while True:
            try:
                return write()
            except (StoreUnavailable, OSError) as error:
                if self._stop.reason is None or self._stop.seconds_left() < 2 * _RETRY_S:
                    raise
                self._journal.say("write_again", why=str(error))
                self._stop.pause(_RETRY_S)

    def _fail(self, record: Record, why: InputFailed, parts: list[PartRecord], then: float) -> None:
        self._failed_with = own_code(why.exit_code)
        self._markers.failed(
            Failure(
                place=record.place,
                index=record.index,
                epoch=self._work.places.epoch,
                failure_class=why.failure_class,
                reason=why.reason,
                exit_code=why.exit_code,
                parts=tuple(part.part for part in parts),
                log_stream=log_stream(),
                job_id=self._contract.job_id,
                attempt=self._contract.attempt,
                seconds=round(time.monotonic() - then, 3),
            )
        )

    def _open(
        self, tool: Tool, fetched: FetchedInput, folder: Path, history: History, journal: Journal
    ) -> Session:
        """Open a session that goes on from the best part with which it can."""
        while True:
            self._histories.choose_parent(history, folder / RESTART)
            journal.say("start", uri=fetched.uri, progress=history.resume.progress)
            let_tool_read(folder)
            try:
                return tool.open(fetched, folder, history.resume)
            except RestartUnusable as error:
                if history.parent is None:
                    raise
                self._histories.lose_parent(history, error)

    def _ready_tool(self) -> Tool:
        """The tool with its assets, made when the first input needs it."""
        if self._tool is None:
            work = self._work
            check_gpus(work.gpus)
            setting = Setting(
                work.options, work.vcpus, work.gpus, work.variables, self._journal.say
            )
            tool = make_tool(work.tool, setting)
            folder = self._scratch / "assets"
            assets = fetch_assets(self._store, self._work.assets, folder, self._stop)
            if folder.exists():
                let_tool_read(folder)
            tool.prepare(assets)
            self._tool = tool
        return self._tool

    def _look_around(self, place: int) -> None:
        """Ask S3 at once for all that the first input's turn needs; import the tool meanwhile."""
        with ThreadPoolExecutor(3) as pool:
            asked = (
                pool.submit(self._look_for_stop),
                pool.submit(self._known.markers.at, place),
                pool.submit(self._known.parts.at, place),
            )
            load_tool(self._work.tool)
        for each in asked:
            each.result()

    def _look_for_stop(self) -> None:
        """Read the run's stop at the start and between inputs, at most once a minute."""
        now = time.monotonic()
        if self._stop_read and now - self._stop_read < _STOP_POLL_S:
            return
        self._stop_read = now
        if text := run_is_stopped(self._store, self._work):
            self._stop.ask("run_stopped", text)


def _collect_garbage_again() -> None:
    """The start is over, for which it is left alone; what was made then is kept for good."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
