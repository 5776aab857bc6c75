"""The options of the tool command in a request."""

from pydantic import Field

from drydock.tool_options import ToolOptions


class CommandOptions(ToolOptions):
    """Any program of the image, by templates."""

    command: list[str] = Field(min_length=1, max_length=1000)
