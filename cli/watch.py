"""Shows a run's progress, once or until the run has ended."""

from __future__ import annotations

import json
from collections.abc import Callable

import click
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    LoginError,
    NoCredentialsError,
    PartialCredentialsError,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
)
from rich.console import Console
from rich.live import Live

from cli.look import Doors, look
from cli.progress import RunProgress
from cli.say import say
from cli.show import lines, screen
from drydock.errors import ServiceUnavailable, StoreUnavailable

# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html, and what single services
# and S3 (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html) say instead.
_REFUSALS = {
    *("AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"),
    *("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"),
    *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure"),
    *("InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature"),
    *("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
}
_NO_CREDENTIALS = (
    CredentialRetrievalError,
    LoginError,
    NoCredentialsError,
    PartialCredentialsError,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
)


def show(run: RunProgress, now: float) -> None:
    """On a terminal as a screen, elsewhere as plain lines."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(screen(run, now))
    else:
        for line in lines(run, now):
            say(line)


def watched(
    doors: Doors, run_id: str, every_s: float, sleep: Callable[[float], None], *, as_json: bool
) -> RunProgress:
    """Look again and again until the run has ended; ``every_s`` seconds lie between.

    Raises:
        RunNotFound: there is no such run in this stack.
        StoreUnavailable: S3 refuses the caller, which no waiting cures.
        ServiceUnavailable: another service does.
    """
    console = Console(highlight=False)
    if as_json or not console.is_terminal:
        return _until_over(doors, run_id, every_s, sleep, lambda run: _line(run, as_json=as_json))
    with Live(console=console, auto_refresh=False) as live:
        return _until_over(
            doors,
            run_id,
            every_s,
            sleep,
            lambda run: live.update(screen(run, doors.now()), refresh=True),
        )


def _line(run: RunProgress, *, as_json: bool) -> None:
    if not run.is_over:
        settled, inputs = run.total("settled"), run.total("inputs")
        text = f"{settled:,} of {inputs:,} settled, {run.total('running'):,} running"
        click.echo(json.dumps(run.as_json()) if as_json else text)


def _until_over(
    doors: Doors,
    run_id: str,
    every_s: float,
    sleep: Callable[[float], None],
    told: Callable[[RunProgress], None],
) -> RunProgress:
    while True:
        try:
            found = look(doors, run_id)
        except (StoreUnavailable, ServiceUnavailable) as error:
            if _is_refused(error.__cause__):
                raise
            # A watch of days outlives an outage of minutes.
            say(f"drydock: {error}; asking again in {every_s:g} s", err=True)
            sleep(every_s)
            continue
        told(found)
        if found.is_over:
            return found
        sleep(every_s)


def _is_refused(cause: BaseException | None) -> bool:
    """Whether AWS does not serve this caller, whose credentials are at fault or lack leave."""
    if isinstance(cause, ClientError):
        return cause.response.get("Error", {}).get("Code") in _REFUSALS
    return isinstance(cause, _NO_CREDENTIALS)
