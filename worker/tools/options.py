"""Reading a tool's options out of a task document."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from drydock.errors import Malformed
from worker.endings import Misconfigured

Options = TypeVar("Options")


def read_options(tool: str, model: type[Options], given: Mapping[str, Any]) -> Options:
    """The options as the tool's own dataclass; its ``__post_init__`` may refuse values.

    Raises:
        Misconfigured: they are not the tool's.
    """
    known = {each.name for each in fields(model)}  # type: ignore[arg-type] # a dataclass
    if strange := sorted(set(given) - known):
        raise Misconfigured(f"{tool} has no option {', '.join(strange)}")
    try:
        return model(**given)
    except (Malformed, TypeError, ValueError, AttributeError) as error:
        raise Misconfigured(f"{tool}'s options are not whole: {error}") from error
