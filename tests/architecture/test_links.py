"""What the documents point to is there: files, folders and headings of the project itself."""

import re

import pytest

from tests.architecture.imports import ROOT

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def anchors(text):
    """The names that GitHub gives to headings."""
    plain = [re.sub(r"[^\w\- ]", "", found.lower()) for found in _HEADING.findall(text)]
    return {found.replace(" ", "-") for found in plain}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    lost = []
    for link in _LINK.findall(path.read_text(encoding="utf-8")):
        where, _, anchor = link.partition("#")
        if "://" in where:
            continue
        target = path.parent / where if where else path
        if not target.exists():
            lost.append(link)
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            lost.append(link)
    assert lost == []
