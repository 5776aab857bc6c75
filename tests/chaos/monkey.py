"""Who does things to the processes and machines of an embedded AWS, as a seed says."""

import contextlib
import os
import random
import signal
from pathlib import Path

# What it does in one turn, by weight.
DEEDS = {
    "nothing": 10,
    "worker": 12,
    "tool": 2,
    "all workers": 1,
    "reclaim": 4,
    "reclaim with notice": 4,
    "outage": 2,
    "frozen": 3,
    "ghost": 5,
}
EVERY_S = (0.4, 1.6)
NOTICE_S = (3.0, 7.0)
OUTAGE_S = (1.0, 8.0)
FROZEN_S = (1.0, 5.0)


class Monkey:
    """Does one deed a turn. What it did stands in the story."""

    def __init__(self, seed: str, story) -> None:
        self._random = random.Random(f"{seed} monkey")
        self._story = story
        self._frozen: list[tuple[float, int]] = []
        # Workers that it killed.
        self.kills = 0

    def pause_s(self) -> float:
        """How long to the next turn."""
        return self._random.uniform(*EVERY_S)

    def act(self, stack, now_s: float) -> None:
        """Do something, or nothing, to what runs."""
        self._thaw(now_s)
        (deed,) = self._random.choices(list(DEEDS), list(DEEDS.values()))
        if deed in ("worker", "tool", "all workers", "frozen", "ghost"):
            workers = sorted(stack.ask("workers"), key=lambda each: each["job"])
            if workers:
                self._to_workers(deed, workers, stack, now_s)
        elif deed.startswith("reclaim"):
            self._reclaim(stack, self._random.uniform(*NOTICE_S) if "notice" in deed else 0.0)
        elif deed == "outage":
            seconds = self._random.uniform(*OUTAGE_S)
            stack.ask("outage", seconds=seconds)
            self._story.tell("monkey", "S3 is out", seconds=round(seconds, 1))

    def rest(self) -> None:
        """Undo what does not end by itself."""
        self._thaw(float("inf"))

    def forget(self) -> None:
        """All that it stopped is gone: its numbers are other processes' by now."""
        self._frozen.clear()

    def _to_workers(self, deed: str, workers: list[dict], stack, now_s: float) -> None:
        chosen = workers if deed == "all workers" else [self._random.choice(workers)]
        for worker in chosen:
            if deed == "frozen":
                self._freeze(worker, now_s)
            elif deed == "ghost":
                if stack.ask("ghost", job=worker["job"]):
                    self._story.tell("monkey", "machine lost, its container works on", **worker)
            elif deed == "tool":
                self._kill_tool(worker)
            else:
                self._story.tell("monkey", "SIGKILL of a worker", **worker)
                _signal_group(worker["pid"], signal.SIGKILL)
                self.kills += 1

    def _freeze(self, worker: dict, now_s: float) -> None:
        """A machine that hangs and comes back: SIGSTOP, and SIGCONT after a while."""
        self._story.tell("monkey", "SIGSTOP of a worker", **worker)
        _signal_group(worker["pid"], signal.SIGSTOP)
        self._frozen.append((now_s + self._random.uniform(*FROZEN_S), worker["pid"]))

    def _thaw(self, now_s: float) -> None:
        for until_s, pid in list(self._frozen):
            if now_s >= until_s:
                _signal_group(pid, signal.SIGCONT)
                self._frozen.remove((until_s, pid))

    def _kill_tool(self, worker: dict) -> None:
        """SIGKILL to a process that a worker started, as the kernel does when memory ends."""
        below = _children(worker["pid"])
        if below:
            self._story.tell("monkey", "SIGKILL of a tool", **worker)
            with contextlib.suppress(OSError):
                os.kill(self._random.choice(below), signal.SIGKILL)

    def _reclaim(self, stack, notice_s: float) -> None:
        machines = sorted(stack.ask("machines"))
        if machines and stack.ask(
            "reclaim", machine=(chosen := self._random.choice(machines)), notice_s=notice_s
        ):
            what = "reclaim with notice" if notice_s else "reclaim without notice"
            self._story.tell("monkey", what, machine=chosen, notice_s=round(notice_s, 1))


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, number)


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return sorted(int(each) for each in text.split())
    return []
