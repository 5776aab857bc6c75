"""Write docs/parameters.md from template.yaml, and what docs/deploying.md lists of it.

usage: python scripts/parameters.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "template.yaml"
_SECTION = re.compile(r"^  # ---- (.+) ----$")
_NAME = re.compile(r"^  (\w+):$")
_OUTPUT = re.compile(r"^  (\w+):\n(?:    Condition: \w+\n)?    Description: (.+)$", re.MULTILINE)
# What the page about deploying has of the template: the guide's questions, the stack's outputs.
_QUESTIONS = re.compile(r"(?:^    \tParameter \w+ \[.*\]: ?\n)+", re.MULTILINE)
_OUTPUTS = re.compile(r"(?<=^\| output \| what it is \|\n\|---\|---\|\n)(?:^\|.*\n)*", re.MULTILINE)
_HEAD = """\
# Parameters

What `sam deploy --guided` asks for, and what `--parameter-overrides` takes. Every one has a
default that is right for a first stack, and can be changed by a later deployment ([what an
update does](operating.md#updating)). This page is written by `make parameters` from
`template.yaml`.
"""


def parameters(text: str) -> dict[str, dict[str, Any]]:
    """The parameters of a template, in its order."""
    block = re.search(r"^Parameters:\n(?:(?: .*)?\n)+", text, re.MULTILINE)
    if block is None:
        raise ValueError("the template has no parameters")
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(block[0])["Parameters"]
    return loaded


def sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """The template's own headings, each with the names of its parameters."""
    known = parameters(text)
    title, names = "", list[str]()
    for line in text.splitlines():
        if found := _SECTION.match(line):
            if names:
                yield title, names
            title, names = found[1], []
        elif (found := _NAME.match(line)) and found[1] in known:
            names.append(found[1])
        elif line.startswith(("Conditions:", "Globals:", "Resources:")):
            break
    if names:
        yield title, names


def default(parameter: dict[str, Any]) -> str:
    """What holds when nothing is given."""
    if "Default" not in parameter:
        return "must be given"
    return f"`{parameter['Default']}`" if parameter["Default"] != "" else "empty"


def bounds(parameter: dict[str, Any]) -> str:
    """What may be given, as far as CloudFormation itself looks."""
    if "AllowedValues" in parameter:
        return ", ".join(f"`{value}`" for value in parameter["AllowedValues"])
    if "MinValue" in parameter:
        return f"{_number(parameter['MinValue'])} to {_number(parameter['MaxValue'])}"
    if "ConstraintDescription" in parameter:
        return str(parameter["ConstraintDescription"])
    if "MaxLength" in parameter:
        return f"at most {_number(parameter['MaxLength'])} characters"
    return "a list, separated by commas" if "List" in parameter["Type"] else ""


def _number(value: float) -> str:
    return f"{value:,}"


def page(text: str) -> str:
    """The whole page."""
    known = parameters(text)
    lines = [_HEAD]
    for title, names in sections(text):
        lines += [
            f"## {title}",
            "",
            "| parameter | default | allowed | meaning |",
            "|---|---|---|---|",
        ]
        for name in names:
            cells = (default(known[name]), bounds(known[name]), known[name]["Description"])
            told = " | ".join(str(cell).strip().replace("|", "\\|") for cell in cells)
            lines.append(f"| `{name}` | {told} |")
        lines.append("")
    return "\n".join(lines)


def questions(text: str) -> str:
    """What `sam deploy --guided` asks of the parameters, with nothing answered yet."""
    known = parameters(text).items()
    return "".join(f"    \tParameter {name} [{each.get('Default', '')}]:\n" for name, each in known)


def outputs(text: str) -> str:
    """The rows of the table of the stack's outputs."""
    found = _OUTPUT.findall(text.partition("\nOutputs:\n")[2])
    return "".join(f"| `{name}` | {told} |\n" for name, told in found)


def deploying(written: str, text: str) -> str:
    """The page about deploying, with what it lists of the template.

    Raises:
        ValueError: the page has no such list any more.
    """
    for pattern, listed in ((_QUESTIONS, questions(text)), (_OUTPUTS, outputs(text))):
        written, count = pattern.subn(listed.replace("\\", "\\\\"), written)
        if count != 1:
            raise ValueError(f"docs/deploying.md has {count} lists of {pattern.pattern}")
    return written


def main() -> None:
    """Write both pages."""
    text = TEMPLATE.read_text(encoding="utf-8")
    (ROOT / "docs/parameters.md").write_text(page(text), encoding="utf-8")
    beside = ROOT / "docs/deploying.md"
    beside.write_text(deploying(beside.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main()
