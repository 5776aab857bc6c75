"""Fetch-and-run by hand: the variables and arguments that its users know, as the tool script.

``BATCH_FILE_TYPE`` (script or zip) and ``BATCH_FILE_S3_URL`` say what is run; the container's
arguments are the script's name and its own arguments. The contract is that of fetch_and_run.sh in
https://github.com/awslabs/aws-batch-helpers.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from drydock.errors import InvalidUri
from drydock.uris import S3Uri, parse_s3_uri
from worker.endings import Misconfigured

TOOL = "script"
_TYPES = ("script", "zip")
_KIND, _URL = "BATCH_FILE_TYPE", "BATCH_FILE_S3_URL"


class FetchAndRun(NamedTuple):
    """What is run. ``name`` is the file in a zip archive, or that a script gets."""

    kind: str
    script: S3Uri
    name: str | None
    arguments: tuple[str, ...]
    variables: tuple[str, ...]

    def options(self) -> dict[str, Any]:
        """The tool's options; arguments are taken as they are."""
        return {
            "type": self.kind,
            "name": self.name,
            "arguments": [text.replace("{", "{{").replace("}", "}}") for text in self.arguments],
        }


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether the container's arguments are a script's."""
    if environment.get("S3_TASK_LOCATION", "").strip():
        return False
    return bool(environment.get(_URL, "").strip() or environment.get(_KIND, "").strip())


def read_fetch_and_run(
    environment: Mapping[str, str], arguments: Sequence[str]
) -> FetchAndRun | None:
    """What environment and arguments say; None when they say nothing of a script.

    The script sees the variables that the container was given, as it always has.

    Raises:
        Misconfigured: they say it incompletely.
    """
    if not is_asked_for(environment):
        return None
    kind, url = environment.get(_KIND, "").strip(), environment.get(_URL, "").strip()
    if kind not in _TYPES:
        raise Misconfigured(f"{_KIND} is {kind!r}: it must be script or zip")
    if (tool := environment.get("TOOL")) not in (None, "", TOOL):
        raise Misconfigured(f"TOOL is {tool!r}: with {_URL} it must be {TOOL} or left out")
    if kind == "zip" and not arguments:
        raise Misconfigured(
            f"{_KIND} is 'zip': the container's first argument must name the script inside"
        )
    try:
        script = parse_s3_uri(url)
    except InvalidUri as error:
        raise Misconfigured(f"{_URL}: {error}") from error
    if script.is_folder:
        raise Misconfigured(f"{_URL} is {url!r}: it must be one object, not a prefix")
    return FetchAndRun(
        kind=kind,
        script=script,
        name=arguments[0].removeprefix("./") if arguments else None,
        arguments=tuple(arguments[1:]),
        variables=tuple(name for name in environment if not name.startswith("AWS_")),
    )
