"""What the options of every tool have in common."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ToolOptions(BaseModel):
    """Options of a request: one model for each tool, named as the program names them."""

    model_config = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)

    recursive: bool = Field(False, description="Take everything below the input prefix.")

    @classmethod
    def problems_with(cls, request: Mapping[str, Any]) -> list[str]:  # noqa: ARG003 - for subclasses
        """What else of a request does not fit the tool, in sentences that name the field first.

        ``request`` is JSON that nobody has looked at yet: any field may be missing or of any type.
        """
        return []


def mapping(given: object) -> dict[str, Any]:
    """A field that must be an object, or an empty one."""
    return given if isinstance(given, dict) else {}


def refuses_gpus(tool: str, request: Mapping[str, Any]) -> list[str]:
    """The problem of a request that asks for GPUs for a program that cannot use any."""
    gpus = mapping(request.get("resources")).get("gpus", 0)
    if not isinstance(gpus, int) or gpus <= 0:
        return []
    return [f"resources.gpus: {gpus} was given: {tool} uses no GPU; 0 is allowed"]
