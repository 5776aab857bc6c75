"""The options of fetch-and-run in a request."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from drydock.program_options import ProgramOptions, Template, listed_templates
from drydock.tool_options import mapping


def _checked_name(text: str) -> str:
    steps = text.split("/")
    if "\0" in text or "" in steps or "." in steps or ".." in steps:
        raise ValueError("a file's name below the work folder is needed, such as myjob.sh")
    return text


class ScriptOptions(ProgramOptions):
    """A script, or a zip archive that holds one, from ``assets.script``."""

    type: Literal["script", "zip"] = "script"
    name: Annotated[str, AfterValidator(_checked_name)] | None = Field(
        None,
        max_length=1000,
        description="Which file of the zip archive is run; a script's file gets that name.",
    )
    arguments: list[Template] = Field(
        default_factory=list, max_length=1000, description="Templates, each one argument."
    )

    @classmethod
    def problems_with(cls, request: Mapping[str, Any]) -> list[str]:
        """See :class:`ToolOptions`."""
        problems = super().problems_with(request)
        options = mapping(request.get("options"))
        if "script" not in mapping(request.get("assets")):
            problems.append("assets.script: is missing: the tool script runs it")
        if options.get("type") == "zip" and options.get("name") is None:
            problems.append(
                "options.name: is missing: it says which file of the zip archive is run"
            )
        return problems

    @classmethod
    def templates_of(cls, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """See :class:`ProgramOptions`."""
        found = listed_templates("arguments", options.get("arguments"))
        return [*found, *super().templates_of(options)]
