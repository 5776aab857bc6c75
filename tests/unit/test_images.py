"""Image references: which part is missing, and which images a stack may run."""

import pytest

from drydock.images import Image, image_problems, is_allowed, parse_image

ECR = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "reference",
    [
        f"{ECR}/lab/dock38:2",
        f"{ECR}/dock@{DIGEST}",
        f"{ECR}/dock:2@{DIGEST}",
        "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com/dock:2",
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/dock:2",
        "public.ecr.aws/lab/dock:2",
        "docker.io/lab/dock:2",
        "ghcr.io/lab/dock__er-x.y:v2_1-a",
        "localhost:5000/dock:2",
        "localhost/dock:2",
        "ubuntu:24.04",
        "lab/dock:2",
    ],
)
def test_whole_references_pass(reference):
    assert image_problems(reference) == []


@pytest.mark.parametrize(
    ("reference", "image", "meant"),
    [
        (
            f"{ECR}/lab/dock:2",
            Image(ECR, "lab/dock", "2", None, ("123456789012", "us-west-2")),
            f"{ECR}/lab/dock:2",
        ),
        (
            f"localhost:5000/dock:2@{DIGEST}",
            Image("localhost:5000", "dock", "2", DIGEST, None),
            f"localhost:5000/dock@{DIGEST}",
        ),
        (f"lab/dock@{DIGEST}", Image("", "lab/dock", None, DIGEST, None), f"lab/dock@{DIGEST}"),
        ("public.ecr.aws/x/y:1", Image("public.ecr.aws", "x/y", "1", None, None), None),
    ],
)
def test_a_reference_is_taken_apart(reference, image, meant):
    assert parse_image(reference) == image
    assert image.meant == (meant or reference)
    assert image.pinned("sha256:1") == f"{image.name}@sha256:1"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("dkr.ecr.us-west-2.amazonaws.com/dock:2", ["lacks the account"]),
        ("123456789012.dkr.ecr.amazonaws.com/dock:2", ["lacks the region"]),
        ("dkr.ecr.amazonaws.com/dock:2", ["lacks the account", "lacks the region"]),
        (f"{ECR}/lab/dock", ["lacks a tag or a digest"]),
        ("dkr.ecr.amazonaws.com/dock", ["lacks the account", "lacks the region", "lacks a tag"]),
        ("lab/dock", ["lacks a tag"]),
        ("localhost:5000/dock", ["lacks a tag"]),
        ("12345.dkr.ecr.us-west-2.amazonaws.com/dock:2", ["malformed ECR host"]),
        ("123456789012.dkr.ecr.mars.amazonaws.com/dock:2", ["malformed ECR host"]),
        (f"{ECR}/dock@sha256:abc", ["malformed digest"]),
        (f"{ECR}/dock:", ["malformed tag"]),
        (f"{ECR}/dock:a b", ["malformed tag"]),
        (f"{ECR}/Dock:2", ["names no repository"]),
        (f"{ECR}/:2", ["names no repository"]),
        (ECR, ["names no repository"]),
        (f"{ECR}:2", ["names no repository"]),
        ("", ["names no repository", "lacks a tag"]),
        ("lab/dock:2\n", ["malformed tag"]),
    ],
)
def test_what_is_missing_is_named(reference, said):
    problems = image_problems(reference)
    for part in said:
        assert any(part in problem for problem in problems)
    assert all(repr(reference) in problem for problem in problems)


OWN = f"{ECR}/drydock:1"


@pytest.mark.parametrize(
    ("reference", "prefixes", "allowed"),
    [
        (OWN, (), True),
        (f"{ECR}/drydock:2", (), False),
        (f"{ECR}/lab/dock:2", (f"{ECR}/lab/",), True),
        (f"{ECR}/lab/dock:2", (f"{ECR}/lab",), True),
        (f"{ECR}/lab/dock:2", (f"{ECR}/lab/dock",), True),
        (f"{ECR}/lab/dock@{DIGEST}", (f"{ECR}/lab/dock",), True),
        (f"{ECR}/lab/dock:2", (f"{ECR}/lab/dock:2",), True),
        (f"{ECR}/lab/dock:22", (f"{ECR}/lab/dock:2",), False),
        (f"{ECR}/lab/docker:2", (f"{ECR}/lab/dock",), False),
        (f"{ECR}/labs/dock:2", (f"{ECR}/lab",), False),
        (f"evil.example/{ECR}/lab/dock:2", (f"{ECR}/lab/",), False),
        (f"{ECR}.evil.example/dock:2", (ECR,), False),
        ("anything:1", ("",), False),
        (f"{ECR}/lab/dock@{DIGEST}", (f"{ECR}/lab/dock@{DIGEST}",), True),
        (f"{ECR}/lab/dock:2@{DIGEST}", (f"{ECR}/lab/dock@{DIGEST}",), True),
        (f"{ECR}/lab/dock:2", (f"{ECR}/lab/dock@{DIGEST}",), False),
        # Whatever has that digest would run, and not what the tag names.
        (f"{ECR}/lab/dock:2@{DIGEST}", (f"{ECR}/lab/dock:2",), False),
        (f"{OWN}@{DIGEST}", (OWN,), False),
    ],
)
def test_an_image_is_the_stack_s_own_or_below_a_prefix_that_it_was_given(
    reference, prefixes, allowed
):
    assert is_allowed(reference, OWN, prefixes) == allowed
