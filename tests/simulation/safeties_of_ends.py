"""What makes ends final: outcomes, epochs, stops, and who may end whose jobs."""

from __future__ import annotations

from tests.simulation.safeties import Edit, Mutation

_AGGREGATION = "src/drydock/aggregation.py"
_OUTCOME = "src/drydock/outcome.py"
_RUN = "src/drydock/run_document.py"
_STOPPING = "src/drydock/stopping.py"

ENDS = (
    Mutation(
        "whole markers",
        "what a marker names must be there with its size and ETag",
        "a marker is believed",
        (Edit(_OUTCOME, "content is None or not _is_whole(content, present)", "content is None"),),
        deeds=("overwrites an output", "removes an output"),
    ),
    Mutation(
        "bad markers",
        "a marker that is not whole is removed",
        "its input neither counts nor goes on",
        (Edit(_AGGREGATION, "    if collected.bad:\n", "    if False:\n"),),
        deeds=("cuts a marker", "overwrites an output", "removes an output"),
    ),
    Mutation(
        "removal by ETag",
        "a marker is removed only if it is still the one that was read",
        "whatever lies there is removed",
        (
            Edit(
                _OUTCOME,
                "store.delete_if_match(run.output_bucket, key, etag)",
                "store.delete(run.output_bucket, key)",
            ),
        ),
        deeds=("cuts a marker", "overwrites an output", "removes an output"),
    ),
    Mutation(
        "removal told first",
        "which markers are removed is written down before",
        "it is written down afterwards",
        (
            Edit(
                _AGGREGATION,
                "        documents.replace_shard("
                "run.run_id, known, void_markers(document, tuple(collected.bad)))\n"
                "        void(services.store, run, document.shard, collected.bad)\n",
                "        void(services.store, run, document.shard, collected.bad)\n"
                "        documents.replace_shard("
                "run.run_id, known, void_markers(document, tuple(collected.bad)))\n",
            ),
        ),
        deeds=("cuts a marker", "overwrites an output", "removes an output"),
    ),
    Mutation(
        "frozen once",
        "the outcome that was named first stays",
        "each aggregation names its own",
        (
            Edit(
                "src/drydock/shard_document.py",
                "if document.frozen is not None and document.frozen.reopened == reopened:",
                "if False:",
            ),
            Edit(
                _AGGREGATION,
                "    if is_frozen and document.frozen is not None:\n",
                "    if False:\n",
            ),
        ),
    ),
    Mutation(
        "names of outcomes",
        "each collection writes its outcome under a name of its own",
        "all of a shard write the same",
        (
            Edit(
                _AGGREGATION,
                "key = ControlKeys(run.run_id).frozen(document.shard, services.unique())",
                'key = ControlKeys(run.run_id).frozen(document.shard, "0" * 16)',
            ),
        ),
    ),
    Mutation(
        "epoch of a stop",
        "a stop stops the epoch that it was meant for",
        "it stops whichever there is",
        (
            Edit(
                _RUN,
                "    if stop.epoch != document.epoch:\n        return document\n",
                "    stop = replace(stop, epoch=document.epoch)\n",
            ),
        ),
        scene="misconfiguration beside takeover",
    ),
    Mutation(
        "a new epoch goes on",
        "a stop does not outlive its epoch",
        "it stops later ones too",
        (
            Edit(
                _RUN,
                "return self.stop if self.stop is not None and self.stop.epoch == self.epoch"
                " else None",
                "return self.stop",
            ),
            Edit(
                _RUN,
                "epochs=(*document.epochs, epoch), stop=None, ",
                "epochs=(*document.epochs, epoch), ",
            ),
        ),
        deeds=("stops", "stops now"),
    ),
    Mutation(
        "one stop an epoch",
        "the first stop of an epoch is the one that counts",
        "each replaces the one before",
        (Edit(_RUN, "    if known is None:\n", "    if True:\n"),),
        deeds=("stops", "stops now"),
    ),
    Mutation(
        "one message a stop",
        "who put a stop tells of it",
        "whoever finds it tells of it",
        (
            Edit(
                "src/drydock/stops.py",
                "if run.stop is not None and run.stop.unique == own.unique:",
                "if run.stop is not None:",
            ),
        ),
        deeds=("stops", "stops now"),
    ),
    Mutation(
        "abort of one's own",
        "an execution that ended has only its own run's jobs terminated",
        "it has those of the run's next owner terminated too",
        (
            Edit(
                _STOPPING,
                "    if run.owner != execution_arn:\n        return Ended()\n",
                "",
            ),
        ),
        scene="abort beside takeover",
    ),
    Mutation(
        "jobs before owner",
        "jobs to abort are listed before the owner is read",
        "the owner is read first",
        (
            Edit(_STOPPING, "    jobs = _active(services, run_id)\n", ""),
            Edit(
                _STOPPING,
                "    if run.owner != execution_arn:\n        return Ended()\n",
                "    if run.owner != execution_arn:\n        return Ended()\n"
                "    jobs = _active(services, run_id)\n",
            ),
            Edit(
                _STOPPING,
                "    try:\n        run = Documents(services.store, bucket).run(run_id).value\n"
                "    except NotFound:\n"
                "        return Ended(terminated=_terminate(services, jobs, ABORTED))\n",
                "    run = Documents(services.store, bucket).run(run_id).value\n",
            ),
        ),
        scene="abort beside takeover",
    ),
    Mutation(
        "abort",
        "the jobs of an execution that ended are terminated",
        "they go on",
        (
            Edit(
                _STOPPING,
                "    return Ended(terminated=_terminate(services, jobs, ABORTED))\n\n\n"
                "def tell_of_broken(",
                "    return Ended()\n\n\ndef tell_of_broken(",
            ),
            Edit(
                _STOPPING,
                "    if not services.executions.is_running(run.owner):\n"
                "        return Ended(terminated=_terminate(services, jobs, ABORTED))\n",
                "    if not services.executions.is_running(run.owner):\n        return Ended()\n",
            ),
        ),
        scene="abort of an owner",
    ),
    Mutation(
        "stops carried out",
        "what runs is asked to end when its epoch is stopped",
        "it goes on",
        (
            Edit(
                "src/drydock/decision.py",
                "    if stop is not None and current.job_id is not None:\n",
                "    if False:\n",
            ),
        ),
        scene="stop of a job",
    ),
    Mutation(
        "budget",
        "a run that has spent more than its budget is stopped",
        "it goes on",
        (
            Edit(
                "src/drydock/spending.py",
                "if run.active_stop is not None or spent <= cap:",
                "if True:",
            ),
        ),
    ),
    Mutation(
        "pilot's verdict",
        "a pilot that fails stops its run",
        "its run goes on",
        (
            Edit(
                "src/drydock/judging.py",
                "    elif verdict.stop is not None:\n",
                "    elif False:\n",
            ),
        ),
        scene="pilot judged twice",
    ),
    Mutation(
        "pilot first",
        "nothing but the pilot is worked on before the pilot was judged",
        "everything is begun at once",
        (
            Edit(
                "src/drydock/enumeration.py",
                "    if run.pilot:\n        return {",
                "    if False:\n        return {",
            ),
        ),
    ),
    Mutation(
        "vain work ends",
        "a shard whose markers are never whole comes to an end",
        "its inputs are worked off again and again",
        (Edit("src/drydock/decision.py", "document.voidings >= max_rounds or ", ""),),
        deeds=("loses outputs",),
    ),
)
