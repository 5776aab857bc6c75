"""docs/parameters.md, and the lists of docs/deploying.md, are what template.yaml says."""

import re

from scripts import parameters
from tests.architecture.imports import ROOT
from tests.architecture.stack import TEMPLATE, written


def test_the_page_is_what_the_template_says():
    """make parameters writes it anew."""
    told = (ROOT / "docs/parameters.md").read_text(encoding="utf-8")
    assert told == parameters.page(TEMPLATE.read_text(encoding="utf-8"))


def test_the_page_about_deploying_lists_the_templates_questions_and_outputs():
    """make parameters writes them anew."""
    told = (ROOT / "docs/deploying.md").read_text(encoding="utf-8")
    text = TEMPLATE.read_text(encoding="utf-8")
    assert told == parameters.deploying(told, text)
    assert set(re.findall(r"Parameter (\w+) \[", told)) == set(written()["Parameters"])
    assert set(re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE)) == set(written()["Outputs"])


def test_every_parameter_stands_in_a_section_of_the_page():
    text = TEMPLATE.read_text(encoding="utf-8")
    told = [name for _, names in parameters.sections(text) for name in names]
    assert told == list(written()["Parameters"])
    assert all(title for title, _ in parameters.sections(text))
