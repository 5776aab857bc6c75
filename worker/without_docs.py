"""botocore without the modules that write its documentation, which take a sixth of its import.

They are for ``help`` and for the pages of its documentation, and botocore has no way to do without
them (its ``client`` and ``waiter`` modules import them first). Nor has urllib3 for what reads the
versions of installed packages, which it asks when somebody wants HTTP/2. What reads settings from
files, and what looks into answers for pages and waiters, is imported when that is done.
"""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Self

_PACKAGE = "botocore.docs"
_DOCSTRINGS = f"{_PACKAGE}.docstring"
_METADATA = "importlib.metadata"
# Of these it takes nothing when it is imported.
_LATER = ("configparser", "jmespath")


class _Later(ModuleType):
    """Stands for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


class _NoDocstring(str):
    """Stands for any of botocore's docstrings, whatever it is made from."""

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> Self:
        return super().__new__(cls)


@contextlib.contextmanager
def documentation_left_out() -> Iterator[None]:
    """Let what is imported meanwhile find a package of documentation that has no docstrings.

    Whoever imports it later gets the real one.
    """
    spec = importlib.util.find_spec("botocore")
    if spec is None or spec.submodule_search_locations is None or _PACKAGE in sys.modules:
        yield
        return
    package, docstrings = ModuleType(_PACKAGE), ModuleType(_DOCSTRINGS)
    # Its small modules are found as ever: some of them are of use elsewhere.
    package.__path__ = [f"{folder}/docs" for folder in spec.submodule_search_locations]
    for name in ("ClientMethodDocstring", "PaginatorDocstring", "WaiterDocstring"):
        setattr(docstrings, name, _NoDocstring)
    instead = {_PACKAGE: package, _DOCSTRINGS: docstrings}
    instead |= {name: _Later(name) for name in _LATER if name not in sys.modules}
    if _METADATA not in sys.modules:
        instead[_METADATA] = metadata = ModuleType(_METADATA)
        metadata.version = _version  # type: ignore[attr-defined] # a module takes any name
    sys.modules |= instead
    try:
        yield
    finally:
        for name, module in instead.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _version(name: str) -> str:
    """As the real one, which is imported now."""
    from importlib.metadata import version  # noqa: PLC0415 - this is what it is about

    return version(name)
