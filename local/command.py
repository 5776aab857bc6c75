"""The command line of the embedded AWS.

exit codes: 0 the run is done and every input is accounted for; 1 it is not; 2 the request was
refused, or the command line is wrong; 3 the run could not be started; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from drydock.request import request_schema
from local import history
from local.docker import DockerError
from local.run import CANNOT_START, DIRECTORY, INTERRUPTED, CannotStart, Options, run
from local.serve import Serving, serve
from local.surroundings import DirectoryInUseError


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return its exit code."""
    options = _parser().parse_args(arguments)
    console = Console()
    if options.command == "schema":
        print(json.dumps(request_schema(), indent=2))
        return 0
    if options.command == "history":
        return _history(options.directory, options.execution, console)
    if options.command == "serve":
        return _serve(
            Serving(options.directory, options.port, options.listen, options.runs), console
        )
    chosen = Options(options.request, options.directory, options.reclaim, options.containers)
    return _run(chosen, console)


def _prepare(directory: Path) -> None:
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    directory.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=directory / "embedded.log",
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        level=logging.WARNING,
    )


def _serve(serving: Serving, console: Console) -> int:
    _prepare(serving.directory)
    try:
        serve(serving, console)
    except (DirectoryInUseError, DockerError, OSError) as error:
        console.print(f"drydock: {error}", highlight=False, markup=False, soft_wrap=True)
        return CANNOT_START
    except KeyboardInterrupt:
        return 0


def _run(options: Options, console: Console) -> int:
    _prepare(options.directory)
    try:
        return run(options, console)
    except CannotStart as error:
        console.print(f"drydock: {error}", highlight=False, markup=False, soft_wrap=True)
        return CANNOT_START
    except KeyboardInterrupt:
        console.print("Stopped. make run goes on where it stopped.", highlight=False)
        return INTERRUPTED


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does: everything that was started is ended first."""
    raise KeyboardInterrupt


def _history(directory: Path, execution: str | None, console: Console) -> int:
    try:
        path = history.find_history(directory / "history", execution)
    except history.NoHistory as error:
        console.print(f"drydock: {error}", highlight=False, markup=False, soft_wrap=True)
        return 1
    history.show_history(path, console)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run a request on the embedded AWS")
    running.add_argument("--request", type=Path, default=Path("examples/vina/run.json"))
    running.add_argument("--directory", type=Path, default=DIRECTORY)
    running.add_argument(
        "--no-reclaim",
        dest="reclaim",
        action="store_false",
        help="let all machines live (else one is taken away in the middle)",
    )
    running.add_argument(
        "--containers",
        metavar="IMAGE",
        default="",
        help="run functions by sam local and jobs in Docker, the stack's in this image",
    )
    serving = commands.add_parser(
        "serve", help="the embedded AWS, until Ctrl-C: for sam local, or for runs"
    )
    serving.add_argument("--directory", type=Path, default=DIRECTORY / "local-aws")
    serving.add_argument("--port", type=int, default=0, help="else a free one")
    serving.add_argument(
        "--listen",
        action="append",
        metavar="ADDRESS",
        help="listen there too; else on Docker's bridge, where containers look for this machine",
    )
    serving.add_argument(
        "--runs",
        action="store_true",
        help="do the runs that are uploaded or started, for any client; no Docker is asked",
    )
    showing = commands.add_parser("history", help="what an execution did, step by step")
    showing.add_argument("execution", nargs="?", help="its name or how that begins; else the last")
    showing.add_argument("--directory", type=Path, default=DIRECTORY)
    commands.add_parser("schema", help="the JSON Schema of a run request")
    return parser
