"""Where an attempt writes below the output prefix."""

from typing import NamedTuple

from drydock.keys import RunKeys

# By hand there is no run, shard or epoch; the keys keep their form.
BY_HAND = "by-hand"


class Places(NamedTuple):
    """The keys of one shard of a run. Only what lies here is the worker's to write."""

    run_id: str
    prefix: str
    shard: int
    epoch: int
    round: int

    @property
    def keys(self) -> RunKeys:
        """The run's keys below its prefix."""
        return RunKeys(self.run_id, self.prefix)

    def input_folder(self, place: int) -> str:
        """Outputs of an input; by hand ``<index>/``, as the contract of DOCK 3.8 has it."""
        if self.run_id == BY_HAND:
            return f"{self.prefix}{place}/"
        return self.keys.input_folder(self.shard, place)

    def markers_folder(self) -> str:
        """Where the shard's markers lie."""
        return self.keys.markers_folder(self.shard)

    def done_marker(self, first: int, last: int) -> str:
        """The marker of places that one attempt completed, both ends inclusive."""
        return self.keys.done_marker(self.shard, first, last)

    def failed_marker(self, place: int, failure_class: str) -> str:
        """The marker of an input that is settled as failed in this epoch."""
        return self.keys.failed_marker(self.shard, place, self.epoch, failure_class)

    def parts_folder(self) -> str:
        """Where the shard's part records lie."""
        return self.keys.parts_folder(self.shard)

    def part_record(self, place: int, part: int) -> str:
        """What lets another attempt go on from a part."""
        return self.keys.part_record(self.shard, place, part)

    def misconfigured(self) -> str:
        """The round's sentence on why nothing in this run can work."""
        return self.keys.misconfigured(self.shard, self.round)


def by_hand(prefix: str) -> Places:
    """The places of a worker that was started by hand."""
    return Places(run_id=BY_HAND, prefix=prefix, shard=0, epoch=1, round=0)
