"""The stack on the embedded AWS, and the clients in a folder like a checkout of one's own."""

import os

import pytest

from local.deploy import STACK_IMAGE, deploy
from local.embedded import PROFILE_FILE, EmbeddedAws
from local.sample import REGION
from tests.clients.pages import Shell
from tests.containers.engine import ROOT

AWS = ROOT / ".venv-awscli" / "bin"


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        with EmbeddedAws(folder, machines=2, vcpus=1, stack_image=STACK_IMAGE) as embedded:
            deploy(embedded, ROOT / "template.yaml")
            yield embedded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where somebody works: what the pages name of a checkout, and nothing else."""
    folder = tmp_path_factory.mktemp("work")
    for name in ("drydock", "examples"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def environment(aws, folder, tmp_path_factory):
    """Of somebody who has never used AWS on this machine: a profile is all that leads there."""
    assert (AWS / "aws").exists(), "make test-clients makes the environment of the AWS CLI first"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_CONFIG_FILE": str(aws.directory / PROFILE_FILE),
        "AWS_PROFILE": "embedded",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "HOME": str(tmp_path_factory.mktemp("home")),
        "NO_PROXY": "127.0.0.1",
        "PATH": f"{AWS}{os.pathsep}{os.environ['PATH']}",
    }


@pytest.fixture(scope="module")
def shell(folder, environment):
    session = Shell(folder, environment)
    yield session
    session.close()
