"""Markers that come whenever they like, epochs that open failures again: what is frozen stays."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from drydock.decision import is_frozen_for
from drydock.markers import ListedMarker, late_markers, parse_marker_name, settle
from drydock.run_document import Epoch, RunDocument, open_epoch
from drydock.shard_document import ShardDocument, end, enter_epoch, freeze, void

INPUTS = 3
RANK = {"done": 0, "failed": 1, "skipped": 2}
places = st.integers(0, INPUTS - 1)
classes = st.sampled_from(["bad", "gone"])


def an_epoch(number):
    return Epoch(number, f"owner-{number}", 0.0, {}, "image", "definition")


class Freezing(RuleBasedStateMachine):
    """One shard: its markers in S3, its document, and every outcome that was ever frozen."""

    def __init__(self):
        super().__init__()
        self.run = RunDocument("r", "b", "p/", {}, (an_epoch(1),))
        self.document = ShardDocument(0, INPUTS, 1)
        self.present = {}
        self.outcomes = {}
        self.writes = 0

    def settlement(self):
        listed = [ListedMarker(name, 10, etag) for name, etag in self.present.items()]
        return settle(listed, INPUTS, self.run.reopened)

    def frozen(self):
        """The outcome that counts, or None."""
        if not is_frozen_for(self.document, self.run):
            return None
        return self.outcomes[self.document.frozen.key]

    def put_once(self, name):
        self.writes += 1
        self.present.setdefault(name, f"etag {self.writes}")

    # -- containers, some of them stale

    @rule(first=places, more=places)
    def a_container_is_done(self, first, more):
        self.put_once(f"{first:05d}-{min(first + more, INPUTS - 1):05d}.done")

    @rule(place=places, name=classes, ago=st.integers(0, 2))
    def a_container_fails(self, place, name, ago):
        self.put_once(f"{place:05d}.{max(1, self.run.epoch - ago)}.{name}.failed")

    @rule(place=places)
    def a_duplicate_is_skipped(self, place):
        self.put_once(f"{place:05d}.skipped")

    # -- the functions

    @rule(key=st.uuids())
    def aggregate(self, key):
        before, settlement = self.frozen(), self.settlement()
        if before is None and settlement.remaining():
            return
        spoken = {p: (s.name, s.etag) for p, s in settlement.speakers.items()}
        frozen = freeze(self.document, str(key), self.run.reopened)
        if before is None:
            self.outcomes[str(key)] = spoken
        else:
            assert frozen == self.document, "a second outcome was frozen"
        self.document = end(frozen, "complete")

    @precondition(lambda self: self.frozen() is None and self.present)
    @rule(data=st.data())
    def a_marker_that_is_not_whole_is_voided(self, data):
        name = data.draw(st.sampled_from(sorted(self.present)))
        self.document = void(self.document, (name,))
        del self.present[name]
        assert self.frozen() is None

    @rule(retry=st.lists(classes, unique=True))
    def the_next_epoch(self, retry):
        before = self.frozen()
        opened = an_epoch(self.run.epoch + 1)
        self.run = open_epoch(self.run, opened, retry)
        if retry:
            assert self.frozen() is None, "nothing was thawed"
            self.document = enter_epoch(self.document, self.run.epoch)
        else:
            assert self.frozen() == before, "an epoch changed what was frozen"

    # -- what must hold

    @invariant()
    def an_outcome_names_each_input_once_and_a_marker_that_counts(self):
        outcome = self.frozen()
        if outcome is None:
            return
        assert sorted(outcome) == list(range(INPUTS))
        for place, (name, _) in outcome.items():
            marker = parse_marker_name(name)
            assert marker.first <= place <= marker.last
            if marker.kind == "failed":
                assert marker.epoch >= self.run.reopened.get(marker.failure_class, 0)

    @invariant()
    def what_came_later_is_late_if_it_would_speak_and_nothing_else_is(self):
        outcome = self.frozen()
        if outcome is None:
            return
        late = late_markers(self.settlement(), outcome)
        assert late.isdisjoint(name for name, _ in outcome.values())
        assert late == {
            best for place in range(INPUTS) if (best := self.best(place)) != outcome[place][0]
        }

    def best(self, place):
        """The marker that the rule says speaks now, worked out the plain way."""
        candidates = [
            (RANK[marker.kind], name)
            for name in self.present
            if (marker := parse_marker_name(name)).first <= place <= marker.last
            if marker.kind != "failed"
            or marker.epoch >= self.run.reopened.get(marker.failure_class, 0)
        ]
        return min(candidates)[1]


TestFreezing = Freezing.TestCase
TestFreezing.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, database=None
)
