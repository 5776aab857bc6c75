"""What the options of script and command have in common: both run a program once an input."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from drydock.errors import Malformed
from drydock.globs import glob_problem
from drydock.templates import ASSET, NAMING, placeholders
from drydock.tool_options import ToolOptions, mapping
from drydock.variables import variable_problem

# What the worker sets for the program, or takes from its own environment.
OWN_VARIABLES = {
    *("INPUT", "INPUT_URI", "OUTPUT_DIR", "CHECKPOINT_DIR", "VCPUS", "NSLOTS", "DRYDOCK_INDEX"),
    *("HOME", "TMPDIR", "PWD"),
}


def _checked_template(text: str) -> str:
    try:
        placeholders(text)
    except Malformed as error:
        raise ValueError(str(error)) from error
    return text


def _checked_name(text: str) -> str:
    steps = text.split("/")
    if not text or "" in steps or "." in steps or ".." in steps:
        raise ValueError("a file's name below the output folder is needed")
    try:
        placeholders(text, NAMING)
    except Malformed as error:
        raise ValueError(str(error)) from error
    return text


def _checked_glob(text: str) -> str:
    if problem := glob_problem(text):
        raise ValueError(problem)
    return text


Template = Annotated[str, AfterValidator(_checked_template), Field(max_length=100_000)]
NameTemplate = Annotated[str, AfterValidator(_checked_name), Field(max_length=200)]
Glob = Annotated[str, AfterValidator(_checked_glob), Field(max_length=1000)]


class ProgramOptions(ToolOptions):
    """How a program is run, and what of it counts."""

    environment: dict[str, Template] = Field(
        default_factory=dict, max_length=200, description="More variables; templates."
    )
    outputs: list[Glob] | None = Field(
        None,
        max_length=100,
        description="Which files below the output folder count, each pattern some; null: all.",
    )
    stdin: Template | None = Field(None, description="The file to read from; null: nothing.")
    stdout: NameTemplate | None = Field(
        None, description="The output file that its standard output becomes; null: the log."
    )
    bad_input_codes: list[Annotated[int, Field(ge=1, le=255)]] = Field(
        default_factory=list, max_length=254, description="Exit codes that blame the input."
    )
    stop_signal: Literal["TERM", "INT", "HUP", "USR1", "USR2"] = "TERM"
    stop_seconds: int = Field(
        10, ge=1, le=20, description="From the stop's signal to SIGKILL; ECS gives 30 in all."
    )
    allow_aws: bool = Field(False, description="Let the program have the job's AWS credentials.")

    @field_validator("environment")
    @classmethod
    def _is_harmless(cls, value: dict[str, str]) -> dict[str, str]:
        problems = [problem for name in value if (problem := variable_problem(name))]
        problems += [f"{name} is set by the worker" for name in value if name in OWN_VARIABLES]
        if problems:
            raise ValueError("; ".join(problems))
        return value

    @classmethod
    def problems_with(cls, request: Mapping[str, Any]) -> list[str]:
        """See :class:`ToolOptions`: assets that the templates name must be in the request."""
        known = set(mapping(request.get("assets")))
        if request.get("dockfiles") is not None:
            known.add("dockfiles")
        told = ", ".join(sorted(known)) or "no asset"
        return [
            f"{where}: {text!r} was given: the request has {told}, not {name.removeprefix(ASSET)}"
            for where, text in cls.templates_of(mapping(request.get("options")))
            for name in _placeholders_at_best(text)
            if name.startswith(ASSET) and name.removeprefix(ASSET) not in known
        ]

    @classmethod
    def templates_of(cls, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """The templates among options that nobody has looked at yet, with their fields' names."""
        found = [("options.stdin", options.get("stdin"))]
        found += [
            (f"options.environment.{name}", text)
            for name, text in mapping(options.get("environment")).items()
        ]
        return [(where, text) for where, text in found if isinstance(text, str)]


def listed_templates(field: str, given: object) -> list[tuple[str, str]]:
    """The templates of a field that should be a list of them."""
    texts = given if isinstance(given, list) else []
    return [
        (f"options.{field}.{number}", text)
        for number, text in enumerate(texts)
        if isinstance(text, str)
    ]


def _placeholders_at_best(text: str) -> list[str]:
    try:
        return placeholders(text)
    except Malformed:
        return []  # told of where the field itself is looked at
