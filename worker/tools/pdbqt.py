"""PDBQT as text: one file of many ligands cut into ligands, and docked poses read. Pure.

A file holds ligands in MODEL/ENDMDL blocks or one after another; a ligand ends with its TORSDOF
line (https://autodock-vina.readthedocs.io/en/latest/faq.html). Nothing is kept in memory but the
ligand at hand, and no ligand above ``MAX_LIGAND_BYTES`` is.
"""

import re
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from worker.tools.ligands import MAX_LIGAND_BYTES, Ligand, name_of, numbered, too_large

# A remark with the ligand's name or SMILES; Meeko's SMILES IDX is neither. None of these patterns
# takes longer than a line is, however many blanks it has.
_TELLING = re.compile(
    rb"REMARK\s+(?:name\b\s*+[=:]?\s*+(\S[^\n]*)\n?|SMILES\s+(?!IDX\b)(\S+)\s*)", re.IGNORECASE
)
_MODEL_TITLE = re.compile(rb"\s*MODEL(?:\s+\d+(?=\s))?\s*(.*)", re.DOTALL)
# Lines that belong to no ligand when they stand alone.
_IDLE = re.compile(rb"(REMARK\b.*|END|TER|CONECT\b.*|USER\b.*|)\s*", re.DOTALL)
# Most lines begin so, and say nothing of where a ligand begins or ends.
_PLAIN = (b"ATOM ", b"HETATM ", b"BRANCH ", b"ENDBRANCH ")
# A run of such lines, or of remarks that tell nothing; or any line.
_RUN_OR_LINE = re.compile(
    rb"(?:(?:" + b"|".join(_PLAIN) + rb")[^\n]*\n)+"
    rb"|(?:REMARK\b(?!\s+(?i:name|SMILES(?!\s+IDX\b)))[^\n]*\n)+"
    rb"|[^\n]*\n"
)
_CHUNK_BYTES = 1 << 16
# The first words of lines that every ligand has.
_NEEDED = (b"ROOT", b"ENDROOT", b"TORSDOF")


class Pose(NamedTuple):
    """One model of vina's output; energies in kcal/mol, distances to the best pose in ångström."""

    affinity: float
    rmsd_lower: float
    rmsd_upper: float
    terms: dict[str, float]


class _Block:
    """The lines of a ligand that is being read."""

    __slots__ = ("in_model", "lines", "size", "telling", "title", "words")

    def __init__(self, title: bytes = b"", *, in_model: bool = False) -> None:
        self.title = title
        self.lines: list[bytes] = []
        self.size = 0
        self.in_model = in_model
        self.words: set[bytes] = set()
        self.telling: list[re.Match[bytes]] = []

    def add(self, line: bytes) -> None:
        """Take a line that says nothing of the ligand as a whole."""
        self.size += len(line)
        if self.size <= MAX_LIGAND_BYTES:
            self.lines.append(line)

    def add_with(self, word: bytes, line: bytes) -> None:
        """Take a line whose first word is ``word``."""
        self.add(line)
        if word in _NEEDED:
            self.words.add(word)
        elif self.size <= MAX_LIGAND_BYTES and (told := _TELLING.fullmatch(line)):
            self.telling.append(told)

    @property
    def is_idle(self) -> bool:
        return all(_IDLE.fullmatch(line) for line in self.lines)

    def split_trailing_remarks(self) -> "_Block":
        """A new block with the remarks at the end of this one: they speak of what follows."""
        kept = len(self.lines)
        while kept and _IDLE.fullmatch(self.lines[kept - 1]):
            kept -= 1
        following = _Block()
        for line in self.lines[kept:]:
            following.add_with(b"", line)
        self.lines = self.lines[:kept]
        self.telling = self.telling[: len(self.telling) - len(following.telling)]
        return following


def lines_in_runs(stream: IO[bytes], chunk_bytes: int = _CHUNK_BYTES) -> Iterator[bytes]:
    """A file's lines for :func:`split_ligands`; those that say nothing of where a ligand begins or
    ends come together, which is quicker than one after another.

    Of a line that no ligand may hold only so much is kept that this is seen.
    """
    begun = b""
    while chunk := stream.read(chunk_bytes):
        whole, end, rest = chunk.rpartition(b"\n")
        if not end:
            # Beyond the most that a ligand may hold a line is not kept.
            begun += rest if len(begun) <= MAX_LIGAND_BYTES else b""
            continue
        yield from _RUN_OR_LINE.findall(begun + whole + end)
        begun = rest
    if begun:
        yield begun


def split_ligands(lines: Iterable[bytes], stem: str) -> Iterator[Ligand]:
    """Cut a file into its ligands.

    Lines may come one by one, or as :func:`lines_in_runs` gives them. A ligand's id is its name
    remark, else its MODEL's title, else ``stem``, with a number when the file holds more than one.
    """
    for ordinal, block, fallback in numbered(_blocks(lines), stem):
        yield _ligand(ordinal, block, fallback)


def _blocks(lines: Iterable[bytes]) -> Iterator[_Block]:
    block = _Block()
    for line in lines:
        if line.startswith(_PLAIN):
            block.add(line)
            continue
        word = next(iter(line.split(None, 1)), b"")
        if word == b"MODEL":
            if not block.is_idle:
                yield block
            title = _MODEL_TITLE.fullmatch(line)
            block = _Block(title=title[1] if title else b"", in_model=True)
        elif word == b"ENDMDL":
            if block.in_model or not block.is_idle:
                yield block
            block = _Block()
        elif word == b"ROOT" and word in block.words and not block.in_model:
            following = block.split_trailing_remarks()
            yield block
            block = following
            block.add_with(word, line)
        else:
            block.add_with(word, line)
            if word == b"TORSDOF" and not block.in_model:
                yield block
                block = _Block()
    if block.in_model or not block.is_idle:
        yield block


def _ligand(ordinal: int, block: _Block, fallback: str) -> Ligand:
    names = [told[1] for told in block.telling if told[1] is not None]
    smiles = [told[2] for told in block.telling if told[2] is not None]
    return Ligand(
        ordinal=ordinal,
        id=name_of(names[0] if names else block.title, fallback),
        text=b"".join(block.lines),
        smiles=smiles[0].decode(errors="replace") if smiles else None,
        problem=_problem(block),
    )


def _problem(block: _Block) -> str | None:
    """What vina refuses for certain, found without starting it."""
    if problem := too_large(block.size):
        return problem
    missing = [word.decode() for word in _NEEDED if word not in block.words]
    if missing:
        return f"no PDBQT of a ligand: no {' and no '.join(missing)} line"
    return None


_RESULT = re.compile(r"REMARK VINA RESULT:\s+(\S+)\s+(\S+)\s+(\S+)")
_TERM = re.compile(r"REMARK (INTER \+ INTRA|INTER|INTRA|UNBOUND):\s+(\S+)")
_TERM_NAMES = {
    "INTER + INTRA": "inter_intra",
    "INTER": "inter",
    "INTRA": "intra",
    "UNBOUND": "unbound",
}


def parse_poses(text: str) -> list[Pose]:
    """Read the models of a file that vina wrote, best first as they stand.

    Raises:
        ValueError: it holds no model, or is not whole.
    """
    poses: list[Pose] = []
    if not text.rstrip().endswith("ENDMDL"):
        raise ValueError("the file does not end in ENDMDL")
    for block in text.split("\nENDMDL")[:-1]:
        result = _RESULT.search(block)
        if result is None:
            raise ValueError("a model has no VINA RESULT")
        affinity, lower, upper = (float(number) for number in result.groups())
        terms = {_TERM_NAMES[match[1]]: float(match[2]) for match in _TERM.finditer(block)}
        poses.append(Pose(affinity, lower, upper, terms))
    return poses
