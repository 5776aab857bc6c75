"""The best molecules of a run so far, while it goes on as well as afterwards.

Of a shard that is complete its own list is read, all of it that can matter; of another one each
marker, which names the best molecule of each of its inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cli.look import Doors, is_final, run_of, shard_sizes
from drydock.aggregation import Written, read_accounts
from drydock.concurrency import each
from drydock.detection import list_markers, run_keys
from drydock.errors import Malformed, NotFound
from drydock.markers import parse_done, parse_marker_name
from drydock.ranking import Ranked, Ranking, parse_ranked
from drydock.run_document import RunDocument
from drydock.shard_tables import top_key


@dataclass(frozen=True, slots=True)
class Molecule:
    """A molecule, its best score so far, and the number of the input that it is of."""

    molecule_id: str
    score: float
    index: int | None


@dataclass(frozen=True, slots=True)
class Best:
    """The best molecules, best first.

    ``by_input`` inputs lie in shards that are not complete: each gives its best molecule alone.
    ``sure`` is how many molecules can be ranked where that is fewer than were asked for: of a shard
    the run keeps no more.
    """

    molecules: list[Molecule]
    by_input: int
    sure: int | None = None


def best_so_far(doors: Doors, run_id: str, keep: int, told: Callable[[int, int], None]) -> Best:
    """The ``keep`` best; ``told`` hears how many shards of how many were read.

    Raises:
        RunNotFound: there is no such run in this stack.
    """
    run = run_of(doors, run_id)
    sizes = shard_sizes(doors.store, run)
    ranking, by_input, sure = Ranking(keep), 0, keep
    for number, (shard, inputs) in enumerate(sizes.items(), 1):
        written = read_accounts(doors.store, run, shard)
        if written is not None and is_final(run, written):
            kept = _kept(run, written.epoch)
            for lines in _lists(doors, run, shard, written):
                # What a full list has no room for may be better than all of another one.
                sure = min(sure, kept) if len(lines) >= kept else sure
                ranking.add_sorted(parse_ranked(lines))
        else:
            found = list(_of_inputs(doors, run, shard, inputs))
            by_input += len(found)
            for ranked in found:
                ranking.add(ranked)
        told(number, len(sizes))
    molecules = [_molecule(ranked) for ranked in ranking.best()[:sure]]
    return Best(molecules, by_input, sure if sure < keep else None)


def _kept(run: RunDocument, epoch: int) -> int:
    """How many molecules the lists of an epoch have at most."""
    request = next(found.request for found in run.epochs if found.epoch == epoch)
    return int(request["keep_top"])


def _lists(doors: Doors, run: RunDocument, shard: int, written: Written) -> Iterator[list[str]]:
    for turn in range(written.turns):
        try:
            body = doors.store.get(run.output_bucket, top_key(run, shard, turn)).body
        except NotFound:
            continue
        # Not splitlines: it would end lines at characters that may be part of a molecule's id.
        yield [f"{line}\n" for line in body.decode().split("\n") if line]


def _of_inputs(doors: Doors, run: RunDocument, shard: int, inputs: int) -> Iterator[Ranked]:
    """The best molecule of each input that is done."""
    speakers = list_markers(doors.store, run, shard, inputs).speakers.values()
    names = dict.fromkeys(found.name for found in speakers if found.kind == "done")
    folder = run_keys(run).markers_folder(shard)

    def read(name: str) -> list[Ranked]:
        marker = parse_marker_name(name)
        assert marker is not None  # noqa: S101 - only markers speak
        try:
            summaries = parse_done(doors.store.get(run.output_bucket, folder + name).body, marker)
        except (NotFound, Malformed):
            # Removed meanwhile, or to be: what it says does not count.
            return []
        return [
            Ranked(found.best_score, found.best_id, f"\t\t{json.dumps({'index': found.index})}")
            for found in summaries
            if found.best_score is not None and found.best_id is not None
        ]

    for found in each(read, names):
        yield from found


def _molecule(ranked: Ranked) -> Molecule:
    try:
        index = json.loads(ranked.row.split("\t", 2)[2])["index"]
    except (ValueError, LookupError, TypeError):
        index = None
    return Molecule(ranked.molecule_id, ranked.score, index if isinstance(index, int) else None)
