"""`make local-aws`: the embedded AWS in the foreground, for others to call.

For `sam local invoke`, whose run waits for whoever calls its functions; or for clients of S3, Step
Functions and Batch, whose runs it does itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from local.deploy import STACK_IMAGE, deploy
from local.docker import bridge_addresses
from local.embedded import EmbeddedAws
from local.sam import VARIABLES, write_variables
from local.sample import REGION, ROOT, Sample

if TYPE_CHECKING:
    from rich.console import Console

    from local.deploy import Stack


@dataclass(frozen=True)
class Serving:
    """What the command line asks for; `runs`: it does the runs itself, and no container calls it.

    `listen` is None where Docker is to be asked.
    """

    directory: Path
    port: int
    listen: Sequence[str] | None
    runs: bool = False


def serve(serving: Serving, console: Console) -> NoReturn:
    """Serve until interrupted.

    Raises:
        KeyboardInterrupt: that is its end.
        DirectoryInUseError: another embedded AWS works in the directory.
        OSError: the port is taken.
        DockerError: Docker is to be asked where containers look for this machine, and is not there.
    """
    os.environ["AWS_DEFAULT_REGION"] = REGION
    asks_docker = serving.listen is None and not serving.runs
    addresses = bridge_addresses() if asks_docker else serving.listen or ()
    with contextlib.ExitStack() as closing:
        aws = closing.enter_context(
            EmbeddedAws(
                serving.directory, port=serving.port, also=addresses, stack_image=STACK_IMAGE
            )
        )
        stack = deploy(aws, ROOT / "template.yaml")
        lines = [
            f"The stack of template.yaml is deployed to {aws.endpoint_url}, in {REGION}",
            f"What it keeps in S3 lies in {serving.directory / 's3'}",
        ]
        if serving.runs:
            lines.append("It does what is uploaded to drydock-intake or started, until Ctrl-C")
        else:
            variables = _lay_sample(serving.directory, aws, stack)
            # Without it sam says that there is none, which is what there is to say.
            closing.callback(variables.unlink)
            reached = ", ".join(addresses) or "the loopback address"
            lines += [
                f"{variables} tells sam local where it is; containers reach it at {reached}",
                "The run that events/ speaks of can begin. Until Ctrl-C, in another terminal:",
                "  sam local invoke EnumerateInputsFunction -e events/enumerate_inputs.json",
            ]
        for line in lines:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        while True:
            signal.pause()


def _lay_sample(directory: Path, aws: EmbeddedAws, stack: Stack) -> Path:
    """Put the run of events/ there, and what `sam local` is told; where that lies."""
    Sample(aws, stack).lay()
    variables = directory / VARIABLES
    write_variables(aws, variables)
    return variables
