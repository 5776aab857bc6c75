"""The machines that containers run on: they boot where work waits, are taken away, come back.

A Spot machine says two minutes before that it goes, or says nothing. A container whose host Batch
believes lost may run on and finish after the one that replaced it. A machine without work is given
back at once, so that a world without work comes to rest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation.kernel import Timer

if TYPE_CHECKING:
    from tests.simulation.attempts import Attempt
    from tests.simulation.batch import Batch

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
NOTICE_S = 120.0
SLOTS = 4
MEMORY_MIB = 262_144

# What ECS writes where a container did not start, and what may be otherwise the next time.
TRANSIENT = (
    "CannotPullContainerError: Error response from daemon: Get registry: context canceled",
    "CannotPullContainerError: pull image manifest has been retried 5 time(s): i/o timeout",
    "CannotPullContainerError: write /var/lib/docker/tmp/layer: no space left on device",
    "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
    "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s",
    "ResourceInitializationError: unable to pull secrets or registry auth: dial tcp: i/o timeout",
)
# And what is so every time, until somebody changes it.
PERMANENT = {
    "image denied": "CannotPullECRContainerError: AccessDeniedException: pull access denied",
    "image missing": "CannotPullContainerError: manifest for worker:1 not found: manifest unknown",
    "architecture": "CannotStartContainerError: Error response from daemon: OCI runtime create "
    "failed: exec /usr/bin/sh: exec format error: unknown",
    "no worker": "CannotCreateContainerError: OCI runtime create failed: exec: "
    '"drydock-worker": executable file not found in $PATH: unknown',
    "logs": "ResourceInitializationError: failed to initialize logging driver: no such group",
}
# Likewise for containers that start and end at once, by their exit codes.
ENDS_AT_ONCE = {"exit 126": 126, "exit 127": 127}
# Batch itself finds no machine for anything.
NEVER_FIT = "no machine fits"
BREAKAGES = (*PERMANENT, *ENDS_AT_ONCE, NEVER_FIT)
UNINSPECTED = (
    "CannotInspectContainerError: Could not transition to inspecting; timed out after waiting 30s"
)


@dataclass(eq=False)
class Machine:
    """An instance with room for containers; ``timers`` say what will happen to it."""

    id: str
    free: int
    noticed: bool = False
    attempts: dict[Attempt, None] = field(default_factory=dict)
    timers: list[Timer] = field(default_factory=list)


class Fleet:
    """The machines of one queue, at most ``most`` at once; only those of Spot are taken away."""

    def __init__(self, batch: Batch, name: str, *, most: int, is_spot: bool) -> None:
        # All are kept in the order of what happened to them, for a million containers too.
        self.machines: dict[Machine, None] = {}
        self.booted = 0
        self.reclaims = 0
        # How many vCPUs a machine has.
        self.slots = SLOTS
        self._batch = batch
        self._kernel = batch.kernel
        self._name = name
        self._most = most
        self._is_spot = is_spot
        self._booting = 0
        self._noticed = 0
        self._roomy: dict[Machine, None] = {}
        self._idle: dict[Machine, None] = {}

    def could_place(self, vcpus: int, gpus: int, memory_mib: int) -> bool:
        """Whether such a container fits an empty machine; there are no GPUs."""
        return not gpus and vcpus <= self.slots and memory_mib <= MEMORY_MIB

    def place(self, vcpus: int) -> Machine | None:
        """A machine that can take such a container now; those that have taken one come last."""
        return next((machine for machine in self._roomy if machine.free >= vcpus), None)

    def take(self, machine: Machine, attempt: Attempt) -> None:
        """An attempt begins on a machine."""
        machine.attempts[attempt] = None
        machine.free -= attempt.job.spec.vcpus
        self._idle.pop(machine, None)
        self._roomy.pop(machine, None)
        if machine.free:
            self._roomy[machine] = None

    def give(self, machine: Machine, attempt: Attempt) -> None:
        """It has ended, as far as Batch knows."""
        del machine.attempts[attempt]
        machine.free += attempt.job.spec.vcpus
        if machine not in self.machines:
            return
        if not machine.noticed:
            self._roomy[machine] = None
        if not machine.attempts:
            self._idle[machine] = None

    def grow(self, waiting: int, when_there: Callable[[], None]) -> None:
        """Boot machines for what waits, as far as there may be any."""
        # One that has a notice takes nothing any more, and may be gone before anybody asks again.
        lasting = len(self.machines) - self._noticed
        while self._booting * self.slots < waiting and lasting + self._booting < self._most:
            self._booting += 1
            self._boot(when_there)

    def rest(self) -> None:
        """Give back what has no work."""
        for machine in list(self._idle):
            self._leave(machine)

    def _boot(self, when_there: Callable[[], None]) -> None:
        choose = self._kernel.chooser
        if self._is_spot and choose.happens(f"{self._name} capacity", "no capacity"):
            self._kernel.note(f"queue {self._name}", "has no capacity for a while")
            self._batch.note_capacity(self._name)
            wait_s = choose.between(f"{self._name} without capacity", 60, 1800)
            self._kernel.after(wait_s, lambda: self._boot(when_there))
            return
        boot_s = choose.between(f"{self._name} boot", 15, 90)
        self._kernel.after(boot_s, lambda: self._arrive(when_there))

    def _arrive(self, when_there: Callable[[], None]) -> None:
        self._booting -= 1
        self.booted += 1
        machine = Machine(f"i-{self._name[0]}{self.booted:04x}", self.slots)
        self.machines[machine] = self._roomy[machine] = self._idle[machine] = None
        choose = self._kernel.chooser
        for way, do in (("reclaim", self.reclaim), ("reclaim without notice", self.take_away)):
            if self._is_spot and choose.happens(f"{machine.id} {way}", way):
                # Soon or later alike: most work of a history takes minutes.
                in_s = 2 * 100 ** choose.between(f"{machine.id} lives", 0, 1)
                self._after(machine, in_s, functools.partial(do, machine))
        when_there()

    def reclaim(self, machine: Machine) -> None:
        """Take a machine away, two minutes after a notice."""
        if machine.noticed:
            return
        machine.noticed = True
        self.reclaims += 1
        self._noticed += 1
        self._roomy.pop(machine, None)
        self._kernel.note(machine.id, "has a notice that it will be taken away")
        for attempt in list(machine.attempts):
            attempt.hear_notice()
        self._after(machine, NOTICE_S, lambda: self.take_away(machine))

    def take_away(self, machine: Machine) -> None:
        """Take a machine away, with all that runs on it."""
        self._kernel.note(machine.id, "is taken away")
        self.reclaims += not machine.noticed
        attempts = list(machine.attempts)
        self._leave(machine)
        for attempt in attempts:
            attempt.lose_host()

    def _leave(self, machine: Machine) -> None:
        del self.machines[machine]
        self._noticed -= machine.noticed
        for known in (self._roomy, self._idle):
            known.pop(machine, None)
        for timer in machine.timers:
            timer.cancel()

    def _after(self, machine: Machine, seconds: float, do: Callable[[], None]) -> None:
        machine.timers.append(self._kernel.after(seconds, do))
