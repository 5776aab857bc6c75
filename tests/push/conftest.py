"""`make push` with an engine that is told what to answer, and moto's ECR."""

import json
import os
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from scripts import push

REGION = "us-east-1"
HOST = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
DIGEST = "sha256:" + "d" * 64
ID = "sha256:" + "1" * 64
PUSHED = f"The push refers to repository [x]\n1b2: Pushed\n0.1.0: digest: {DIGEST} size: 527\n"
# What the command line of Docker is to this: it keeps words, standard input, environment and
# configuration of each of its calls, and answers as its folder says.
DOCKER = """#!/bin/sh
set -eu
here=$(dirname "$0")
[ $# -lt 2 ] || words=$*
echo "${words:-$1}" >> "$here/calls"
env >> "$here/environments"
case $1 in
    image) cat "$here/image" ;;
    login)
        cat > "$here/password"
        cp "$DOCKER_CONFIG/config.json" "$here/config"
        stat --format %a "$DOCKER_CONFIG" > "$here/mode"
        echo "$DOCKER_CONFIG" > "$here/folder" ;;
    push)
        case $* in
            *:latest) [ ! -e "$here/push.latest" ] || { cat "$here/push.latest"; exit 1; } ;;
        esac
        echo $$ > "$here/pushing"
        [ ! -p "$here/push" ] || exec cat "$here/push"
        cat "$here/push" ;;
esac
if [ -e "$here/$1.fails" ]; then
    cat "$here/$1.fails" >&2
    exit 1
fi
"""


class Engine:
    """The stand-in's folder: what it is to answer, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "docker"
        program.write_text(DOCKER)
        program.chmod(0o755)
        self.has()
        self.answers(push=PUSHED)

    def has(self, architecture="amd64", **fields):
        described = {"Id": ID, "Architecture": architecture, "RepoDigests": []} | fields
        self.answers(image=json.dumps([described]))

    def answers(self, **texts):
        for name, text in texts.items():
            (self.folder / name.replace("_", ".")).write_text(text)

    def told(self, name):
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    @property
    def calls(self):
        return self.told("calls").splitlines()

    def pushed(self):
        return [call.removeprefix("push ") for call in self.calls if call.startswith("push ")]


@pytest.fixture
def engine(tmp_path, monkeypatch):
    folder = tmp_path / "engine"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.delenv("DRYDOCK_STACK", raising=False)
    monkeypatch.setattr("tempfile.tempdir", None)
    return Engine(folder)


@pytest.fixture
def ecr(monkeypatch):
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield boto3.client("ecr")


@pytest.fixture
def said(capsys):
    """Runs `make push`; its exit code, its line, and what it tells a person."""

    def said(*words):
        code = push.main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return said
