"""Every file of events/ goes to the function that it is for, as `sam local invoke` would send it.

The files tell one run's story; here it happens, in the functions that the template deploys.
"""

import json
from pathlib import Path

import pytest

from local.deploy import STACK_IMAGE, deploy
from local.embedded import EmbeddedAws

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
RUN_ID = "0123456789abcdef"
# The execution that owns the run goes on for as long as this test does; those that the uploads
# start have nothing to do.
WAITING = {
    "StartAt": "IsSample",
    "States": {
        "IsSample": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.wait", "IsPresent": True, "Next": "Waiting"}],
            "Default": "Done",
        },
        "Waiting": {"Type": "Wait", "Seconds": 600, "End": True},
        "Done": {"Type": "Succeed"},
    },
}


def counts(done, failed, remaining):
    return {"inputs": 2, "done": done, "failed": failed, "skipped": 0, "remaining": remaining}


READY = {"status": "ready", "bucket": "drydock-data", "cursor": None, "duplicate_of": None}
HANDLED = {"batchItemFailures": []}
NOTHING_ENDED = {"terminated": 0, "advanced": 0}
RAN = {
    "enumerate_inputs": READY,
    "enumerate_inputs.request": READY,
    "detect_restarts": {"remains": 2, "done": 0, "failed": 0, "skipped": 0},
    "aggregate_shard": {"status": "remains", "cursor": None},
    "merge_results": {"status": "incomplete", "accounting": counts(0, 0, 2)},
    "submit_shard": {"decision": "Leave"},
    # Of a job that is not the one that runs: the shard is looked at, and left alone.
    "resubmit_interrupted": HANDLED,
    "resubmit_interrupted.parent_succeeded": HANDLED,
    "resubmit_interrupted.plain_job_failed": HANDLED,
    "resubmit_interrupted.advance": HANDLED,
    "stop_run.sweep": NOTHING_ENDED,
    "stop_run.check_budgets": NOTHING_ENDED,
}
ENDED = {
    "detect_restarts": {"remains": 0, "done": 0, "failed": 2, "skipped": 0},
    "aggregate_shard": {"status": "aggregated", **counts(0, 2, 0)},
    "merge_results": {"status": "done", "error": None, "accounting": counts(0, 2, 0)},
    "judge_pilot": {"phase": "shards", "key": "sample/out/manifest/shards.json"},
    "stop_run.execution_aborted": NOTHING_ENDED,
}
STOPPING = {
    "stop_run": "user",
    "resubmit_interrupted.child_misconfigured": "misconfiguration",
    "resubmit_interrupted.child_not_started": "misconfiguration",
    "resubmit_interrupted.queue_blocked": "misconfiguration",
}


class Story:
    """A stack in which `sample` is about to begin: two inputs that the worker refuses at once."""

    def __init__(self, aws):
        self.aws = aws
        self.stack = deploy(aws, ROOT / "template.yaml")
        self.s3 = aws.client("s3")
        self.run_id = RUN_ID
        states = aws.client("stepfunctions")
        machine = self.stack.state_machine_arn
        states.update_state_machine(stateMachineArn=machine, definition=json.dumps(WAITING))
        states.start_execution(stateMachineArn=machine, name="sample", input='{"wait": true}')

    def begin(self):
        """Upload the sample anew: a run of its own, under an output prefix that is empty."""
        for bucket in ("drydock-data", "drydock-control"):
            for found in self.s3.list_objects_v2(Bucket=bucket).get("Contents", []):
                self.s3.delete_object(Bucket=bucket, Key=found["Key"])
        for name in ("inputs/a.pdbqt", "inputs/b.pdbqt", "receptor.pdbqt"):
            self.s3.put_object(Bucket="drydock-data", Key=f"sample/{name}", Body=b"")
        request = event("enumerate_inputs.request")["event"]
        body = json.dumps(request).encode()
        self.s3.put_object(Bucket="drydock-intake", Key="sample.json", Body=body)
        self.run_id = self.send("enumerate_inputs")["run_id"]

    def send(self, stem):
        """What the function answers to the file, with the run's own id in it."""
        name = f"drydock-{stem.partition('.')[0].replace('_', '-')}"
        text = json.dumps(event(stem)).replace(RUN_ID, self.run_id)
        outcome = self.aws.lambdas.invoke(name, text.encode())
        assert not outcome.failed, (stem, outcome.document())
        return outcome.document()

    def stop(self):
        """The stop in the run's document."""
        key = f"runs/{self.run_id}/run.json"
        document = json.load(self.s3.get_object(Bucket="drydock-control", Key=key)["Body"])
        return document["stop"]


def event(stem):
    return json.loads((EVENTS / f"{stem}.json").read_text(encoding="utf-8"))


def part_of(answer, expected):
    """What the answer says of what is expected; it may say more."""
    if not isinstance(expected, dict):
        return answer
    return {key: part_of(answer.get(key), value) for key, value in expected.items()}


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    with EmbeddedAws(tmp_path_factory.mktemp("aws"), stack_image=STACK_IMAGE) as aws:
        yield Story(aws)


def test_the_story_happens_as_the_files_tell_it(story, eventually):
    story.begin()
    for stem, expected in RAN.items():
        assert part_of(story.send(stem), expected) == expected, stem
    eventually(lambda: set(story.aws.batch.counts()) == {"SUCCEEDED"})
    for stem, expected in ENDED.items():
        assert part_of(story.send(stem), expected) == expected, stem


@pytest.mark.parametrize(("stem", "reason"), STOPPING.items())
def test_a_stop_is_put_once_with_its_reason(story, stem, reason):
    story.begin()
    # An event about a job counts for the epoch whose round that job was.
    story.send("submit_shard")
    assert story.stop() is None
    story.send(stem)
    assert story.stop()["reason"] == reason
    first = story.stop()
    story.send(stem)
    assert story.stop() == first
    assert story.send("merge_results")["status"] == "stopped"


def test_every_file_is_sent():
    files = {path.stem for path in EVENTS.glob("*.json")}
    assert files == RAN.keys() | ENDED.keys() | STOPPING.keys()


def test_messages_carry_the_events_that_fit_the_rules():
    """What SQS hands over is an event that a rule let through, byte for byte the same document."""
    samples = [json.loads(path.read_text()) for path in (EVENTS / "eventbridge").glob("*.json")]
    for path in EVENTS.glob("resubmit_interrupted*.json"):
        for record in event(path.stem)["Records"]:
            body = json.loads(record["body"])
            assert "advance" in body or body in samples, path.stem
            assert record["eventSourceARN"].endswith(":drydock-resubmit-queue")
    assert event("stop_run.execution_aborted") in samples
    assert event("enumerate_inputs")["event"] in samples
