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


def leads_somewhere(path, link):
    where, _, anchor = link.partition("#")
    target = path.parent / where if where else path
    if not target.exists():
        return False
    return not anchor or anchor in anchors(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    lost = [
        link
        for link in _LINK.findall(path.read_text(encoding="utf-8"))
        if "://" not in link and not leads_somewhere(path, link)
    ]
    assert lost == []
