"""Names of environment variables that a request may set for a program."""

import re

_RESERVED = re.compile(r"(AWS|S3)_.*")
_SECRET = re.compile(
    r".*(SECRET|PASSWORD|PASSWD|TOKEN|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL).*",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def variable_problem(name: str) -> str | None:
    """Why a request may not set a variable of that name, or None."""
    if not _VARIABLE.fullmatch(name):
        return f"{name!r} is no name of a variable"
    if _RESERVED.fullmatch(name):
        return f"{name} is reserved: names must not begin with AWS_ or S3_"
    if _SECRET.fullmatch(name):
        return f"{name} looks like a secret, and an environment is not secret"
    return None
