"""What each file of the project imports, read from its syntax tree: nothing is executed."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def sources(folder):
    return sorted(path for path in (ROOT / folder).rglob("*.py"))


def syntax(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path):
    """Dotted names of all modules that a file imports, wherever in it; of `from a import b` both a
    and a.b, for b may be a module."""
    names = set()
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(path):
    """The top-level names alone."""
    return {name.partition(".")[0] for name in imported(path)}


def core_modules(path):
    """The modules of the core that a file imports, by their short names."""
    known = {module.stem for module in sources("src/drydock")}
    names = {name.split(".")[1] for name in imported(path) if name.startswith("drydock.")}
    return names & known


def core_closure(path):
    """Every module of the core that is loaded when a file is."""
    found, waiting = set(), set(core_modules(path))
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= core_modules(ROOT / f"src/drydock/{module}.py") - found
    return found
