"""What a deployment makes when every question is answered with Enter."""

import re
import tomllib

import pytest

from tests.architecture.imports import ROOT
from tests.architecture.stack import TEMPLATE, of_type, resources, written

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
# What the embedded AWS gives and a person need not.
UNANSWERED = {"VpcId": "", "SubnetIds": "", "WorkerImage": "", "ReconcileSeconds": "21600"}


def test_every_parameter_has_a_default():
    assert [name for name, each in written()["Parameters"].items() if "Default" not in each] == []


def test_the_template_can_be_made_from_its_defaults_alone():
    made = resources(**UNANSWERED)
    assert {"Vpc", "DataBucket", "WorkerRepository"} <= set(made)
    assert "GpuSpotQueue" not in made


def test_without_an_image_it_is_that_of_this_version_in_the_stacks_own_repository():
    [job] = of_type("AWS::Batch::JobDefinition", **UNANSWERED).values()
    functions = of_type("AWS::Lambda::Function", **UNANSWERED).values()
    told = {each["Environment"]["Variables"]["WORKER_IMAGE"] for each in functions}
    image = f"WorkerRepository-RepositoryUri:{VERSION}"
    assert told == {job["ContainerProperties"]["Image"]} == {image}


def test_every_place_that_names_the_version_names_this_one():
    named = re.findall(r"RepositoryUri\}:([\w.-]+)", TEMPLATE.read_text(encoding="utf-8"))
    assert len(named) == 3
    assert set(named) == {VERSION}


@pytest.mark.parametrize(("given", "expected"), [(BOUNDARY, BOUNDARY), ("", None)])
def test_every_role_has_the_boundary_that_was_given(given, expected):
    roles = of_type("AWS::IAM::Role", PermissionsBoundaryArn=given)
    assert len(roles) >= 12
    assert {each.get("PermissionsBoundary") for each in roles.values()} == {expected}


def test_the_page_says_how_many_resources_a_deployment_lists():
    told = re.search(
        r"lists about (\d+) resources", (ROOT / "docs/deploying.md").read_text("utf-8")
    )
    assert round(len(resources(**UNANSWERED)), -1) == int(told[1])
