"""What the images are, and what becomes of a user's image around which one is made."""

import json
import subprocess

import pytest

from drydock.failures import EXIT_MISCONFIGURED, NO_WORKER, classify
from tests.containers.engine import HELD, docker, inspect, make_image
from tests.worker.support import DATA

IMAGES = ("worker_image", "dock_image", "samtools_image")
LABELS = {
    *(f"org.opencontainers.image.{name}" for name in ("title", "description", "version")),
    *(f"org.opencontainers.image.{name}" for name in ("source", "documentation", "licenses")),
    *("org.opencontainers.image.base.name", "container.base.image", "tags"),
    *(f"software.{name}" for name in ("version", "description", "documentation", "license")),
}


def run(image, *command, entrypoint=None):
    """Exit code, stdout and stderr of a container."""
    other = () if entrypoint is None else ("--entrypoint", entrypoint)
    done = subprocess.run(
        ["docker", "run", "--rm", *HELD, *other, image, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(params=IMAGES)
def image(request):
    return request.getfixturevalue(request.param)


def test_an_image_says_what_it_is(image):
    config = inspect(image)["Config"]
    assert {name for name in LABELS if not config["Labels"].get(name)} == set()
    assert config["User"] == "10001"
    assert config["Entrypoint"][0].endswith("tini")
    assert config["Cmd"] == ["drydock-worker"]


def test_an_image_begins_as_a_worker_that_is_told_nothing(image):
    code, log, said = run(image)
    assert code == EXIT_MISCONFIGURED
    assert json.loads(log)["event"] == "misconfigured"
    assert said.startswith("drydock: S3_INPUT_LOCATION is not set")


def test_an_image_says_how_it_is_used(image):
    code, said, _ = run(image, "drydock-worker", "--help")
    assert code == 0
    assert "S3_TASK_LOCATION" in said


def test_the_workers_own_layers_are_small(worker_image, base_image):
    """What boto3 and the worker add to a base with Python: 60 MB at most."""
    listed = docker(
        "history", "--no-trunc", "--human=false", "--format", "{{json .}}", worker_image
    )
    layers = [json.loads(line) for line in listed.splitlines()]
    worker = [
        int(layer["Size"])
        for layer in layers
        if "worker.txt" in layer["CreatedBy"].partition("pip --python")[2]
        or "*.whl" in layer["CreatedBy"]
        or "/tmp/wheel" in layer["CreatedBy"]
    ]
    assert len(worker) == 3
    assert 1_000_000 < sum(worker) < 60_000_000


def test_dock64_brings_its_loader_and_its_libraries(dock_image):
    code, listed, _ = run(dock_image, "ls", "/opt/dock/lib", entrypoint="")
    assert code == 0
    assert {"libparts.so", "libgfortran.so.5", "libc.so.6"} <= set(listed.split())
    code, found, _ = run(dock_image, "sh", "-c", "command -v dock64")
    assert (code, found) == (0, "/opt/dock/bin/dock64\n")


def test_dock64_may_be_of_another_c_library(worker_image, bare_image):
    words = ("--build-arg", f"WORKER_IMAGE={worker_image}")
    made = make_image("drydock-dock38:bare", *words, DOCK=bare_image, DOCK64="/bin/hello")
    assert run(made, "hello") == (0, "hello from musl\n", "")


def test_an_image_without_dock64_is_told_so(worker_image, bare_image):
    words = ("--build-arg", f"WORKER_IMAGE={worker_image}")
    with pytest.raises(AssertionError, match="/dock64 is not in that image: give its path as"):
        make_image("drydock-dock38:none", *words, DOCK=bare_image)


def test_a_wrapped_image_keeps_its_programs_and_where_it_finds_them(samtools_image):
    code, said, _ = run(
        samtools_image, "sh", "-c", 'echo "$PATH"; pwd; samtools --version | head -n 1'
    )
    assert code == 0
    path, folder, version = said.splitlines()
    assert path == "/lab/bin:/usr/bin:/bin:/opt/drydock/bin"
    assert folder == "/lab"
    assert version.startswith("samtools 1.")
    code, _, _ = run(samtools_image, "sh", "-c", "command -v python3 || command -v python")
    assert code == 127


def test_an_image_of_another_c_library_and_without_a_shell_is_wrapped(bare_image):
    made = make_image("bare-drydock:test", FROM=bare_image)
    assert run(made, "hello") == (0, "hello from musl\n", "")
    assert run(made)[0] == EXIT_MISCONFIGURED


@pytest.mark.parametrize("entrypoint", [None, "sh"])
def test_an_image_without_the_worker_is_told_from_all_others(base_image, entrypoint):
    """In the engine's own words, which ECS passes on, or by the code of the image's own shell."""
    command = ("drydock-worker",) if entrypoint is None else ("-c", '"$@"', "-", "drydock-worker")
    code, _, said = run(base_image, *command, entrypoint=entrypoint)
    assert code == 127
    reason = f"CannotStartContainerError: {said}" if entrypoint is None else None
    verdict = classify("Task failed to start", reason, None if reason else code)
    assert (verdict.policy, verdict.advice) == ("stop_run", NO_WORKER)


def test_nothing_of_the_project_lies_where_it_could_be_changed(worker_image, samtools_image):
    look = "find / -xdev -writable -type f -not -path '/proc/*' 2>/dev/null | grep -c drydock"
    for image in (worker_image, samtools_image):
        assert run(image, "sh", "-c", look)[1].strip() == "0", (image, DATA)
