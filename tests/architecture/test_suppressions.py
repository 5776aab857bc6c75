"""What a linter asks for and is not done says why, beside the resource that it is about."""

import re

from tests.architecture.stack import TEMPLATE

SUPPRESSION = re.compile(r"^    # checkov:skip=(CKV2?_AWS_\d+):(.*)$")


def suppressions():
    """Resource and id of each check that is left out, and why."""
    found, resource = [], ""
    for line in TEMPLATE.read_text(encoding="utf-8").splitlines():
        if named := re.match(r"^  (\w+):$", line):
            resource = named[1]
        elif told := SUPPRESSION.match(line):
            found.append((resource, told[1], told[2]))
    return found


def test_every_suppression_stands_at_a_resource_and_gives_a_reason():
    assert suppressions()
    written = TEMPLATE.read_text(encoding="utf-8")
    assert len(suppressions()) == written.count("checkov:skip")
    assert [each for each in suppressions() if len(each[2].split()) < 6] == []


def test_no_check_is_left_out_twice_at_a_resource():
    places = [(resource, check) for resource, check, _ in suppressions()]
    assert len(set(places)) == len(places)


def test_what_cfn_lint_overlooks_says_why_too():
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    overlooked = [line for line in lines if "ignore_checks" in line]
    assert [line for line in overlooked if not re.search(r"\] # (\w+\W+){5,}", line)] == []
