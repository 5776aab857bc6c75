"""The options of the tool command in a request."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from drydock.program_options import ProgramOptions, Template, listed_templates


class CommandOptions(ProgramOptions):
    """Any program of the image, by templates. It is started as it is written: no shell reads it."""

    command: list[Template] = Field(
        min_length=1,
        max_length=1000,
        description="The program and its arguments; templates, each one argument.",
    )

    @classmethod
    def templates_of(cls, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """See :class:`ProgramOptions`."""
        return [
            *listed_templates("command", options.get("command")),
            *super().templates_of(options),
        ]
