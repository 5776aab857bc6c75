"""`make local-aws`: the embedded AWS in the foreground, for `sam local invoke` to call."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from local.deploy import STACK_IMAGE, deploy
from local.docker import bridge_addresses
from local.embedded import EmbeddedAws
from local.sam import VARIABLES, write_variables
from local.sample import REGION, ROOT, Sample


@dataclass(frozen=True)
class Serving:
    """What the command line asks for; `listen` is None where Docker is to be asked."""

    directory: Path
    port: int
    listen: Sequence[str] | None


def serve(serving: Serving, console: Console) -> NoReturn:
    """Serve until interrupted.

    Raises:
        KeyboardInterrupt: that is its end.
        DirectoryInUseError: another embedded AWS works in the directory.
        OSError: the port is taken.
        DockerError: Docker is to be asked where containers look for this machine, and is not there.
    """
    os.environ["AWS_DEFAULT_REGION"] = REGION
    addresses = bridge_addresses() if serving.listen is None else serving.listen
    with contextlib.ExitStack() as closing:
        aws = closing.enter_context(
            EmbeddedAws(
                serving.directory, port=serving.port, also=addresses, stack_image=STACK_IMAGE
            )
        )
        stack = deploy(aws, ROOT / "template.yaml")
        Sample(aws, stack).lay()
        variables = serving.directory / VARIABLES
        write_variables(aws, variables)
        # Without it sam says that there is none, which is what there is to say.
        closing.callback(variables.unlink)
        reached = ", ".join(addresses) or "the loopback address"
        for line in (
            f"The stack of template.yaml is deployed to {aws.endpoint_url}, in {REGION}",
            f"What it keeps in S3 lies in {serving.directory / 's3'}",
            f"{variables} tells sam local where it is; containers reach it at {reached}",
            "The run that events/ speaks of can begin. Until Ctrl-C, in another terminal:",
            "  sam local invoke EnumerateInputsFunction -e events/enumerate_inputs.json",
        ):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        while True:
            signal.pause()
