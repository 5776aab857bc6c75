"""The door to Amazon ECR, against moto's."""

import boto3
import pytest
from botocore.config import Config

from drydock.errors import NotFound, ServiceUnavailable
from drydock.images import parse_image
from drydock.registry import Registry
from local.images import digest_of, push

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture
def registry(aws):
    client = aws("ecr")
    push(client, f"{HOST}/lab/vina:2", "vina 2")
    push(client, f"{HOST}/lab/vina:3", "vina 3")
    return Registry(client)


@pytest.mark.parametrize("which", [":2", ":3"])
def test_a_tag_is_resolved_to_the_digest_that_it_names(registry, which):
    found = registry.digest(parse_image(f"{HOST}/lab/vina{which}"))
    assert found == digest_of(f"vina {which[1]}")


def test_a_digest_is_what_it_is_once_it_is_there(registry):
    digest = digest_of("vina 2")
    assert registry.digest(parse_image(f"{HOST}/lab/vina:3@{digest}")) == digest


def test_a_tag_that_was_moved_names_another_image(aws, registry):
    push(aws("ecr"), f"{HOST}/lab/vina:2", "vina 2.1")
    assert registry.digest(parse_image(f"{HOST}/lab/vina:2")) == digest_of("vina 2.1")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (f"{HOST}/lab/gnina:2", "there is no repository lab/gnina"),
        (f"{HOST}/lab/vina:4", "repository lab/vina has no image 4"),
        (f"{HOST}/lab/vina@{digest_of('x')}", f"repository lab/vina has no image {digest_of('x')}"),
    ],
)
def test_what_is_not_there_is_said(registry, reference, said):
    with pytest.raises(NotFound) as caught:
        registry.digest(parse_image(reference))
    assert str(caught.value) == said


def test_a_registry_that_does_not_answer_is_an_outage_by_name():
    once = Config(retries={"total_max_attempts": 1}, connect_timeout=2)
    endpoint = "http://127.0.0.1:9"
    client = boto3.client("ecr", endpoint_url=endpoint, region_name="us-east-1", config=once)
    with pytest.raises(ServiceUnavailable, match="Amazon ECR"):
        Registry(client).digest(parse_image(f"{HOST}/lab/vina:2"))
