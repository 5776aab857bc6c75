"""What caught each mutation last time, and the tables of docs/proof.md that tell of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.simulation.mutations import ECONOMIES, MUTATIONS

_CAUGHT = Path(__file__).with_name("caught.json")
PAGE = Path(__file__).parents[2] / "docs" / "proof.md"
BEGIN, END = "<!-- safeties: python -m tests.simulation.mutate --record -->\n", "<!-- end -->\n"


@dataclass(frozen=True)
class Caught:
    """What became of a mutation: the rule that was violated, in which history or scene."""

    name: str
    rule: str | None = None
    seed: int | None = None
    scene: str | None = None
    seen: str = ""
    seconds: float = 0.0

    @property
    def by(self) -> str:
        """What caught it, in a line."""
        if self.rule is None:
            return "NOT CAUGHT"
        where = f"seed {self.seed}" if self.scene is None else f"scene {self.scene}"
        return f"{where}: {self.rule}: {self.seen[:160] if self.scene is None else ''}"


def known() -> dict[str, Caught]:
    """What caught each, by the mutation's name."""
    lines = json.loads(_CAUGHT.read_text()) if _CAUGHT.exists() else {}
    return {name: Caught(name, **fields) for name, fields in lines.items()}


def record(caught: Caught) -> None:
    """Write down what caught a mutation, here and in the docs."""
    order = [mutation.name for mutation in MUTATIONS]
    found = {name: each for name, each in known().items() if name in order}
    found[caught.name] = caught
    lines = {
        name: {key: asdict(found[name])[key] for key in ("rule", "seed", "scene")}
        for name in order
        if name in found
    }
    _CAUGHT.write_text(json.dumps(lines, indent=1) + "\n")
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(before + BEGIN + tables() + END + rest.partition(END)[2])


def tables() -> str:
    """The tables as the docs have them."""
    by_name = known()
    rows = ["", "| safety | without it | caught by | what is violated |", "|---|---|---|---|"]
    for mutation in MUTATIONS:
        caught = by_name.get(mutation.name, Caught(mutation.name))
        where = f"seed {caught.seed}" if caught.scene is None else f"scene *{caught.scene}*"
        said = _sentence(caught)
        rows.append(
            f"| {mutation.name}: {mutation.safety} | {mutation.without} | {where} | {said} |"
        )
    rows += [
        "",
        "Not safeties, but economies:",
        "",
        "| what | what holds without it |",
        "|---|---|",
    ]
    rows += [f"| {each.what} | {each.holds} |" for each in ECONOMIES]
    return "\n".join(rows) + "\n\n"


def _sentence(caught: Caught) -> str:
    """The rule's name, or what a scene said."""
    said = (caught.rule or "").replace("_", " ")
    return said.replace("|", "/")
