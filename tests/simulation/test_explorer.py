"""The search finds what one interleaving in many breaks, and ends where nothing can."""

import itertools
import math

import pytest

from tests.simulation.explorer import Violated, explore, replay
from tests.simulation.keeping import keep
from tests.simulation.kernel import Fault

DIES = ("dies before", "dies after")


class Counter:
    """Two processes add one to a number each; with a safe one they compare and swap."""

    def __init__(self, kernel, *, safe: bool, tries: int = 5) -> None:
        self.kernel = kernel
        self.number, self.safe, self.tries = 0, safe, tries
        self.processes = []

    def begin(self):
        if self.processes:
            return None
        for name in ("one", "two"):
            self.processes.append(self.kernel.spawn(name, "lambda", self.add))
        return math.inf

    def keep(self):
        return keep((self,), (self.processes,))

    def add(self):
        for _ in range(self.tries):
            known = self.kernel.effect("read", lambda: self.number, writes=False)
            if self.kernel.effect("swap", lambda known=known: self.swap(known), writes=True):
                return

    def swap(self, known):
        if self.safe and self.number != known:
            return False
        self.number = known + 1
        return True

    def check(self):
        alive = sum(not process.dead for process in self.processes)
        assert alive <= self.number <= 2, f"{alive} lived and the number is {self.number}"

    def digest(self, rest):
        # Who lives is what is checked: it lasts.
        return f"{self.number} {[process.dead for process in self.processes]} {rest}"

    def about(self, process):
        return process.name

    def told(self, effect, answer):
        return f"{effect} {answer}"


def no_faults(effect, written):
    return ()


def deaths(effect, written):
    return [Fault(kind) for kind in DIES]


def test_a_lost_update_is_found_and_its_script_replays_it():
    with pytest.raises(Violated) as found:
        explore(lambda kernel: Counter(kernel, safe=False), no_faults, 0)
    assert "the number is 1" in str(found.value)
    with pytest.raises(AssertionError, match="the number is 1"):
        replay(lambda kernel: Counter(kernel, safe=False), no_faults, 0, found.value.script)


def test_compare_and_swap_survives_every_interleaving_and_every_death():
    explored = explore(lambda kernel: Counter(kernel, safe=True), deaths, 2)
    # Both orders at least, and each of four effects may die in two ways.
    assert explored.histories > 10
    assert explored.pruned > 0


def test_turning_back_at_states_seen_before_leaves_no_state_out(monkeypatch):
    distinct = itertools.count()

    def results(prunes):
        found = set()

        class Told(Counter):
            def check(self):
                super().check()
                found.add((self.number, tuple(p.dead for p in self.processes)))

            def digest(self, rest):
                # Without equal states the search goes through every list of choices.
                return super().digest(rest) if prunes else str(next(distinct))

        explored = explore(lambda kernel: Told(kernel, safe=True), deaths, 2)
        return found, explored.histories

    (with_pruning, few), (without, many) = results(prunes=True), results(prunes=False)
    assert with_pruning == without
    assert few < many


def test_whoever_goes_round_in_a_circle_is_found():
    class Forgetful(Counter):
        def add(self):
            while True:
                self.kernel.effect("read", lambda: self.number, writes=False)
                self.kernel.chooser.forget(self.kernel.current, 0)

    with pytest.raises(AssertionError, match="go on for ever"):
        explore(lambda kernel: Forgetful(kernel, safe=True), no_faults, 0)
