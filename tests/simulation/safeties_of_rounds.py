# ruff: noqa: E501 - the texts are those of the project
"""What keeps rounds apart: control documents, claims, tokens, and who may submit."""

from __future__ import annotations

from tests.simulation.safeties import Edit, Mutation

_ADVANCING = "src/drydock/advancing.py"
_DECISION = "src/drydock/decision.py"
_DOCUMENTS = "src/drydock/documents.py"
_OPENING = "src/drydock/opening.py"

ROUNDS = (
    Mutation(
        "compare-and-swap",
        "a control document is changed only if it is still what was read",
        "it is written whatever it is by then",
        (
            Edit(
                "src/drydock/store.py",
                """return self._put(bucket, key, body, None, {"IfMatch": f'"{etag}"'})""",
                "return self._put(bucket, key, body, None, {})",
            ),
        ),
        scene="two submissions",
    ),
    Mutation(
        "written once",
        "what is written once is put only where nothing is",
        "it is put whatever is there",
        (
            Edit(
                "src/drydock/store.py",
                'return self._put(bucket, key, body, content_type, {"IfNoneMatch": "*"})',
                "return self._put(bucket, key, body, content_type, {})",
            ),
        ),
    ),
    Mutation(
        "one shard document",
        "a shard's document is made once",
        "whoever finds none writes one",
        (
            Edit(
                _DOCUMENTS,
                "etag = self._store.put_once(self._bucket, key, document.to_json())",
                "etag = self._store.put(self._bucket, key, document.to_json())",
            ),
        ),
        scene="two submissions",
    ),
    Mutation(
        "one run document",
        "a run's document is made once",
        "whoever finds none writes one",
        (
            Edit(
                _DOCUMENTS,
                "self._store.put_once(self._bucket, key, document.to_json())\n\n    def replace_run",
                "self._store.put(self._bucket, key, document.to_json())\n\n    def replace_run",
            ),
        ),
        scene="two enumerate",
    ),
    Mutation(
        "one run a prefix",
        "an output prefix is claimed once",
        "whoever comes puts a card of their own",
        (
            Edit(
                _OPENING,
                "        services.store.put_once(\n            output.bucket, key, json",
                "        services.store.put(\n            output.bucket, key, json",
            ),
        ),
    ),
    Mutation(
        "one execution an upload",
        "an upload is claimed once",
        "whoever is told of it claims it",
        (
            Edit(
                "src/drydock/intake.py",
                """services.store.put_once(bucket, key, json.dumps({"execution": execution})""",
                """services.store.put(bucket, key, json.dumps({"execution": execution})""",
            ),
        ),
        scene="upload delivered twice",
    ),
    Mutation(
        "takeover",
        "a run is taken over only from an execution that is not RUNNING",
        "nobody asks",
        (Edit(_OPENING, "if services.executions.is_running(run.owner):", "if False:"),),
    ),
    Mutation(
        "lease",
        "a claim is its claimant's until its lease runs out",
        "every claim counts as silent",
        (
            Edit(
                _DECISION,
                "is_silent = now >= current.lease_until or current.epoch != run.epoch",
                "is_silent = True",
            ),
        ),
    ),
    Mutation(
        "owner before SubmitJob",
        "the owner is seen RUNNING behind the claim, before SubmitJob",
        "nobody asks",
        (Edit(_ADVANCING, "        and services.executions.is_running(run.owner)\n", ""),),
    ),
    Mutation(
        "stop before SubmitJob",
        "the run's stop is looked at behind the claim, before SubmitJob",
        "nobody looks",
        (
            Edit(
                _ADVANCING,
                "        and run.active_stop is None\n        and services.exec",
                "        and services.exec",
            ),
        ),
    ),
    Mutation(
        "list before claim",
        "a round's task list is written before the document names the round",
        "it is written behind the claim",
        (
            Edit(
                _ADVANCING,
                "    write_round(services, look.run, look.document.value, decision, unique)\n",
                "",
            ),
            Edit(
                _ADVANCING,
                "        return documents.replace_shard("
                "look.run.run_id, look.document, document)\n",
                "        swapped = documents.replace_shard("
                "look.run.run_id, look.document, document)\n"
                "        write_round("
                "services, look.run, look.document.value, decision, unique)\n"
                "        return swapped\n",
            ),
        ),
    ),
    Mutation(
        "names of a round",
        "each claimant writes a round's objects under a name of its own",
        "all claimants of a round write the same",
        (
            Edit(
                _ADVANCING,
                "    unique = services.unique()\n",
                '    unique = "0" * 16\n',
            ),
        ),
    ),
    Mutation(
        "adoption",
        "whoever takes a claim over looks for its job by name",
        "it submits one",
        (Edit(_ADVANCING, "job_id = services.jobs.find(queue_arn, name)", "job_id = None"),),
    ),
    Mutation(
        "claims of this epoch",
        "a claim of an earlier epoch is never submitted any more",
        "it is, as it was claimed",
        (
            Edit(_ADVANCING, "    elif claimed.epoch != run.epoch:\n", "    elif False:\n"),
            Edit(_ADVANCING, "        run.epoch == claimed.epoch\n        and ", "        "),
        ),
        deeds=("stops the execution",),
    ),
    Mutation(
        "own record",
        "a swap whose answer was lost is one's own when the document says so",
        "a job whose record's answer was lost is terminated",
        (
            Edit(
                _ADVANCING,
                "        if current is not None and current.unique == unique"
                " and current.job_id == job_id:\n            return\n",
                "",
            ),
        ),
        scene="two submissions",
    ),
    Mutation(
        "sweep spares claims",
        "the sweep leaves the job of a live claim alone",
        "it takes it for leaked",
        (
            Edit(
                "src/drydock/stopping.py",
                'return "fine" if is_live else "advance"',
                'return "leaked"',
            ),
        ),
        scene="sweep beside claim",
    ),
    Mutation(
        "sweep",
        "a job that no document names is terminated by the sweep",
        "it goes on",
        (
            Edit(
                "src/drydock/stopping.py",
                "terminated = _terminate(services, leaked, SUPERSEDED)",
                "terminated = 0",
            ),
        ),
        scene="two submissions",
    ),
    Mutation(
        "the recorded job",
        "an event says only of the job that it names that it ended",
        "every end is taken for that of the current round",
        (
            Edit(
                _ADVANCING,
                "if ended is None or ended.job_id != job_id:",
                "if ended is None:",
            ),
        ),
        scene="retry beside a late event",
    ),
    Mutation(
        "fresh jobs",
        "a job that Batch does not show yet is waited for",
        "its round is closed",
        (Edit(_DECISION, 'if job.state == "gone" and is_fresh:', "if False:"),),
    ),
    Mutation(
        "token first",
        "a token is stored before its shard is looked at",
        "it is stored afterwards",
        (
            Edit(
                _ADVANCING,
                "    store_token(services, run_id, shard, token)\n"
                "    decision = advance(services, run_id, shard)\n",
                "    decision = advance(services, run_id, shard)\n"
                "    store_token(services, run_id, shard, token)\n",
            ),
        ),
    ),
    Mutation(
        "dead tokens",
        "a token that nobody waits on any more keeps none from its answer",
        "the answer to it is an error",
        (
            Edit(
                "src/drydock/executions.py",
                'if error.response["Error"]["Code"] in _TOKEN_IS_DEAD:\n                return False\n',
                "",
            ),
        ),
    ),
    Mutation(
        "places withheld",
        "what a user terminated is not submitted again in the epoch",
        "it is",
        (
            Edit(
                _DECISION,
                "places = _not_withheld(facts.remaining, document.withheld)",
                "places = facts.remaining",
            ),
        ),
        deeds=("terminates a job",),
    ),
    Mutation(
        "memory doubled",
        "a round after one that ran out of memory has more of it",
        "it has the same",
        (
            Edit(
                "src/drydock/policies.py",
                "wanted = max(wanted, min(2 * had, max(max_mib, requested_mib)) if ran_out else had)",
                "wanted = max(wanted, had)",
            ),
        ),
    ),
    Mutation(
        "rounds capped",
        "rounds without progress come to an end",
        "they go on",
        (
            Edit(
                "src/drydock/policies.py",
                "        if counted >= min(patience, max_rounds):\n            return True\n",
                "",
            ),
        ),
    ),
)
