"""Push an image to a registry, and print what names it for good: the URI of its digest.

usage: python scripts/push.py [--image NAME] [--repository NAME] [--tag TAG] [--login USER]

`make push` with IMAGE, REPOSITORY, TAG and LOGIN; docs/images.md tells what they mean. The URI goes
to standard output, all else to standard error.

exit codes: 0 pushed, or there already; 1 it could not be; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fnmatch
import getpass
import json
import os
import re
import signal
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from drydock.images import image_problems, parse_image
from scripts.push_docker import (
    LATEST,
    CannotPush,
    Local,
    local_image,
    logged_in,
    push_latest,
    push_tag,
    say,
)

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageTypeDef, RepositoryTypeDef

ROOT = Path(__file__).parents[1]
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MANIFESTS = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
]
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN = {"UnrecognizedClientException", "InvalidClientTokenId", "SignatureDoesNotMatch"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    image: str
    repository: str
    tag: str
    login: str
    stack: str


@dataclass(frozen=True)
class Target:
    """A repository: its URI, who may log in how, and what is said of its tags."""

    uri: str
    user: str = ""
    password: str = ""
    digest: str = ""
    """Of the image to be pushed, where it is known to be there under its tag already."""
    latest_moves: bool = True


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return its exit code."""
    try:
        print(push(_options(arguments)))
    except CannotPush as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted: make push again goes on, and sends no layer that is there already")
        return 130
    return 0


def push(options: Options) -> str:
    """Push `<tag>` and `latest`; the URI by which the image is pulled whatever becomes of its tags.

    Raises:
        CannotPush: there is no engine, image, repository, right or room for it.
    """
    image = local_image(options.image)
    target = find_target(options, image)
    host = target.uri.partition("/")[0]
    with logged_in(host, target.user, target.password) as environment:
        digest = target.digest
        if digest:
            say(f"{target.uri}:{options.tag} is this image already")
        else:
            digest = push_tag(image, target.uri, options.tag, environment)
        if target.latest_moves:
            push_latest(image, target.uri, environment)
        else:
            say(f"{LATEST} is not pushed: the tags of {target.uri} cannot be moved")
    say("pushed; in a request this is its image, and whatever is pushed later it stays this one:")
    return f"{target.uri}@{digest}"


# ---- Where to ----


def find_target(options: Options, image: Local) -> Target:
    """The repository that is meant, made where the account's own registry has none of that name.

    Raises:
        CannotPush: there is none and it cannot be made, or its tag is taken.
    """
    named = options.repository or stack_repository(options.stack)
    first = named.partition("/")[0]
    if "/" not in named or not (set(".:") & set(first) or first == "localhost"):
        return ecr_target(named, options.tag, image, "", "")
    where = parse_image(f"{named}:{options.tag}")
    if where.home is not None:
        return ecr_target(where.repository, options.tag, image, *where.home)
    if not options.login:
        return Target(named)
    return Target(named, options.login, password_for(options.login, where.host))


def stack_repository(stack: str) -> str:
    """The repository that the stack made for its worker."""
    with told("cloudformation:DescribeStacks"):
        client = boto3.client("cloudformation")
        found = client.describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    if "WorkerRepositoryUri" not in outputs:
        raise CannotPush(
            f"the stack {stack} has no output WorkerRepositoryUri: it is none of drydock's, or not "
            "deployed yet; REPOSITORY names a repository"
        )
    return outputs["WorkerRepositoryUri"]


def password_for(user: str, host: str) -> str:
    """What standard input holds, or what a person types at a terminal."""
    if sys.stdin.isatty():
        given = getpass.getpass(f"Password or token of {user} for {host}: ", stream=sys.stderr)
    else:
        given = sys.stdin.read().strip()
    if not given:
        raise CannotPush(f"LOGIN={user} needs that user's password on standard input")
    return given


def ecr_target(name: str, tag: str, image: Local, account: str, region: str) -> Target:
    """A repository of Amazon ECR, of this account and Region unless others are named."""
    with told("the call"):
        client = boto3.client("ecr", region_name=region or None)
    whose = {"registryId": account} if account else {}
    repository = find_repository(client, name, whose)
    uri = repository["repositoryUri"]
    with told(f"ecr:BatchGetImage of {name}"):
        there = client.batch_get_image(
            repositoryName=name,
            imageIds=[{"imageTag": tag}],
            acceptedMediaTypes=_MANIFESTS,
            **whose,
        )["images"]
    digest = there[0]["imageId"]["imageDigest"] if there else ""
    same = bool(there) and is_same(there[0], uri, image)
    if there and not same and not moves(repository, tag):
        raise CannotPush(
            f"{uri}:{tag} is another image ({digest}), and that tag cannot be moved: "
            f"TAG=<another> gives this one a name of its own"
        )
    with told("ecr:GetAuthorizationToken"):
        [grant] = client.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(grant["authorizationToken"]).decode().partition(":")
    return Target(uri, user, password, digest if same else "", moves(repository, LATEST))


def find_repository(client: ECRClient, name: str, whose: dict[str, Any]) -> RepositoryTypeDef:
    """The repository of that name; where there is none it is made, as the stack makes its own."""
    missing = client.exceptions.RepositoryNotFoundException
    try:
        with told(f"ecr:DescribeRepositories of {name}", missing):
            return client.describe_repositories(repositoryNames=[name], **whose)["repositories"][0]
    except missing:
        pass
    region = client.meta.region_name
    with told(f"ecr:CreateRepository of {name}, for there is no such repository in {region}"):
        made = client.create_repository(
            repositoryName=name,
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": LATEST}],
            imageScanningConfiguration={"scanOnPush": True},
            **whose,
        )["repository"]
    say(f"made the repository {made['repositoryUri']}, which the stack's AllowedImages must allow")
    return made


def is_same(there: ImageTypeDef, uri: str, image: Local) -> bool:
    """Whether what the repository has is the image of this machine.

    An engine that keeps images as containerd does names them by the manifest, others by the
    configuration that the manifest names.
    """
    digest = there["imageId"]["imageDigest"]
    configuration = json.loads(there["imageManifest"]).get("config", {}).get("digest")
    return image.id in (digest, configuration) or f"{uri}@{digest}" in image.named


def moves(repository: RepositoryTypeDef, tag: str) -> bool:
    """Whether a push may give that tag to another image.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html
    """
    kind = repository.get("imageTagMutability", "MUTABLE")
    filters = repository.get("imageTagMutabilityExclusionFilters", [])
    excluded = any(fnmatch.fnmatchcase(tag, each["filter"]) for each in filters)
    return kind.startswith("MUTABLE") != excluded


@contextlib.contextmanager
def told(what: str, but: type[BaseException] = CannotPush) -> Iterator[None]:
    """AWS's refusals as sentences; `but` and what has no sentence is left as it is.

    Raises:
        CannotPush: the credentials, the rights or the way to AWS are missing.
    """
    try:
        yield
    except but:
        raise
    except ClientError as error:
        code, text = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code in _EXPIRED:
            raise CannotPush("the AWS credentials have expired: log in again") from error
        if code in _UNKNOWN:
            raise CannotPush("AWS does not know these credentials: log in again") from error
        if code in _DENIED:
            raise CannotPush(f"these credentials lack {what}: {text}") from error
        if error.operation_name == "DescribeStacks" and code == "ValidationError":
            raise CannotPush(
                f"{text} (DRYDOCK_STACK names another): deploy it, or say REPOSITORY"
            ) from error
        raise CannotPush(f"AWS refuses {what}: {text}") from error
    except BotoCoreError as error:
        raise CannotPush(f"AWS cannot be asked: {error}") from error


# ---- The command line ----


def version() -> str:
    """The package's own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def _options(arguments: list[str] | None) -> Options:
    own = version()
    parser = argparse.ArgumentParser(
        prog="make push", usage="make push [IMAGE=…] [REPOSITORY=…] [TAG=…] [LOGIN=…]"
    )
    add: Callable[..., Any] = parser.add_argument
    add("--image", default="")
    add("--repository", default="")
    add("--tag", default="")
    add("--login", default="")
    add("--stack", default=os.environ.get("DRYDOCK_STACK") or "drydock")
    given = parser.parse_args(arguments)
    tag = given.tag or own
    repository = given.repository.rstrip("/")
    if not _TAG.fullmatch(tag) or tag == LATEST:
        parser.error(f"TAG={tag} is no version: it is the tag alone, IMAGE names what is pushed")
    for problem in image_problems(f"{repository}:{tag}") if repository else ():
        parser.error(f"REPOSITORY={repository}: {problem}")
    return Options(
        given.image or f"drydock-worker:{own}", repository, tag, given.login, given.stack
    )


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupt)
    sys.exit(main())
