"""What the Lambda runner and its processes say to each other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Setup:
    """What the process must know before the first call; `paths` go before everything else."""

    name: str
    arn: str
    handler: str
    paths: tuple[str, ...]
    memory_mib: int


@dataclass(frozen=True)
class Call:
    """One invocation; `deadline_s` is in seconds since 1970."""

    request_id: str
    payload: bytes
    deadline_s: float


@dataclass(frozen=True)
class Reply:
    """What the handler returned, or the error's document with `failed`."""

    payload: bytes
    failed: bool
