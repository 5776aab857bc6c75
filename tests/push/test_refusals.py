"""What can keep `make push` from its work, each in one sentence that says what to do."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
import psutil
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber

from scripts import push
from tests.push.conftest import HOST

ROOT = Path(__file__).parents[2]
OUTPUTS = [{"OutputKey": "WorkerRepositoryUri", "OutputValue": f"{HOST}/drydock-worker"}]


@pytest.fixture
def recorded(monkeypatch):
    """Clients that answer what AWS answered, in that order."""

    def recorded(**answers):
        def client(service, **_given):
            made = boto3.client(
                service,
                region_name="us-east-1",
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
            )
            stub = Stubber(made)
            for operation, answer in answers[service]:
                if isinstance(answer, dict):
                    stub.add_response(operation, answer)
                else:
                    code, message = answer
                    stub.add_client_error(operation, code, message)
            stub.activate()
            return made

        monkeypatch.setattr(push, "boto3", type("Recorded", (), {"client": staticmethod(client)}))

    return recorded


def stack(outputs):
    described = {"StackName": "drydock", "CreationTime": 0, "StackStatus": "CREATE_COMPLETE"}
    return {"Stacks": [described | {"Outputs": outputs}]}


def one_sentence(err):
    lines = [line for line in err.splitlines() if line.startswith("drydock: ")]
    return lines[-1].removeprefix("drydock: ")


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (
            [("describe_stacks", ("ValidationError", "Stack with id drydock does not exist"))],
            (
                "Stack with id drydock does not exist (DRYDOCK_STACK names another): deploy it, "
                "or say REPOSITORY"
            ),
        ),
        (
            [("describe_stacks", ("ExpiredToken", "The security token included is expired"))],
            "the AWS credentials have expired: log in again",
        ),
        (
            [("describe_stacks", ("InvalidClientTokenId", "The token is invalid"))],
            "AWS does not know these credentials: log in again",
        ),
        (
            [("describe_stacks", ("AccessDenied", "User x is not authorized"))],
            "these credentials lack cloudformation:DescribeStacks: User x is not authorized",
        ),
        (
            [("describe_stacks", ("Throttling", "Rate exceeded"))],
            "AWS refuses cloudformation:DescribeStacks: Rate exceeded",
        ),
        (
            [("describe_stacks", stack([]))],
            (
                "the stack drydock has no output WorkerRepositoryUri: it is none of drydock's, or "
                "not deployed yet; REPOSITORY names a repository"
            ),
        ),
    ],
)
def test_a_stack_that_cannot_be_asked(engine, said, recorded, answers, sentence):
    recorded(cloudformation=answers)
    code, out, err = said()
    assert (code, out, one_sentence(err)) == (1, "", sentence)


MISSING = ("describe_repositories", ("RepositoryNotFoundException", "it does not exist"))
THERE = (
    "describe_repositories",
    {
        "repositories": [
            {"repositoryUri": f"{HOST}/drydock-worker", "imageTagMutability": "MUTABLE"}
        ]
    },
)
DENIED = ("AccessDeniedException", "User x is not authorized to perform it")


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (
            [("describe_repositories", DENIED)],
            "these credentials lack ecr:DescribeRepositories of drydock-worker: ",
        ),
        (
            [MISSING, ("create_repository", DENIED)],
            (
                "these credentials lack ecr:CreateRepository of drydock-worker, for there is no "
                "such repository in us-east-1: "
            ),
        ),
        (
            [MISSING, ("create_repository", ("LimitExceededException", "too many"))],
            (
                "AWS refuses ecr:CreateRepository of drydock-worker, for there is no such "
                "repository in us-east-1: too many"
            ),
        ),
        ([THERE, ("batch_get_image", DENIED)], "these credentials lack ecr:BatchGetImage of "),
        (
            [THERE, ("batch_get_image", {"images": []}), ("get_authorization_token", DENIED)],
            "these credentials lack ecr:GetAuthorizationToken: ",
        ),
        (
            [("describe_repositories", ("ExpiredTokenException", "expired"))],
            "the AWS credentials have expired: log in again",
        ),
    ],
)
def test_a_registry_that_refuses(engine, said, recorded, answers, sentence):
    recorded(cloudformation=[("describe_stacks", stack(OUTPUTS))], ecr=answers)
    code, out, err = said()
    assert (code, out) == (1, "")
    assert one_sentence(err).startswith(sentence)
    assert engine.pushed() == []


def test_no_credentials_at_all(engine, said, monkeypatch):
    def client(*_words, **_given):
        raise NoCredentialsError

    monkeypatch.setattr(push, "boto3", type("Without", (), {"client": staticmethod(client)}))
    code, _, err = said("--repository", "lab/vina")
    assert code == 1
    assert one_sentence(err) == "AWS cannot be asked: Unable to locate credentials"


def test_no_docker(said, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = said()
    assert code == 1
    assert one_sentence(err) == "there is no docker on PATH: images are pushed by a Docker engine"


def test_no_engine(engine, said):
    engine.answers(version_fails="Cannot connect to the Docker daemon")
    assert one_sentence(said()[2]) == (
        "no Docker engine answers: images are pushed by one that you may use"
    )


def test_no_image(engine, said):
    engine.answers(image="", image_fails="Error: No such image")
    assert one_sentence(said()[2]) == (
        f"there is no image drydock-worker:{push.version()} here: make image builds it, IMAGE "
        "names another"
    )


def test_an_image_of_another_architecture(engine, said):
    engine.has("arm64")
    assert "is for arm64, and the stack's machines are amd64" in one_sentence(said()[2])


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            (
                "tag invalid: The image tag '0.1.0' already exists in the 'lab/vina' repository "
                "and cannot be overwritten because the tag is immutable."
            ),
            "ghcr.io/lab/vina:0.1.0 is another image, and that tag cannot be moved",
        ),
        (
            "denied: Your authorization token has expired. Reauthenticate and try again.",
            "the login has expired meanwhile: make push again goes on",
        ),
        (
            "denied: permission_denied: write_package",
            (
                "ghcr.io lets nobody push to ghcr.io/lab/vina with this login: docker login "
                "ghcr.io, or LOGIN=<user> and the password on standard input"
            ),
        ),
        ("no basic auth credentials", "ghcr.io lets nobody push to ghcr.io/lab/vina"),
        (
            "unexpected EOF",
            "ghcr.io/lab/vina:0.1.0 is not pushed, make push again goes on: unexpected EOF",
        ),
    ],
)
def test_a_push_that_fails(engine, said, answer, sentence):
    engine.answers(push="1b2: Waiting\n", push_fails=f"{answer}\n")
    code, out, err = said("--repository", "ghcr.io/lab/vina")
    assert (code, out) == (1, "")
    assert one_sentence(err).startswith(sentence)
    assert len(engine.pushed()) == 1


def test_a_push_whose_digest_is_not_told_is_none(engine, said):
    engine.answers(push="1b2: Pushed\n")
    assert said("--repository", "ghcr.io/lab/vina")[:2] == (1, "")


def test_a_login_that_is_refused(engine, said, monkeypatch, tmp_path):
    engine.answers(login_fails="Error response from daemon: denied: denied\n")
    (tmp_path / "token").write_text("wrong")
    with (tmp_path / "token").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        code, _, err = said("--repository", "ghcr.io/lab/vina", "--login", "doe")
    assert code == 1
    assert one_sentence(err) == (
        "ghcr.io refuses the login of doe: Error response from daemon: denied: denied"
    )
    assert not Path(engine.told("folder").strip()).exists()


def test_a_login_without_a_password(engine, said, monkeypatch):
    with Path(os.devnull).open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        _, _, err = said("--repository", "ghcr.io/lab/vina", "--login", "doe")
    assert one_sentence(err) == "LOGIN=doe needs that user's password on standard input"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--tag", "drydock-worker:2"), "TAG=drydock-worker:2 is no version"),
        (("--tag", "latest"), "TAG=latest is no version"),
        (("--repository", "Lab/Vina"), "REPOSITORY=Lab/Vina: "),
        (("--repository", "dkr.ecr.us-east-1.amazonaws.com/x"), "lacks the account"),
    ],
)
def test_wrong_usage(engine, capsys, words, complaint):
    with pytest.raises(SystemExit, match="2"):
        push.main(list(words))
    assert complaint in capsys.readouterr().err
    assert engine.calls == []


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_interrupted_push_leaves_neither_login_nor_process(engine, tmp_path, signal_number):
    (engine.folder / "push").unlink()
    os.mkfifo(engine.folder / "push")
    process = subprocess.Popen(
        [
            sys.executable,
            ROOT / "scripts" / "push.py",
            "--repository",
            "127.0.0.1:9/x",
            "--login",
            "a",
        ],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )
    process.stdin.write("made up")
    process.stdin.close()
    while not engine.told("pushing"):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal_number)
    said = process.stderr.read()
    assert process.wait() == 130
    assert "interrupted: make push again goes on" in said
    assert not Path(engine.told("folder").strip()).exists()
    assert not psutil.pid_exists(int(engine.told("pushing")))
