"""Every file of events/ goes to the function that it is for, as `sam local invoke` would send it.

The files tell one run's story; here it happens, in the functions that the template deploys.
"""

import json

import pytest

from local.deploy import STACK_IMAGE
from local.embedded import EmbeddedAws
from local.sample import EVENTS, event
from tests.embedded.story import ENDED, RAN, STOPPING, Story


@pytest.fixture(scope="module")
def story(request, tmp_path_factory):
    """With so many machines; without any, what is submitted waits."""
    directory = tmp_path_factory.mktemp("aws")
    with EmbeddedAws(directory, machines=request.param, stack_image=STACK_IMAGE) as aws:
        yield Story(aws)


@pytest.mark.parametrize("story", [2], indirect=True)
def test_the_story_happens_as_the_files_tell_it(story, eventually):
    story.sample.lay()
    story.tell(RAN)
    eventually(lambda: set(story.aws.batch.counts()) == {"SUCCEEDED"})
    story.tell(ENDED)


@pytest.mark.parametrize("story", [0], indirect=True)
@pytest.mark.parametrize(("stem", "reason"), STOPPING.items())
def test_a_stop_is_put_once_with_its_reason(story, stem, reason):
    story.sample.lay()
    story.send("enumerate_inputs")
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
