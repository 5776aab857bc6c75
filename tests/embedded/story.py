"""What the functions answer to the files of events/, each in its turn."""

import json

from drydock.keys import ControlKeys
from local.deploy import deploy
from local.sample import ROOT, RUN_ID, Sample, event

READY = {
    "status": "ready",
    "run_id": RUN_ID,
    "bucket": "drydock-data",
    "cursor": None,
    "duplicate_of": None,
}
HANDLED = {"batchItemFailures": []}
NOTHING_ENDED = {"terminated": 0, "advanced": 0}


def counts(done, remaining):
    return {"inputs": 2, "done": done, "failed": 0, "skipped": 0, "remaining": remaining}


# Until the round is submitted, and while it runs.
RAN = {
    "enumerate_inputs": READY,
    "enumerate_inputs.request": READY,
    "detect_restarts": {"remains": 2, "done": 0, "failed": 0, "skipped": 0},
    "aggregate_shard": {"status": "remains", "cursor": None},
    "merge_results": {"status": "incomplete", "accounting": counts(0, 2)},
    "submit_shard": {"decision": "Leave"},
    # Of a job that is not the one that runs: the shard is looked at, and left alone.
    "resubmit_interrupted": HANDLED,
    "resubmit_interrupted.parent_succeeded": HANDLED,
    "resubmit_interrupted.plain_job_failed": HANDLED,
    "resubmit_interrupted.advance": HANDLED,
    "stop_run.sweep": NOTHING_ENDED,
    "stop_run.check_budgets": NOTHING_ENDED,
}
# Once it has ended.
ENDED = {
    "detect_restarts": {"remains": 0, "done": 2, "failed": 0, "skipped": 0},
    "aggregate_shard": {"status": "aggregated", **counts(2, 0)},
    "merge_results": {"status": "done", "error": None, "accounting": counts(2, 0)},
    "judge_pilot": {"phase": "shards", "key": "sample/out/manifest/shards.json"},
    "stop_run.execution_aborted": NOTHING_ENDED,
}
# While a round runs, each in a run that has only begun: the reason of the stop that it puts.
STOPPING = {
    "stop_run": "user",
    "resubmit_interrupted.child_misconfigured": "misconfiguration",
    "resubmit_interrupted.child_not_started": "misconfiguration",
    "resubmit_interrupted.queue_blocked": "misconfiguration",
}


class Story:
    """A stack in which the sample is about to begin."""

    def __init__(self, aws):
        self.aws = aws
        self.stack = deploy(aws, ROOT / "template.yaml")
        self.sample = Sample(aws, self.stack)

    def tell(self, expected, send=None):
        """Send each file, in order; the answers hold what is expected of them."""
        for stem, part in expected.items():
            answer = (send or self.send)(stem)
            assert part_of(answer, part) == part, (stem, answer)

    def send(self, stem):
        """What the function that a file is for answers to it."""
        name = f"drydock-{stem.partition('.')[0].replace('_', '-')}"
        return self.aws.lambdas.invoke(name, json.dumps(event(stem)).encode()).document()

    def stop(self):
        """The stop in the run's document."""
        key = ControlKeys(RUN_ID).run_document()
        found = self.aws.client("s3").get_object(Bucket=self.stack.control_bucket, Key=key)
        return json.load(found["Body"])["stop"]


def part_of(answer, expected):
    """What the answer says of what is expected; it may say more."""
    if not isinstance(expected, dict):
        return answer
    return {key: part_of(answer.get(key), value) for key, value in expected.items()}
