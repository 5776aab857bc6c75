"""`make push` to a registry on this machine, and what is pulled from there."""

import base64
import json
import os
import subprocess
import urllib.request

import boto3
import pytest
from botocore.stub import Stubber

from scripts import push as pushing
from tests.containers.engine import ROOT, docker, inspect
from tests.containers.registry import PASSWORD, USER

LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


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


@pytest.fixture
def ecr(registry, monkeypatch):
    """Amazon ECR as it answers of a repository that lies in the registry of this machine."""
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    client = boto3.client("ecr", region_name="us-east-1", **keys)
    monkeypatch.setattr(pushing.boto3, "client", lambda *_words, **_given: client)
    repository = {
        "repositoryUri": f"{registry}/lab/ecr",
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "latest"}],
    }
    with Stubber(client) as answers:

        def has(*images):
            answers.add_response("describe_repositories", {"repositories": [repository]})
            answers.add_response("batch_get_image", {"images": [*images]})
            grant = {"authorizationData": [{"authorizationToken": LOGIN}]}
            answers.add_response("get_authorization_token", grant)

        yield has


def test_what_ecr_has_already_is_known_by_its_manifest(ecr, registry, bare_image, capsys):
    words = ["--repository", "lab/ecr", "--image", bare_image, "--tag", "7"]
    ecr()
    assert pushing.main(words) == 0
    first = capsys.readouterr()
    digest = first.out.strip().partition("@")[2]
    manifest = manifest_of(f"http://{registry}/v2/lab/ecr/manifests/7")
    ecr({"imageId": {"imageDigest": digest, "imageTag": "7"}, "imageManifest": manifest})
    assert pushing.main(words) == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert f"{registry}/lab/ecr:7 is this image already" in again.err
    other = json.loads(manifest) | {"config": {"digest": "sha256:" + "0" * 64}}
    elsewhere = {"imageDigest": "sha256:" + "1" * 64, "imageTag": "7"}
    ecr({"imageId": elsewhere, "imageManifest": json.dumps(other)})
    assert pushing.main(words) == 1
    assert "is another image" in capsys.readouterr().err


def manifest_of(url):
    kinds = "application/vnd.docker.distribution.manifest.v2+json"
    asked = urllib.request.Request(
        url, headers={"Authorization": f"Basic {LOGIN}", "Accept": kinds}
    )
    with urllib.request.urlopen(asked) as answer:
        return answer.read().decode()
