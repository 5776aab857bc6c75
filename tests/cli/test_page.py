"""docs/command_line.md has every command, every option and every exit code."""

import re

import pytest

from cli.__main__ import _CODES, main
from tests.architecture.imports import ROOT

PAGE = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")


def test_the_table_has_every_command_with_its_arguments():
    written = dict(re.findall(r"^\| `([a-z]+)([ A-Z]*)` \|", PAGE, re.MULTILINE))
    known = {
        name: "".join(
            f" {each.human_readable_name}"
            for each in command.params
            if each.nargs == 1 and each.param_type_name == "argument"
        )
        for name, command in main.commands.items()
    }
    assert written == known


@pytest.mark.parametrize("name", main.commands)
def test_every_option_is_on_the_page(name):
    options = {
        max(each.opts, key=len) for each in main.commands[name].params if each.opts[0][0] == "-"
    }
    assert {option for option in options if option not in PAGE} == set()


def test_exit_codes_are_those_of_the_help():
    codes = re.findall(r"(\d+) [a-zA-Z]", _CODES)
    said = PAGE[PAGE.index("Exit codes:") :].partition("So `drydock")[0]
    assert re.findall(r"(?:: |; |;\n)(\d+) ", said) == codes
