"""Container image references: ``registry/repository:tag@digest``.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
"""

import re

_ECR_HOST = re.compile(
    r"(?:(?P<account>[0-9]{12})\.)?dkr\.ecr(?:\.(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]))?"
    r"\.amazonaws\.com(?:\.cn)?"
)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def image_problems(reference: str) -> list[str]:
    """What is missing from or wrong in a reference, a sentence each; empty when it is good."""
    rest, has_digest, digest = reference.partition("@")
    if has_digest and not _DIGEST.fullmatch(digest):
        return [f"{reference!r} has a malformed digest: it must be sha256: and 64 hex digits"]
    host, slash, path = rest.partition("/")
    is_host = "dkr.ecr" in host or (
        bool(slash) and ("." in host or ":" in host or host == "localhost")
    )
    if not is_host:
        host, path = "", rest
    repository, has_tag, tag = path.rpartition(":")
    if not has_tag:
        repository, tag = path, ""
    problems = _host_problems(reference, host)
    if not _REPOSITORY.fullmatch(repository):
        problems.append(f"{reference!r} names no repository: {repository!r} is none")
    if has_tag and not _TAG.fullmatch(tag):
        problems.append(f"{reference!r} has a malformed tag {tag!r}")
    if not has_tag and not has_digest:
        problems.append(f"{reference!r} lacks a tag or a digest (as in {rest}:1.0)")
    return problems


def _host_problems(reference: str, host: str) -> list[str]:
    if "dkr.ecr" not in host:
        return []
    match = _ECR_HOST.fullmatch(host)
    if match is None:
        form = "ACCOUNT.dkr.ecr.REGION.amazonaws.com"
        return [f"{reference!r} has a malformed ECR host {host!r}: it must be {form}"]
    return [
        f"{reference!r} lacks the {part} (ACCOUNT.dkr.ecr.REGION.amazonaws.com)"
        for part in ("account", "region")
        if match[part] is None
    ]


def is_allowed(reference: str, own_image: str, allowed_prefixes: tuple[str, ...]) -> bool:
    """Whether the stack may run an image: its own, or one below a prefix it was given.

    A prefix ends at a whole repository, tag or digest: ``lab/dock`` does not allow ``lab/docker``.
    """
    if reference == own_image:
        return True
    return any(
        reference.startswith(prefix)
        and (
            prefix[-1:] in "/:@" or reference[len(prefix) : len(prefix) + 1] in ("", "/", ":", "@")
        )
        for prefix in allowed_prefixes
        if prefix
    )
