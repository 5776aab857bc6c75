"""Every file of events/ goes by `sam local invoke` to its function, in Lambda's own runtime."""

import contextlib
import json

import pytest

from local.deploy import STACK_IMAGE
from local.docker import bridge_addresses
from local.embedded import EmbeddedAws
from local.sam import StartLambda, write_variables
from local.sample import event
from tests.embedded.story import ENDED, RAN, STOPPING, Story
from tests.sam_local.sam import invoke, invoke_sample


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    """What sam is told of the embedded AWS."""
    return tmp_path_factory.mktemp("sam") / "env.json"


@pytest.fixture(scope="module")
def story(request, tmp_path_factory, variables):
    """With so many machines; without any, what is submitted waits."""
    with EmbeddedAws(
        tmp_path_factory.mktemp("aws"),
        also=bridge_addresses(),
        machines=request.param,
        stack_image=STACK_IMAGE,
    ) as aws:
        story = Story(aws)
        write_variables(aws, variables)
        yield story


@pytest.mark.parametrize("story", [2], indirect=True)
def test_the_story_happens_as_the_files_tell_it(story, variables, eventually):
    story.sample.lay()
    story.tell(RAN, lambda stem: invoke_sample(stem, variables))
    eventually(lambda: set(story.aws.batch.counts()) == {"SUCCEEDED"}, within_s=120)
    story.tell(ENDED, lambda stem: invoke_sample(stem, variables))


@pytest.mark.parametrize("story", [0], indirect=True)
@pytest.mark.parametrize(("stem", "reason"), STOPPING.items())
def test_a_stop_is_put_with_its_reason(story, variables, stem, reason):
    story.sample.lay()
    # That these work there too is seen above.
    story.send("enumerate_inputs")
    story.send("submit_shard")
    invoke_sample(stem, variables)
    assert story.stop()["reason"] == reason


@pytest.fixture
def nobody(tmp_path):
    """An event about a run that there is not."""
    path = tmp_path / "nobody.json"
    path.write_text(json.dumps(event("detect_restarts") | {"run_id": "0" * 16}))
    return path


@pytest.mark.parametrize("story", [0], indirect=True)
def test_a_function_that_fails_says_so_in_its_answer(story, variables, nobody):
    answer = invoke("DetectRestartsFunction", nobody, variables)
    assert answer["errorType"] == "NotFound"


@pytest.mark.parametrize("story", [0], indirect=True)
def test_lambda_calls_it_a_failure_where_sam_does_not(story, variables, nobody, tmp_path):
    functions = StartLambda(variables, story.aws.region, tmp_path / "sam.log")
    with contextlib.closing(functions):
        story.aws.lambdas.run_elsewhere(functions.call)
        answer = story.aws.client("lambda").invoke(
            FunctionName="drydock-detect-restarts", Payload=nobody.read_bytes()
        )
    assert answer["FunctionError"] == "Unhandled"
    assert json.load(answer["Payload"])["errorType"] == "NotFound"
