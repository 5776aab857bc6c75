"""UCSF DOCK 3.8's options in a request."""

from collections.abc import Mapping
from typing import Any

from drydock.tool_options import ToolOptions, refuses_gpus


class Dock38Options(ToolOptions):
    """UCSF DOCK 3.8: its parameters are INDOCK's, in the dockfiles."""

    @classmethod
    def problems_with(cls, request: Mapping[str, Any]) -> list[str]:
        """See :class:`ToolOptions`."""
        problems = refuses_gpus("dock38", request)
        if request.get("dockfiles") is None:
            problems.append("request: dock38 needs dockfiles: a prefix with INDOCK and its grids")
        return problems
