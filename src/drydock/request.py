"""The run request: what a user sends. The border at which a text becomes plain data.

Its JSON Schema is published as ``docs/request.schema.json``.
"""

import functools
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    create_model,
    field_validator,
)

from drydock.command_options import CommandOptions
from drydock.dock38_options import Dock38Options
from drydock.errors import InvalidUri, RequestRejected
from drydock.images import image_problems
from drydock.openmm_options import OpenMMOptions
from drydock.script_options import ScriptOptions
from drydock.secret_arns import FORMS, whole_secret
from drydock.tool_options import ToolOptions, mapping
from drydock.uris import parse_s3_uri
from drydock.variables import secret_problem, variable_problem
from drydock.vina_options import VinaOptions

_TOOL = re.compile(r"[a-z][a-z0-9_]{0,31}")
# AWS Batch takes 8,192 characters of overrides, of which our own variables and needs are a part.
MAX_ENVIRONMENT_CHARS = 6_000
_VARIABLE_OVERHEAD = len('{"name":"","value":""},')
# https://docs.aws.amazon.com/batch/latest/userguide/using-tags.html
_TAG = re.compile(r"[\w .:/=+@-]{1,256}")


def _checked_uri(text: str) -> str:
    try:
        parse_s3_uri(text)
    except InvalidUri as error:
        raise ValueError(str(error)) from error
    return text


Uri = Annotated[str, AfterValidator(_checked_uri)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)


class Resources(_Model):
    """What each child may use."""

    vcpus: int = Field(1, ge=1, le=192)
    memory_mib: int = Field(2000, ge=64, le=3_000_000)
    gpus: int = Field(0, ge=0, le=16)
    shm_mib: int = Field(64, ge=64, le=1_000_000)


# What the project's own tools take. A name that is not here is that of a tool in the user's image.
OPTIONS: dict[str, type[ToolOptions]] = {
    "vina": VinaOptions,
    "dock38": Dock38Options,
    "openmm": OpenMMOptions,
    "script": ScriptOptions,
    "command": CommandOptions,
}

_UNCUT = {
    "dock38": "DOCK's bundles are archives, which cannot be cut",
    "openmm": "a system is no file of many records",
}


class Request(_Model):
    """One run of one tool over many inputs."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    input: Uri = Field(
        description="A prefix (its direct children) or a list of S3 URIs, one a line."
    )
    output: Uri = Field(description="A prefix that holds nothing but this run.")
    tool: str = Field(
        pattern=f"^{_TOOL.pattern}$",
        description=f"{', '.join(OPTIONS)}, or a tool that the image brings.",
    )
    options: (
        VinaOptions
        | Dock38Options
        | OpenMMOptions
        | ScriptOptions
        | CommandOptions
        | dict[str, JsonValue]
    )
    dockfiles: Uri | None = Field(None, description="A prefix copied to each attempt's scratch.")
    assets: dict[str, Uri] = Field(
        default_factory=dict, description="Reference data by name: an object or a prefix each."
    )
    environment: dict[str, str] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(
        default_factory=dict,
        max_length=20,
        description="Variables for the tool alone: name and ARN of a secret or parameter.",
    )
    image: str | None = Field(
        None,
        description="Null: the stack's own worker image. By tag from the account's own ECR, from "
        "elsewhere by digest.",
    )
    resources: Resources = Resources.model_construct()
    inputs_per_job: int = Field(1, ge=1, le=1000, description="Consecutive inputs a child.")
    records_per_input: int | None = Field(
        None,
        ge=1,
        le=100_000_000,
        description="Cut .sdf, .smi, .pdbqt and .fastq files into inputs of so many records each.",
    )
    attempt_seconds: int = Field(14_400, ge=60, le=14 * 86_400)
    checkpoint_seconds: int = Field(0, ge=0, le=86_400, description="0: parts at a stop alone.")
    max_rounds: int = Field(8, ge=1, le=100, description="Consecutive rounds without progress.")
    stop_after_usd: float | None = Field(
        None,
        gt=0,
        description="Stop once the run, over all of its epochs, has cost about so much.",
    )
    pilot: int = Field(
        0,
        ge=0,
        le=10_000,
        description="So many inputs first, to judge failures, time and cost by. Fixed at the "
        "run's first start.",
    )
    keep_top: int = Field(
        1000,
        ge=1,
        # MergeResults fetches poses by one GET each: about 250 s for so many, of its 900 s.
        le=100_000,
        description="So many molecules in top.csv and with poses in one file.",
    )
    retry_failed: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]] = Field(
        default_factory=list, max_length=50
    )
    tags: dict[str, str] = Field(default_factory=dict, max_length=40)

    @field_validator("environment")
    @classmethod
    def _is_harmless(cls, value: dict[str, str]) -> dict[str, str]:
        problems = [problem for name in value if (problem := variable_problem(name))]
        length = sum(len(name) + len(text) + _VARIABLE_OVERHEAD for name, text in value.items())
        if length > MAX_ENVIRONMENT_CHARS:
            problems.append(f"it has {length} characters; {MAX_ENVIRONMENT_CHARS} are allowed")
        if problems:
            raise ValueError("; ".join(problems))
        return value

    @field_validator("secrets")
    @classmethod
    def _are_references(cls, value: dict[str, str]) -> dict[str, str]:
        # What was given is not repeated: it may be the secret itself.
        problems = [problem for name in value if (problem := secret_problem(name))]
        problems += [
            f"what was given for {name} is no ARN of a secret: {FORMS} is allowed"
            for name, arn in value.items()
            if whole_secret(arn) is None
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return value

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _TAG.fullmatch(name) or not _TAG.fullmatch(text or "x") or len(name) > 128:
                raise ValueError(
                    f"{name!r} is no tag: letters, digits, spaces and _.:/=+-@ are allowed, "
                    "128 in its name and 256 in its value"
                )
            if name.lower().startswith(("aws:", "drydock:")):
                raise ValueError(
                    f"{name!r} is reserved: names must not begin with aws: or drydock:"
                )
        return value

    @field_validator("image")
    @classmethod
    def _is_image(cls, value: str | None) -> str | None:
        problems = [] if value is None else image_problems(value)
        if problems:
            raise ValueError("; ".join(problems))
        return value


class _OtherRequest(Request):
    """Of a tool that the image brings: nothing can be said of its options."""

    options: dict[str, JsonValue]


@functools.cache
def _model_for(tool: str) -> type[Request]:
    """The model that knows a tool's options; built when a request names the tool."""
    options = OPTIONS[tool]
    return create_model(f"{options.__name__}Request", __base__=Request, options=(options, ...))


def request_schema() -> dict[str, Any]:
    """The JSON Schema of a request: what an editor can know."""
    schema = Request.model_json_schema()
    schema["allOf"] = [
        {
            "if": {"properties": {"tool": {"const": tool}}},
            "then": {"properties": {"options": {"$ref": f"#/$defs/{model.__name__}"}}},
        }
        for tool, model in OPTIONS.items()
    ]
    known = {"properties": {"tool": {"enum": list(OPTIONS)}}}
    schema["allOf"].append({"if": known, "else": {"required": ["image"]}})
    return schema


def _model_of(document: object) -> type[Request]:
    """The model that knows the tool's options, so that problems are named after their fields."""
    tool = mapping(document).get("tool")
    return _model_for(tool) if isinstance(tool, str) and tool in OPTIONS else _OtherRequest


def _is_unknown(tool: object) -> bool:
    return isinstance(tool, str) and bool(_TOOL.fullmatch(tool)) and tool not in OPTIONS


def parse_request(document: object) -> Request:
    """Read a request that is JSON already.

    Raises:
        RequestRejected: with one sentence a problem: the field, what was given, what is allowed.
    """
    request, problems = None, _problems_between_fields(document)
    try:
        request = _model_of(document).model_validate(document)
    except ValidationError as error:
        problems = [*(_sentence(dict(each)) for each in error.errors()), *problems]
    if request is None or problems:
        raise RequestRejected(problems)
    return request


def _problems_between_fields(document: object) -> list[str]:
    """What is wrong although each field may be right; told together with what is wrong in them."""
    if not isinstance(document, dict):
        return []
    tool, output = document.get("tool"), str(document.get("output"))
    model = OPTIONS.get(tool) if isinstance(tool, str) else None
    problems = [] if model is None else model.problems_with(document)
    if _is_unknown(tool) and document.get("image") is None:
        problems.append(
            f"tool: {tool!r} was given: {', '.join(OPTIONS)} are known; another one needs an image "
            "that brings it"
        )
    records = document.get("records_per_input")
    if records is not None and isinstance(tool, str) and tool in _UNCUT:
        problems.append(
            f"records_per_input: {records!r} was given: {_UNCUT[tool]}; null is allowed"
        )
    if output.partition("://")[2].partition("/")[2].startswith("results/"):
        problems.append(f"output: {output!r} was given: it must not begin with results/")
    resources = mapping(document.get("resources"))
    shm_mib, memory_mib = resources.get("shm_mib"), resources.get("memory_mib", 2000)
    if isinstance(shm_mib, int) and isinstance(memory_mib, int) and shm_mib > memory_mib:
        problems.append(
            f"resources.shm_mib: {shm_mib} was given: it is a part of the memory, of which there "
            f"are {memory_mib}"
        )
    shared = sorted(mapping(document.get("environment")).keys() & mapping(document.get("secrets")))
    problems += [f"secrets.{name}: the environment has a variable {name} too" for name in shared]
    return problems


def parse_json(text: bytes) -> object:
    """Read an uploaded text.

    Raises:
        RequestRejected: it is no JSON.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise RequestRejected(["the request is no JSON that anybody would write"]) from error
    except ValueError as error:
        raise RequestRejected([f"the request is no JSON: {error}"]) from error


def parse_request_text(text: bytes) -> Request:
    """Read a request's text.

    Raises:
        RequestRejected: it is no JSON, or no request.
    """
    return parse_request(parse_json(text))


@dataclass(frozen=True, slots=True)
class References:
    """What of a request refers to AWS: None, or left out, where it says nothing usable."""

    tool: str | None
    input: str | None
    output: str | None
    dockfiles: str | None
    assets: dict[str, str]
    image: str | None
    secrets: dict[str, str]
    recursive: bool
    is_cut: bool
    gpus: int


def references(document: object) -> References:
    """What can be read of a document, be it a request or refused as one.

    So that a user is told everything at once: what is wrong in the document, and what only AWS can
    tell of those of its fields that are right.
    """
    fields = mapping(document)
    image, gpus = fields.get("image"), mapping(fields.get("resources")).get("gpus", 0)
    return References(
        tool=tool if isinstance(tool := fields.get("tool"), str) else None,
        input=_usable_uri(fields.get("input")),
        output=_usable_uri(fields.get("output")),
        dockfiles=_usable_uri(fields.get("dockfiles")),
        assets={
            str(name): text
            for name, given in mapping(fields.get("assets")).items()
            if (text := _usable_uri(given)) is not None
        },
        image=image if isinstance(image, str) and not image_problems(image) else None,
        secrets={
            str(name): arn
            for name, arn in mapping(fields.get("secrets")).items()
            if isinstance(arn, str) and whole_secret(arn) is not None
        },
        recursive=mapping(fields.get("options")).get("recursive") is True,
        is_cut=fields.get("records_per_input") is not None,
        gpus=gpus if isinstance(gpus, int) else 0,
    )


def _usable_uri(given: object) -> str | None:
    try:
        return _checked_uri(given) if isinstance(given, str) else None
    except ValueError:
        return None


def _sentence(problem: dict[str, Any]) -> str:
    """One of pydantic's problems as: field: what was given: what is allowed."""
    where = ".".join(str(step) for step in problem["loc"]) or "request"
    text = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{where}: is missing"
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such field"
    if not problem["loc"] or problem["loc"][0] in ("environment", "secrets"):
        return f"{where}: {text}"
    given = repr(problem["input"])
    return f"{where}: {given if len(given) <= 80 else given[:77] + '...'} was given: {text}"
