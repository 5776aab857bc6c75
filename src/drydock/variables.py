"""Names of environment variables that a request may set for a program."""

import re

_RESERVED = re.compile(r"(AWS|S3)_.*")
_SECRET = re.compile(
    r".*(SECRET|PASSWORD|PASSWD|TOKEN|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL).*",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# What a container of ours is given anyway: ECS takes no secret of the same name.
_OWN = {"SHRTCACHE", "NO_ACCESS_KEY", "ATTEMPT_SECONDS"}


def secret_problem(name: str) -> str | None:
    """Why a request may not give a secret that name, or None."""
    if not _VARIABLE.fullmatch(name):
        return f"{name!r} is no name of a variable"
    if _RESERVED.fullmatch(name):
        return f"{name} is reserved: names must not begin with AWS_ or S3_"
    if name in _OWN:
        return f"{name} is reserved: the worker's own variables are named so"
    return None


def variable_problem(name: str) -> str | None:
    """Why a request may not set a variable of that name, or None."""
    if not _VARIABLE.fullmatch(name):
        return f"{name!r} is no name of a variable"
    if _RESERVED.fullmatch(name):
        return f"{name} is reserved: names must not begin with AWS_ or S3_"
    if _SECRET.fullmatch(name):
        return f"{name} looks like a secret, and an environment is not secret: use secrets"
    return None
