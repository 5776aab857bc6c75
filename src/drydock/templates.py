"""Templates: texts with placeholders in braces, as a program's arguments have them.

``{{`` and ``}}`` stand for a brace. There is nothing else: no attributes, no formats, no shell.
"""

import re
from collections.abc import Container, Iterator, Mapping

from drydock.errors import Malformed

PLACEHOLDERS = ("input", "stem", "output", "vcpus", "index", "scratch", "checkpoint")
# Followed by the asset's name.
ASSET = "assets."
# Of these a name can be made; the others are paths.
NAMING = ("stem", "index", "vcpus")
_PIECE = re.compile(r"(\{\{|\}\})|\{([^{}]*)\}|([{}])|([^{}]+)")


def placeholders(text: str, allowed: Container[str] = PLACEHOLDERS) -> list[str]:
    """The placeholders of a template, in their order.

    Raises:
        Malformed: one is unknown, a brace is alone, or there is a NUL, which no argument can hold.
    """
    return [name for _, name in _pieces(text, allowed) if name is not None]


def fill(text: str, values: Mapping[str, str]) -> str:
    """A template with its placeholders replaced, once: what comes in is not looked at again.

    Raises:
        Malformed: it has a placeholder without a value.
    """
    return "".join(plain if name is None else values[name] for plain, name in _pieces(text, values))


def _pieces(text: str, allowed: Container[str]) -> Iterator[tuple[str, str | None]]:
    """Pairs of a plain text and None, or of an empty text and a placeholder's name."""
    if "\0" in text:
        raise Malformed("it holds a NUL character, which no argument can")
    for brace, name, alone, plain in _PIECE.findall(text):
        if brace or plain:
            yield brace[:1] or plain, None
        elif alone:
            raise Malformed(f"a brace is alone; {alone * 2} stands for {alone}")
        elif name in allowed or _is_asset(name, allowed):
            yield "", name
        else:
            raise Malformed(f"{{{name}}} is no placeholder here: {_in_words(allowed)}")


def _is_asset(name: str, allowed: Container[str]) -> bool:
    """Whether it is an asset where any name of one may stand."""
    return allowed is PLACEHOLDERS and name.startswith(ASSET) and name != ASSET


def _in_words(allowed: Container[str]) -> str:
    known = [f"{{{name}}}" for name in PLACEHOLDERS if name in allowed]
    if allowed is PLACEHOLDERS:
        known.append("{assets.NAME}")
    elif isinstance(allowed, Mapping):
        known += [f"{{{name}}}" for name in allowed if name.startswith(ASSET)]
    return f"{', '.join(known)} are; {{{{ and }}}} stand for braces"
