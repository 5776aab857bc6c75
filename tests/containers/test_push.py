"""`make push` to a registry on this machine, and what is pulled from there."""

import os
import subprocess

import pytest

from tests.containers.engine import ROOT, docker, inspect
from tests.containers.registry import PASSWORD


@pytest.fixture
def push(bare_image, registry, tmp_path):
    """``make push`` of the smallest image there is, by somebody who has never logged in."""

    def push(repository, password=PASSWORD, login="someone", **given):
        variables = {"IMAGE": bare_image, "REPOSITORY": f"{registry}/{repository}", **given}
        words = [f"{name}={value}" for name, value in {"LOGIN": login, **variables}.items()]
        return subprocess.run(
            ["make", "--silent", "push", *words],
            cwd=ROOT,
            input=password,
            capture_output=True,
            text=True,
            env=os.environ | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
            check=False,
        )

    return push


@pytest.fixture
def pull(registry, tmp_path_factory):
    """Pulls what is there, whatever this machine has by that name, as one who has logged in."""
    config = str(tmp_path_factory.mktemp("login"))
    words = ("login", "--username", "someone", "--password", PASSWORD, registry)
    docker(*words, DOCKER_CONFIG=config)

    def pull(reference):
        subprocess.run(["docker", "rmi", reference], capture_output=True, check=False)
        docker("pull", reference, DOCKER_CONFIG=config)
        return inspect(reference)

    return pull


def test_what_is_printed_is_what_is_pulled(push, pull, registry, bare_image):
    done = push("lab/bare", TAG="7")
    assert done.returncode == 0, done.stderr
    uri = done.stdout.removesuffix("\n")
    assert uri.startswith(f"{registry}/lab/bare@sha256:")
    for reference in (uri, f"{registry}/lab/bare:7", f"{registry}/lab/bare:latest"):
        found = pull(reference)
        assert found["Id"] == inspect(bare_image)["Id"]
        assert uri in found["RepoDigests"]


def test_it_is_pushed_once(push):
    first = push("lab/twice", TAG="7")
    again = push("lab/twice", TAG="7")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert "Layer already exists" in again.stderr


def test_no_login_stays_and_no_keychain_is_asked(push, registry, tmp_path, monkeypatch):
    keychain = tmp_path / "docker-credential-secretservice"
    keychain.write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/asked\n")
    keychain.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert push("lab/bare", TAG="7").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [keychain.name]


def test_a_wrong_password(push, registry):
    done = push("lab/bare", password="another")
    assert (done.stdout, done.returncode) == ("", 2)
    assert f"drydock: {registry} refuses the login of someone: " in done.stderr
    assert "another" not in done.stderr


def test_no_login(push, registry):
    done = push("lab/bare", login="")
    assert (done.stdout, done.returncode) == ("", 2)
    refused = f"{registry} lets nobody push to {registry}/lab/bare with this login"
    assert f"drydock: {refused}" in done.stderr


def test_an_image_that_was_never_built(push):
    done = push("lab/bare", IMAGE="drydock-never:1")
    assert "drydock: there is no image drydock-never:1 here: make image builds it" in done.stderr
