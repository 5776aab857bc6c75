"""Containers that come back from the dead: Batch has lost their machine, and they work on.

To Batch the attempt has ended as with any machine that is gone, and the next one starts; the
process of the old one lives, sees its signals and its S3, and finishes whenever it does.
"""

from local.batch.launching import Ended
from local.batch.scheduler import Scheduler


class Ghosts:
    """Makes attempts of a scheduler ghosts, and keeps the scheduler from tripping over them."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._ghosts: list = []
        self._ended, self._take_away = scheduler._ended, scheduler._take_away
        self._clean = scheduler._launcher.clean
        scheduler._ended, scheduler._take_away = self._note_end, self._note_machine
        object.__setattr__(scheduler._launcher, "clean", self._clean_dead)

    def make(self, job_id: str) -> bool:
        """Let Batch lose the machine of a job that runs; False when none runs any more."""
        with self._scheduler.lock:
            attempt = self._scheduler.running.get(job_id)
            if attempt is None or attempt.stopped is not None:
                return False
            if attempt.handle is None or not attempt.handle.pid:
                return False
            self._ghosts.append(attempt)
            reason = f"Host EC2 (instance {attempt.machine.id}) terminated."
            self._scheduler._attempt_ended(attempt, reason)
        self._scheduler.wake()
        return True

    def alive(self) -> int:
        """How many work on."""
        return sum(1 for each in list(self._ghosts) if not each.handle.ended.is_set())

    def _note_end(self, attempt, ended: Ended) -> None:
        if attempt not in self._ghosts:
            self._ended(attempt, ended)
            return
        self._clean(attempt.job, attempt.number)

    def _note_machine(self, machine) -> None:
        """When its machine goes for good, so does what haunts it: its disk is wiped."""
        for each in self._ghosts:
            if each.machine is machine:
                each.handle.kill()
        self._take_away(machine)

    def _clean_dead(self, job, number: int) -> None:
        haunted = any(
            each.job is job and each.number == number and not each.handle.ended.is_set()
            for each in self._ghosts
        )
        if not haunted:
            self._clean(job, number)
