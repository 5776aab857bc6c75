"""All safeties, and how each is taken out; what is left out although it can be, and why."""

from __future__ import annotations

from tests.simulation.safeties import Economy
from tests.simulation.safeties_of_ends import ENDS
from tests.simulation.safeties_of_rounds import ROUNDS
from tests.simulation.safeties_of_work import WORK

MUTATIONS = (*ROUNDS, *WORK, *ENDS)
ECONOMIES = (
    Economy(
        "an execution that lost its run is refused (`RunSuperseded`)",
        "all that it does it does by the run's document as it is by then, and the owner's own "
        "merge comes last",
    ),
    Economy(
        "a message to look again is sent before each claim",
        "the claimant's own retry or message comes again, and at last the token's timeout",
    ),
    Economy(
        "a job whose claim was lost is terminated at once",
        "the sweep ends what no document names",
    ),
    Economy(
        "a submission that does not see its owner RUNNING yet is tried again",
        "the token times out, and the shard is looked at again",
    ),
    Economy(
        "an end is committed before tokens are answered",
        "whoever stores a token in between looks at the shard, and comes to the same end",
    ),
    Economy(
        "an earlier epoch's accounts count only while their outcome is frozen",
        "they are of an outcome that was whole, and a shard of which no newer ones were written "
        "says so by what remains",
    ),
    Economy(
        "a frozen shard is answered without a look at what remains of it",
        "nothing remains, and AggregateShard keeps the outcome that is named",
    ),
    Economy(
        "the part with the most progress is the one to go on from",
        "any part whose chain is whole leads to the same outputs",
    ),
    Economy(
        "a worker leaves out inputs that have a marker",
        "markers are put once, and what is outside a marker's chain never counts",
    ),
    Economy(
        "a worker reads what lies where its marker must go",
        "the input remains, and what lies there is removed before the next round",
    ),
    Economy(
        "an empty object is no marker by its name",
        "AggregateShard, which reads it, removes it as any that is not whole",
    ),
    Economy(
        "the end line of markers",
        "JSON that is cut cannot be read, and a done marker must be of the range of its name",
    ),
    Economy(
        "rounds without progress wait longer each time, and Spot gives way to On-Demand",
        "`max_rounds` ends them",
    ),
)
