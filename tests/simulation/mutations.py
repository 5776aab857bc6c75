"""All safeties, and how each is taken out; what is left out although it can be, and why."""

from __future__ import annotations

from tests.simulation.safeties import Economy
from tests.simulation.safeties_of_ends import ENDS
from tests.simulation.safeties_of_rounds import ROUNDS
from tests.simulation.safeties_of_work import WORK

MUTATIONS = (*ROUNDS, *WORK, *ENDS)
ECONOMIES: tuple[Economy, ...] = ()
