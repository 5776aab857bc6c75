"""A stack of a group's own: the ``sam deploy`` that makes it, or brings it up to date.

``make group`` calls this. What was given on make's command line comes as environment variables and
becomes arguments of a process; none of it goes through a shell.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).parents[1]
SAM = ".venv-sam/bin/sam"
# Names of the variables that were set on make's command line: those of the surroundings do not
# count (WSL has a NAME of its own).
GIVEN = "DRYDOCK_GIVEN"
MAX_NAME = 30

_NAME = re.compile(r"[a-z][a-z0-9]*-[a-z0-9]+")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"(?!.*\.\.)(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REPOSITORY = r"[a-z0-9.-]+(?::[0-9]+)?(?:/[a-z0-9._-]+)+"
_IMAGE = re.compile(
    rf"{_REPOSITORY}(?::[A-Za-z0-9_][A-Za-z0-9_.-]*|(?::[A-Za-z0-9_.-]+)?@sha256:[0-9a-f]{{64}})"
)
_BEGINNING = re.compile(rf"{_REPOSITORY}[/:@]?|[a-z0-9-]+\.[a-z0-9.-]+(?::[0-9]+)?/")
_SECRET = re.compile(r"arn:aws:(?:secretsmanager|ssm):[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9/_+=.@:-]+")
_KEY = re.compile(r"arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+")
_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+")
_NUMBER = re.compile(r"[0-9]{1,8}")
_ASSIGNMENT = re.compile(r"[A-Z][A-Za-z0-9]*=[A-Za-z0-9@%+=:,./_-]*")


class GroupRefused(Exception):
    """Raised when no stack can be made of what was given: a line a value, with what is allowed."""


def checked_name(name: str) -> str:
    """The name of a group, if it may be one.

    Two words: then no group's stack has a name with which another's begins, and a policy that is
    limited to names that begin so reaches no other group. A stack called drydock has job
    definitions drydock-worker-…: hence no group with that first word.

    Raises:
        GroupRefused: it may not.
    """
    if _NAME.fullmatch(name) and len(name) <= MAX_NAME and not name.startswith("worker-"):
        return name
    raise GroupRefused(
        f"NAME: {name!r} was given; allowed are two words of lower-case letters and digits with a "
        f"dash between them, as in doe-j: {MAX_NAME} characters at the most, a letter first, and "
        "not worker-…"
    )


def stack_of(name: str) -> str:
    """The name of a group's stack; docs/deployer-policy.json is for names that begin so."""
    return f"drydock-{name}"


def parameters(given: Mapping[str, str]) -> dict[str, str]:
    """The template's parameters, from make's variables.

    Raises:
        GroupRefused: it names every value that is not allowed.
    """
    found: dict[str, str] = {}
    problems: list[str] = []
    for name, value in given.items():
        if name in _VARIABLES:
            each = _VARIABLES[name]
            if (checked := each.check(value)) is None:
                problems.append(f"{name}: {value!r} was given; allowed {each.allowed}")
            else:
                found[each.parameter] = checked
    for word in given.get("PARAMETERS", "").split():
        if _ASSIGNMENT.fullmatch(word) is None:
            problems.append(
                f"PARAMETERS: {word!r} was given; allowed are words like MaxVcpus=64, of the "
                "parameters in docs/parameters.md, without quotes"
            )
            continue
        parameter, _, value = word.partition("=")
        found[parameter] = value
    if problems:
        raise GroupRefused("\n".join(problems))
    return found


def command(name: str, overrides: Mapping[str, str]) -> list[str]:
    """The call of ``sam deploy``. An update keeps what it does not name.

    It has a section of its own in samconfig.toml: what ``sam deploy --guided`` saved there for
    another stack, its buckets for one, must not be this one's.
    """
    stack = stack_of(name)
    words = [SAM, "deploy", "--config-env", "group", "--stack-name", stack]
    words += ["--s3-prefix", stack, "--tags", f"drydock={stack}"]
    if overrides:
        words += ["--parameter-overrides", *(f"{key}={value}" for key, value in overrides.items())]
    return words


def main(environ: Mapping[str, str]) -> int:
    """Deploy, or print what would; return the exit code."""
    given = {name: environ.get(name, "") for name in environ.get(GIVEN, "").split()}
    try:
        words = _words(given)
    except GroupRefused as error:
        _say(str(error))
        return 2
    if given.get("PRINT"):
        return _print(words)
    try:
        session = boto3.Session()
        if session.get_credentials() is None:
            _say("there are no credentials for AWS; this is what would be called with some:")
            return _print(words)
        return _deploy(session, given["NAME"], words)
    except (BotoCoreError, ClientError) as error:
        _say(f"AWS cannot be asked: {error}")
        return 1


def _words(given: Mapping[str, str]) -> list[str]:
    problems = []
    overrides: dict[str, str] = {}
    try:
        checked_name(given.get("NAME", ""))
    except GroupRefused as error:
        problems.append(str(error))
    try:
        overrides = parameters(given)
    except GroupRefused as error:
        problems.append(str(error))
    if problems:
        raise GroupRefused("\n".join(problems))
    return command(given["NAME"], overrides)


def _print(words: list[str]) -> int:
    click.echo("make build")
    click.echo(shlex.join(words))
    return 0


def _deploy(session: boto3.Session, name: str, words: list[str]) -> int:
    account = session.client("sts").get_caller_identity()["Account"]
    _say(f"the stack {stack_of(name)} in account {account}, {session.region_name}")
    for each in (["make", "build"], words):
        code = subprocess.run(each, cwd=ROOT, check=False).returncode  # noqa: S603 - no shell
        if code:
            return code
    stacks = session.client("cloudformation").describe_stacks(StackName=stack_of(name))["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stacks[0].get("Outputs", [])}
    for key in ("IntakeBucket", "DataBuckets", "SubmitterPolicyArn"):
        click.echo(f"{key}: {outputs.get(key, '')}")
    return 0


def _say(text: str) -> None:
    for line in text.splitlines():
        sys.stderr.write(f"drydock: {line}\n")


def _one(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    return lambda value: value if pattern.fullmatch(value) else None


def _several(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    return lambda value: value if all(map(pattern.fullmatch, value.split(","))) else None


def _images(value: str) -> str | None:
    """Of a whole repository its tags and its digests: the group's policy compares beginnings."""
    words = []
    for each in value.split(","):
        if _IMAGE.fullmatch(each) or (_BEGINNING.fullmatch(each) and each[-1] in "/:@"):
            words.append(each)
        elif _BEGINNING.fullmatch(each):
            words += [f"{each}:", f"{each}@"]
        else:
            return None
    return ",".join(words)


class _Variable(NamedTuple):
    """A variable of make's: which parameter it gives, its value for that, what is allowed."""

    parameter: str
    check: Callable[[str], str | None]
    allowed: str


_VARIABLES = {
    "BUCKET": _Variable(
        "DataBucketNames",
        _several(_BUCKET),
        "is the name of an existing bucket (3 to 63 lower-case letters, digits, dots and dashes), "
        "or several with commas between them; without BUCKET the stack makes one",
    ),
    "IMAGES": _Variable(
        "AllowedImages",
        _images,
        "are images, repositories, or beginnings of them that end with a slash, with commas "
        "between them",
    ),
    "WORKER_IMAGE": _Variable(
        "WorkerImage", _one(_IMAGE), "is an image with its registry and a tag or digest"
    ),
    "SECRETS": _Variable(
        "SecretArns",
        _several(_SECRET),
        "are ARNs of Secrets Manager or SSM with commas between them",
    ),
    "KMS_KEY": _Variable("KmsKeyId", _one(_KEY), "is the ARN of a KMS key"),
    "EMAIL": _Variable("NotificationEmail", _one(_ADDRESS), "is one address"),
    "BUDGET": _Variable("MonthlyBudgetUsd", _one(_NUMBER), "are whole USD a month; 0 is no budget"),
    "MAX_VCPUS": _Variable("MaxVcpus", _one(_NUMBER), "is a whole number"),
}


if __name__ == "__main__":
    sys.exit(main(os.environ))
