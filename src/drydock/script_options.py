"""The options of fetch-and-run in a request."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from drydock.tool_options import ToolOptions, mapping


class ScriptOptions(ToolOptions):
    """A script, or a zip archive that holds one, from ``assets.script``."""

    type: Literal["script", "zip"] = "script"
    arguments: list[str] = Field(default_factory=list, max_length=1000)

    @classmethod
    def problems_with(cls, request: Mapping[str, Any]) -> list[str]:
        """See :class:`ToolOptions`."""
        if "script" in mapping(request.get("assets")):
            return []
        return ["assets.script: is missing: the tool script runs it"]
