"""ECS's agent, asked as botocore asks it: whose keys a container gets, and what it is told."""

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
from botocore.credentials import ContainerProvider

from local.batch.agent import Agent, new_word
from local.batch.model import Job, Queue, Spec
from local.docker import agent_address
from local.gateway import Gateway

ROLE = "arn:aws:iam::123456789012:role/lab-job-role"


@pytest.fixture
def gateway():
    gateway = Gateway()
    gateway.listen(0)
    gateway.agent = Agent()
    gateway.serve()
    yield gateway
    gateway.close()


def job(role):
    """A job whose container has this role."""
    spec = Spec(
        name="job",
        queue=Queue("spot", "arn:queue", 1, "ENABLED", [], {}),
        definition_arn="arn:aws:batch:us-west-2:123456789012:job-definition/job:1",
        container={"image": "lab/align:1"} | ({"jobRoleArn": role} if role else {}),
        retry_strategy={"attempts": 1},
        timeout_s=None,
        vcpus=1,
        gpus=0,
        parameters={},
        tags={},
        overrides_chars=0,
    )
    return Job("1", "arn:job", spec, container={"logStreamName": "job/default/1-1"})


def told(gateway, role=ROLE):
    """A container that is known, and the variables that it has of it."""
    word = new_word()
    return word, gateway.agent.variables(word, job(role), gateway.endpoint_url)


def loaded(variables):
    """What botocore makes of the variables of a container."""
    return ContainerProvider(environ=variables).load()


def get(url):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def refused(url, **more):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(url, **more))
    return caught.value.code


def test_a_container_gets_the_keys_of_its_jobs_role(gateway):
    _, variables = told(gateway)
    found = loaded(variables)
    assert found.access_key == "lab-job-role"
    assert found.method == "container-role"
    answer = get(variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
    assert answer["RoleArn"] == ROLE
    assert datetime.fromisoformat(answer["Expiration"]) > datetime.now(UTC)


def test_each_has_its_own(gateway):
    _, first = told(gateway)
    _, second = told(gateway, ROLE.replace("lab", "other"))
    assert [loaded(each).access_key for each in (first, second)] == [
        "lab-job-role",
        "other-job-role",
    ]


def test_a_job_without_a_role_has_no_keys(gateway):
    word, variables = told(gateway, "")
    assert list(variables) == ["ECS_CONTAINER_METADATA_URI_V4"]
    assert refused(f"{gateway.endpoint_url}/ecs/credentials/{word}") == 404


def test_a_container_is_told_what_it_is(gateway):
    word, variables = told(gateway)
    gateway.agent.created(word, "c0ffee", "sha256:1234")
    assert get(variables["ECS_CONTAINER_METADATA_URI_V4"]) == {
        "Image": "lab/align:1",
        "ImageID": "sha256:1234",
        "DockerId": "c0ffee",
        "LogOptions": {"awslogs-stream": "job/default/1-1"},
    }


def test_who_has_ended_or_never_was_gets_nothing(gateway):
    word, variables = told(gateway)
    url = variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    assert refused(url, method="POST") == 404
    assert refused(url.replace(word, new_word())) == 404
    assert refused(url.replace("credentials", "keys")) == 404
    gateway.agent.forget(word)
    assert refused(url) == 404
    assert refused(variables["ECS_CONTAINER_METADATA_URI_V4"]) == 404


def test_what_is_signed_is_not_for_the_agent(gateway):
    """A bucket may have its name."""
    credential = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/nowhere/aws4_request"
    _, variables = told(gateway)
    url = variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    assert refused(url, headers={"Authorization": credential}) == 501


def test_on_ecs_the_address_is_left_to_its_agent(monkeypatch):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/theirs")
    assert agent_address() is None
