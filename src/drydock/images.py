"""Container image references: ``registry/repository:tag@digest``.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
"""

import re
from dataclasses import dataclass

_ECR_HOST = re.compile(
    r"(?:(?P<account>[0-9]{12})\.)?dkr\.ecr(?:\.(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]))?"
    r"\.amazonaws\.com(?:\.cn)?"
)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Image:
    """A reference, taken apart. ``host`` is empty where it names none, which is Docker Hub.

    ``home`` is account and Region of its registry when that is one of ECR.
    """

    host: str
    repository: str
    tag: str | None
    digest: str | None
    home: tuple[str, str] | None

    @property
    def name(self) -> str:
        """Registry and repository, without which of its images."""
        return f"{self.host}/{self.repository}" if self.host else self.repository

    @property
    def meant(self) -> str:
        """What is pulled: beside a digest a tag says nothing."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"

    def pinned(self, digest: str) -> str:
        """The reference that no push can change."""
        return f"{self.name}@{digest}"


def parse_image(reference: str) -> Image:
    """Take a reference apart in which :func:`image_problems` found nothing."""
    rest, _, digest = reference.partition("@")
    host, path = _host_and_path(rest)
    repository, has_tag, tag = path.rpartition(":")
    if not has_tag:
        repository, tag = path, ""
    match = _ECR_HOST.fullmatch(host)
    home = (match["account"], match["region"]) if match is not None else None
    return Image(host, repository, tag or None, digest or None, home)


def image_problems(reference: str) -> list[str]:
    """What is missing from or wrong in a reference, a sentence each; empty when it is good."""
    rest, has_digest, digest = reference.partition("@")
    if has_digest and not _DIGEST.fullmatch(digest):
        return [f"{reference!r} has a malformed digest: it must be sha256: and 64 hex digits"]
    host, path = _host_and_path(rest)
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


def _host_and_path(rest: str) -> tuple[str, str]:
    """The registry, when the first part of a name is one, and what is left of the name."""
    host, slash, path = rest.partition("/")
    is_host = "dkr.ecr" in host or (
        bool(slash) and ("." in host or ":" in host or host == "localhost")
    )
    return (host, path) if is_host else ("", rest)


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
    Of a reference with a digest the tag does not count, for nobody looks at it when it is pulled.
    """
    if reference == own_image:
        return True
    meant = parse_image(reference).meant
    return any(
        meant.startswith(prefix)
        and (prefix[-1:] in "/:@" or meant[len(prefix) : len(prefix) + 1] in ("", "/", ":", "@"))
        for prefix in allowed_prefixes
        if prefix
    )
