"""The way from `sam local`'s containers to the embedded AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from local.docker import HOST

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from local.embedded import EmbeddedAws
    from local.specs import FunctionSpec


def container_url(aws: EmbeddedAws) -> str:
    """The embedded AWS's address as containers have it."""
    return f"http://{HOST}:{aws.gateway.port}"


def write_variables(aws: EmbeddedAws, functions: Iterable[FunctionSpec], path: Path) -> None:
    """Write what `sam local --env-vars` reads: the names that a deployment gave, for each function.

    `sam local` resolves a Ref to the logical id, and has no names of its own.
    """
    ours, theirs = aws.endpoint_url, container_url(aws)
    document = {
        function.logical_id: {
            name: value.replace(ours, theirs)
            for name, value in {**function.environment, "AWS_ENDPOINT_URL": theirs}.items()
        }
        for function in functions
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
