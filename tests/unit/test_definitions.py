"""The job definition of a container: its name, what it says, and whether another one says it."""

from dataclasses import replace

import pytest

from drydock.definitions import (
    PERIOD_S,
    Container,
    definition_name,
    definition_of,
    is_for,
    is_past,
    name_prefix,
)

STACK = "arn:aws:batch:us-west-2:123456789012:job-definition/lab-worker:3"
SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:lab/license-AbCdEf"
CONTAINER = Container("ecr/lab/vina@sha256:1", 64, {"KEY": SECRET})
NOW = 700 * PERIOD_S + 1.0
OWN = {
    "jobDefinitionName": "lab-worker",
    "revision": 3,
    "status": "ACTIVE",
    "retryStrategy": {"attempts": 3},
    "platformCapabilities": ["EC2"],
    "tags": {"aws:cloudformation:stack-name": "lab"},
    "containerProperties": {
        "image": "ecr/drydock:1",
        "command": ["drydock-worker"],
        "readonlyRootFilesystem": True,
        "linuxParameters": {"sharedMemorySize": 64, "tmpfs": [{"containerPath": "/tmp"}]},
    },
}


def test_a_name_is_the_same_for_the_same():
    name = definition_name(STACK, CONTAINER, NOW)
    assert name.startswith("lab-worker-00700-")
    assert name == definition_name(
        STACK, Container("ecr/lab/vina@sha256:1", 64, {"KEY": SECRET}), NOW
    )
    assert len(name) == len("lab-worker-00700-") + 16
    assert name_prefix(STACK) == "lab-worker-"


@pytest.mark.parametrize(
    "other",
    [
        (STACK.replace(":3", ":4"), CONTAINER, NOW),
        (STACK, replace(CONTAINER, image="ecr/lab/vina@sha256:2"), NOW),
        (STACK, replace(CONTAINER, shm_mib=65), NOW),
        (STACK, replace(CONTAINER, secrets={}), NOW),
        (STACK, replace(CONTAINER, secrets={"OTHER": SECRET}), NOW),
        (STACK, CONTAINER, NOW + PERIOD_S),
    ],
    ids=["stack", "image", "shared memory", "no secrets", "secrets", "period"],
)
def test_a_name_is_another_for_whatever_differs(other):
    assert definition_name(*other) != definition_name(STACK, CONTAINER, NOW)


@pytest.mark.parametrize(
    ("name", "past"),
    [
        ("lab-worker-00698-0123456789abcdef:1", True),
        ("lab-worker-00001-0123456789abcdef:12", True),
        ("lab-worker-00699-0123456789abcdef:1", False),
        ("lab-worker-00700-0123456789abcdef:1", False),
        ("lab-worker:1", False),
        ("lab-worker-00698-0123:1", False),
        ("lab-worker-2-worker-00698-0123456789abcdef:1", False),
        ("other-worker-00698-0123456789abcdef:1", False),
        ("00698-0123456789abcdef:1", False),
    ],
)
def test_only_what_is_ours_and_of_a_period_before_the_last_is_past(name, past):
    arn = f"arn:aws:batch:us-west-2:123456789012:job-definition/{name}"
    assert is_past(arn, STACK, NOW) == past


def test_a_definition_is_the_stack_s_with_what_a_request_decides():
    made = definition_of(OWN, "lab-worker-x", CONTAINER)
    assert made == {
        "jobDefinitionName": "lab-worker-x",
        "type": "container",
        "retryStrategy": {"attempts": 3},
        "platformCapabilities": ["EC2"],
        "containerProperties": {
            "image": CONTAINER.image,
            "command": ["drydock-worker"],
            "readonlyRootFilesystem": True,
            "linuxParameters": {"sharedMemorySize": 64, "tmpfs": [{"containerPath": "/tmp"}]},
            "secrets": [{"name": "KEY", "valueFrom": SECRET}],
        },
    }
    assert is_for(made, CONTAINER)
    assert OWN["containerProperties"]["image"] == "ecr/drydock:1"


@pytest.mark.parametrize(
    "other",
    [
        replace(CONTAINER, image="ecr/lab/vina@sha256:2"),
        replace(CONTAINER, shm_mib=65),
        replace(CONTAINER, secrets={}),
    ],
    ids=["image", "shared memory", "secrets"],
)
def test_a_definition_of_another_container_is_told_apart(other):
    assert not is_for(definition_of(OWN, "lab-worker-x", other), CONTAINER)


def test_a_definition_without_these_is_of_no_container_of_ours():
    bare = {"containerProperties": {"image": CONTAINER.image}}
    assert not is_for(bare, replace(CONTAINER, secrets={}))
