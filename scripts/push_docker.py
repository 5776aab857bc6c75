"""Docker's half of `make push`: the engine, a login that leaves nothing behind, the push itself."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LATEST = "latest"
# The machines of the stack: template.yaml.
_ARCHITECTURE = "amd64"
_PUSHED = re.compile(r"^\S+: digest: (sha256:[0-9a-f]{64}) size: [0-9]+$", re.MULTILINE)


class CannotPush(Exception):
    """Raised when the image is not, or not wholly, where it should be; the text says what to do."""


@dataclass(frozen=True)
class Local:
    """The image as this machine's engine has it. `named` are the digests of earlier pushes."""

    name: str
    id: str
    named: frozenset[str]


def say(text: str) -> None:
    """Tell a person, beside what a program reads."""
    sys.stderr.write(f"drydock: {text}\n")


def docker(
    *words: str, environment: Mapping[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """One command of Docker's; `text` is its standard input. Raises CannotPush without Docker."""
    command = ["docker", *words]
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, env=environment, check=False
        )
    except FileNotFoundError as error:
        raise CannotPush(
            "there is no docker on PATH: images are pushed by a Docker engine"
        ) from error


def local_image(name: str) -> Local:
    """The image of that name on this machine. Raises CannotPush."""
    if docker("version", "--format", "{{.Server.Version}}").returncode:
        raise CannotPush("no Docker engine answers: images are pushed by one that you may use")
    asked = docker("image", "inspect", name)
    if asked.returncode:
        raise CannotPush(
            f"there is no image {name} here: make image builds it, IMAGE names another"
        )
    [found] = json.loads(asked.stdout)
    if found["Architecture"] != _ARCHITECTURE:
        raise CannotPush(
            f"{name} is for {found['Architecture']}, and the stack's machines are {_ARCHITECTURE}: "
            f'make image ARGS="--platform linux/{_ARCHITECTURE}" builds it for them'
        )
    return Local(name, found["Id"], frozenset(found.get("RepoDigests") or ()))


@contextlib.contextmanager
def logged_in(host: str, user: str, password: str) -> Iterator[dict[str, str]]:
    """The environment in which Docker may push; what it is given to log in is gone afterwards.

    Without a user of ours it is the caller's own login that counts.

    Raises:
        CannotPush: the registry refuses the login.
    """
    if not user:
        yield dict(os.environ)
        return
    with tempfile.TemporaryDirectory(prefix="drydock-push-") as folder:
        prepare_configuration(Path(folder), host)
        environment = {**os.environ, "DOCKER_CONFIG": folder}
        words = ("login", "--username", user, "--password-stdin", host)
        done = docker(*words, environment=environment, text=password)
        if done.returncode:
            raise CannotPush(f"{host} refuses the login of {user}: {last_line(done.stderr)}")
        yield environment


def prepare_configuration(folder: Path, host: str) -> None:
    """A configuration with the way to the caller's engine and without any of their logins.

    With an entry for the registry Docker looks for no keychain, where the password would stay.
    """
    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    configuration: dict[str, Any] = {"auths": {host: {}}}
    with contextlib.suppress(OSError, ValueError):
        before = json.loads((own / "config.json").read_text(encoding="utf-8"))
        kept = ("currentContext", "proxies", "HttpHeaders")
        configuration |= {name: before[name] for name in kept if name in before}
    if (own / "contexts").is_dir():
        (folder / "contexts").symlink_to(own.absolute() / "contexts")
    (folder / "config.json").write_text(json.dumps(configuration), encoding="utf-8")


def push_tag(image: Local, uri: str, tag: str, environment: Mapping[str, str]) -> str:
    """Push the image under one tag; its digest. Raises CannotPush."""
    done = docker("tag", image.name, f"{uri}:{tag}")
    if done.returncode:
        raise CannotPush(f"{uri}:{tag} cannot be a name: {last_line(done.stderr)}")
    say(f"pushing {uri}:{tag}")
    command = ["docker", "push", f"{uri}:{tag}"]
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(environment)
    ) as running:
        try:
            for line in running.stdout or ():
                said.append(line)
                sys.stderr.write(f"  {line}")
        except BaseException:
            # It must not outlive the login that it uses.
            running.terminate()
            raise
    found = _PUSHED.search("".join(said))
    if running.returncode or found is None:
        raise CannotPush(refusal(uri, tag, last_line("".join(said))))
    return found[1]


def push_latest(image: Local, uri: str, environment: Mapping[str, str]) -> None:
    """Have `latest` name it too; the tag before it is pushed by then."""
    try:
        push_tag(image, uri, LATEST, environment)
    except CannotPush as error:
        raise CannotPush(
            f"{error} (its other tag is pushed; make push again does the rest)"
        ) from error


def refusal(uri: str, tag: str, text: str) -> str:
    """A sentence for what the registry answered to a push."""
    host = uri.partition("/")[0]
    sentences: tuple[tuple[str, str], ...] = (
        (
            "immutable",
            f"{uri}:{tag} is another image, and that tag cannot be moved: TAG=<another> gives this "
            "one a name of its own",
        ),
        ("token has expired", "the login has expired meanwhile: make push again goes on"),
        (
            "denied|unauthorized|no basic auth|authentication required",
            f"{host} lets nobody push to {uri} with this login: docker login {host}, or "
            f"LOGIN=<user> and the password on standard input ({text})",
        ),
    )
    for pattern, sentence in sentences:
        if re.search(pattern, text, re.IGNORECASE):
            return sentence
    return f"{uri}:{tag} is not pushed, make push again goes on: {text}"


def last_line(text: str) -> str:
    """What a command said last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing was said why"
