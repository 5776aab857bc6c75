"""What surrounds the embedded AWS: its directory's lock, its environment, its imports."""

import contextlib
import fcntl
import importlib.util
import os
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path


class DirectoryInUseError(RuntimeError):
    """Another embedded AWS holds the directory; the text names its process."""


@contextlib.contextmanager
def lock_of(directory: Path) -> Iterator[None]:
    """Hold the directory for this process. Raises DirectoryInUseError."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise DirectoryInUseError(
                f"{directory} is in use by the embedded AWS of process {lock.read().strip()}"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
        lock.truncate(0)


def worth_preloading() -> Iterator[str]:
    """What jobs and functions import, and what stays the same while the embedded AWS runs."""
    yield from ("boto3", "pydantic", "aws_lambda_powertools", "aws_lambda_powertools.metrics")
    yield from ("local.lambda_calls", "multiprocessing.connection", "worker.agent")
    core = importlib.util.find_spec("drydock")
    for module in pkgutil.iter_modules(core.submodule_search_locations if core else ()):
        yield f"drydock.{module.name}"


@contextlib.contextmanager
def environment(port: int, directory: Path) -> Iterator[None]:
    """The variables that this process itself lives with, put back at the end.

    moto's interpreter calls the other services at localhost:MOTO_PORT with clients of its own:
    nobody's profile, proxy or endpoint may get into them.
    """
    config = directory / "aws-config"
    config.write_text("[default]\ns3 =\n  addressing_style = path\n", encoding="utf-8")
    ours: dict[str, str | None] = {
        "MOTO_PORT": str(port),
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_PROFILE": None,
        "AWS_DEFAULT_PROFILE": None,
        "AWS_ENDPOINT_URL": None,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    before = {name: os.environ.get(name) for name in ours}
    _set(ours)
    try:
        yield
    finally:
        _set(before)


def profile(environment: Mapping[str, str]) -> str:
    """A configuration of the AWS CLI and SDKs with one profile, `embedded`, that leads here.

    https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html
    """
    names = {
        "AWS_DEFAULT_REGION": "region",
        "AWS_ENDPOINT_URL": "endpoint_url",
        "AWS_ACCESS_KEY_ID": "aws_access_key_id",
        "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    }
    lines = [f"{names[name]} = {value}" for name, value in environment.items()]
    return "\n".join(["[profile embedded]", *lines, ""])


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
