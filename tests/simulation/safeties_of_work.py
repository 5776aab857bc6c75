# ruff: noqa: E501 - the texts are those of the project
"""What keeps work whole: parts, markers, and what speaks for an input."""

from __future__ import annotations

from tests.simulation.safeties import Edit, Mutation

_ATTEMPT = "worker/attempt.py"
_RESULTS = "worker/results.py"
_HISTORY = "worker/history.py"
_MARKERS = "src/drydock/markers.py"
# Outputs wait in a list, until what names them was written.
_LATER = Edit(
    _RESULTS,
    "            etag = store.put_once(bucket, keys[output.name], body)\n",
    "            whole = body.read()\n"
    "        etag = __import__('hashlib').md5(whole).hexdigest()\n"
    "        _LATER.append((store, bucket, keys[output.name], whole))\n",
)


def _flush(indent: int) -> str:
    lines = (
        "while _LATER:",
        "    waiting = _LATER.pop(0)",
        "    waiting[0].put_once(*waiting[1:])",
    )
    return "".join(f"{' ' * indent}{line}\n" for line in lines)


WORK = (
    Mutation(
        "part numbers",
        "a part's number is claimed by the conditional put of its first output",
        "outputs are put whatever is there",
        (
            Edit(
                _RESULTS,
                "etag = store.put_once(bucket, keys[output.name], body)",
                "etag = store.put(bucket, keys[output.name], body)",
            ),
        ),
    ),
    Mutation(
        "chain of parents",
        "a marker names the whole chain of parts",
        "it names the last part",
        (Edit(_ATTEMPT, "chained = [as_outputs(each) for each in history.chain]", "chained = []"),),
    ),
    Mutation(
        "parents",
        "a part names the one that it went on from",
        "it names none",
        (
            Edit(
                _ATTEMPT,
                "parent=None if history.parent is None else history.parent.part,",
                "parent=None,",
            ),
        ),
    ),
    Mutation(
        "record last",
        "a part's record is written when its outputs and its restart are there",
        "the record comes first",
        (
            _LATER,
            Edit(
                _RESULTS,
                "    except AlreadyExists:\n        return\n\n\nclass MarkerWriter",
                "    except AlreadyExists:\n        pass\n" + _flush(4) + "\n\n_LATER = []\n\n\n"
                "class MarkerWriter",
            ),
            Edit(
                _RESULTS,
                "        for _ in range(_TRIES):\n",
                _flush(8) + "        for _ in range(_TRIES):\n",
            ),
        ),
    ),
    Mutation(
        "marker last",
        "a marker is written when all that it names is there",
        "the marker comes first",
        (
            _LATER,
            Edit(
                _RESULTS,
                "    try:\n        store.put_once(bucket, places.part_record",
                _flush(4) + "    try:\n        store.put_once(bucket, places.part_record",
            ),
            Edit(_RESULTS, "FLUSH_S = 60.0\n", "FLUSH_S = 60.0\n_LATER = []\n"),
            Edit(
                _RESULTS,
                "            self.written += 1\n",
                _flush(12) + "            self.written += 1\n",
            ),
        ),
    ),
    Mutation(
        "damaged parts",
        "nothing goes on from a part that has lost an output",
        "nobody looks",
        (Edit(_HISTORY, "lost=self._damaged(records, folder)", "lost=set()"),),
        deeds=("overwrites an output", "removes an output"),
    ),
    Mutation(
        "parts of this input",
        "parts of another version of an input are left out",
        "the one with the most progress is gone on from",
        (
            Edit(
                _HISTORY,
                "records = [each for each in read if each.input_etag == input_etag]",
                "records = read",
            ),
        ),
        deeds=("changes an input",),
    ),
    Mutation(
        "ETag of inputs",
        "an input is read as it was when it was enumerated",
        "it is read as it is",
        (
            Edit(
                "worker/transfer.py",
                "wanted = Wanted(uri, record.etag, record.first_byte, record.last_byte)",
                "wanted = Wanted(uri, None, record.first_byte, record.last_byte)",
            ),
        ),
        deeds=("changes an input",),
    ),
    Mutation(
        "markers once",
        "a marker is never overwritten",
        "it is put whatever is there",
        (
            Edit(
                _RESULTS,
                "self._store.put_once(self._bucket, key, body)",
                "self._store.put(self._bucket, key, body)",
            ),
        ),
    ),
    Mutation(
        "stop between inputs",
        "a worker looks at the run's stop before it begins an input",
        "it does not heed it",
        (Edit(_ATTEMPT, 'self._stop.ask("run_stopped", text)', "pass"),),
    ),
    Mutation(
        "precedence",
        "done beats failed",
        "failed beats done",
        (
            Edit(
                _MARKERS,
                '{"done": 0, "failed": 1, "skipped": 2}',
                '{"done": 1, "failed": 0, "skipped": 2}',
            ),
        ),
        scene="two ends of an input",
        faults=0,
    ),
    Mutation(
        "what is in the way",
        "what lies where a marker must go is removed before the next round",
        "rounds go on",
        (Edit("src/drydock/decision.py", "    if facts.in_the_way:\n", "    if False:\n"),),
        deeds=("cuts a marker",),
    ),
    Mutation(
        "failures of this epoch",
        "retry_failed opens failures of earlier epochs again",
        "it opens those of its own epoch too",
        (
            Edit(
                _MARKERS,
                "return name.epoch < reopened.get(name.failure_class, 0)",
                "return name.epoch <= reopened.get(name.failure_class, 0)",
            ),
        ),
        deeds=("starts again",),
    ),
    Mutation(
        "failures opened again",
        "a worker does not take an earlier epoch's failure for an end",
        "it does",
        (
            Edit(
                "worker/work.py",
                '            if name.kind != "failed" or (name.epoch or 0) >= '
                "self.work.places.epoch\n",
                "",
            ),
        ),
    ),
    Mutation(
        "duplicates",
        "a duplicate whose marker was removed gets it again",
        "it remains, and is worked on",
        (
            Edit(
                "src/drydock/aggregation.py",
                "        skip_again(services.store, run, document.shard, collected.bad)\n",
                "",
            ),
            Edit(
                "src/drydock/outcome.py",
                "voided = [name for name in bad if not _is_skipped(name)]",
                "voided = list(bad)",
            ),
        ),
        deeds=("cuts a marker",),
    ),
    Mutation(
        "skipped first",
        "a shard's task list is written when its duplicates have their markers",
        "it comes first",
        (
            Edit("src/drydock/enumeration.py", "    each(skip, shard.duplicates)\n", ""),
            Edit(
                "src/drydock/enumeration.py",
                "    try:\n        store.put_once(bucket, keys.manifest_tasks(shard.number), body)\n",
                "    try:\n        store.put_once(bucket, keys.manifest_tasks(shard.number), body)\n"
                "        each(skip, shard.duplicates)\n",
            ),
        ),
    ),
    Mutation(
        "shards once",
        "a shard of the manifest is put once",
        "it is put whatever is there",
        (
            Edit(
                "src/drydock/enumeration.py",
                "store.put_once(bucket, keys.manifest_tasks(shard.number), body)",
                "store.put(bucket, keys.manifest_tasks(shard.number), body)",
            ),
        ),
    ),
    Mutation(
        "manifest last",
        "the list of shards is written when all of them are there",
        "it is written with the first",
        (
            Edit(
                "src/drydock/enumeration.py",
                "        first_shard = shard.number + 1\n",
                "        first_shard = shard.number + 1\n"
                "        _write_shards(services, run, keys, first_shard)\n",
            ),
        ),
    ),
)
