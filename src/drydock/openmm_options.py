"""OpenMM's options in a request."""

from pydantic import Field

from drydock.tool_options import ToolOptions


class OpenMMOptions(ToolOptions):
    """OpenMM 8: molecular dynamics of a prepared system."""

    steps: int = Field(ge=1, description="Steps in all, whatever is interrupted.")
