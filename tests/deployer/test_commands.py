"""The commands of the pages about deploying are commands: of the AWS CLI, of the Makefile, of SAM.

The AWS CLI is made from the same models as botocore, so its commands and options can be looked up.
"""

import re

import botocore.session
import pytest
from botocore import xform_name

from tests.architecture.imports import ROOT

PAGES = (
    *("deploying.md", "operating.md", "stops.md", "your_own_image.md", "images.md"),
    *("submitting.md", "monitoring.md", "groups.md"),
)
GLOBAL = {"region", "query", "output", "profile", "cli-binary-format"}
GLOBAL |= {"cli-input-json", "generate-cli-skeleton", "max-items"}
# What the CLI has beside the services' own operations, with the options that the pages use.
OWN = {
    ("s3", "cp"): {"recursive", "no-progress", "exclude", "include", "sse", "sse-kms-key-id"},
    ("s3", "ls"): {"recursive"},
    ("s3", "rm"): {"recursive"},
    ("s3", "rb"): {"force"},
    ("s3", "sync"): set(),
    ("ecr", "get-login-password"): set(),
    ("logs", "tail"): {"follow", "log-stream-names"},
}
SESSION = botocore.session.get_session()
SAM_COMMANDS = {"deploy", "delete", "build", "validate", "local", "logs"}


def text_of(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return text.replace("\\\n> ", " ").replace("\\\n", " ")


def commands():
    for page in PAGES:
        for service, operation, rest in re.findall(
            r"\baws ([a-z][a-z0-9-]+) ([a-z][a-z0-9-]+)([^\n|;`]*)", text_of(page)
        ):
            yield page, service, operation, frozenset(re.findall(r"--([a-z][a-z-]*)", rest))


@pytest.mark.parametrize(
    ("page", "service", "operation", "options"), sorted(set(commands()), key=str)
)
def test_a_command_of_the_aws_cli_is_one(page, service, operation, options):
    known = OWN.get((service, operation))
    if known is None:
        model = SESSION.get_service_model(service)
        names = {xform_name(name, "-"): name for name in model.operation_names}
        members = model.operation_model(names[operation]).input_shape.members
        known = {xform_name(name, "-") for name in members}
    assert options - GLOBAL <= known


def test_there_are_commands_of_each_page():
    assert {page for page, *_ in commands()} >= {"deploying.md", "operating.md", "stops.md"}


@pytest.mark.parametrize("page", PAGES)
def test_a_target_of_make_is_one(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(
        re.findall(r"(?:^    |&& |`)make (?:--silent )?([a-z-]+)", text_of(page), re.MULTILINE)
    )
    assert [each for each in named if not re.search(rf"^{each}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_command_of_sam_is_one(page):
    assert set(re.findall(r"bin/sam ([a-z-]+)", text_of(page))) <= SAM_COMMANDS
