"""``drydock``: see ``drydock --help``."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import Progress, TaskID

from cli.begin import awaited
from cli.best import best_so_far
from cli.fetch import OtherRun, fetch, results_of
from cli.group import GroupRefused, checked_name, stack_of
from cli.jobdef import NoJobDefinition, job_definition
from cli.life import life_of
from cli.log_group import LogGroup, NoLogs
from cli.logs import LogView, Told, Wish
from cli.look import Doors, RunNotFound, find_run, look, status_of
from cli.say import say
from cli.stack import Stack, StackNotFound, embedded_stack, stack_on_aws
from cli.stop import StopRefused, stop_run
from cli.tell import told
from cli.watch import show, watched
from drydock.errors import DrydockError
from drydock.executions import Executions
from drydock.jobs import Jobs
from drydock.store import Store

# Also in docs/command_line.md. click itself ends with 2 when a command is used wrongly.
EXIT_ERROR, EXIT_USAGE, EXIT_NOT_DONE, EXIT_NOT_FOUND, EXIT_INTERRUPTED = 1, 2, 3, 4, 130
_ONLY = TaskID(0)
_CODES = (
    "Exit codes: 0 all is well (with --watch: every input is settled, the results are whole); "
    "1 AWS cannot be asked; 2 wrong usage; 3 the run has ended otherwise: inputs remain, or its "
    "execution failed; 4 there is no such stack, run, input or log; 130 interrupted."
)
_STACK = (
    "Which stack: drydock --stack NAME … (or DRYDOCK_STACK); of an embedded AWS "
    "drydock --embedded FOLDER … (or DRYDOCK_EMBEDDED)."
)
_RUN = (
    "RUN is a run's id (16 hex digits), its output (s3://bucket/prefix/) or the ARN of its "
    "execution."
)
_OF_STACK = f"{_STACK}\n\n{_CODES}"
_OF_RUN = f"{_RUN}\n\n{_OF_STACK}"
_OF_ALL = (
    f'{_RUN}\n\nCompletion: eval "$(_DRYDOCK_COMPLETE=bash_source drydock)", or zsh_source, '
    f"fish_source.\n\n{_CODES}"
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which stack a command is about; it is asked for when it is needed."""

    name: str
    embedded: Path | None

    def stack(self) -> Stack:
        """The stack.

        Raises:
            StackNotFound: there is none.
        """
        return stack_on_aws(self.name) if self.embedded is None else embedded_stack(self.embedded)


@click.group(epilog=_OF_ALL, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--stack",
    "name",
    default="drydock",
    envvar="DRYDOCK_STACK",
    show_default=True,
    help="The stack's name in CloudFormation.",
)
@click.option(
    "--embedded",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    envvar="DRYDOCK_EMBEDDED",
    help="The folder of an embedded AWS that runs (.drydock).",
)
@click.pass_context
def main(context: click.Context, name: str, embedded: Path | None) -> None:
    """How runs of drydock go: ask, stop them, read their logs, bring their results here.

    Everything is read from S3, AWS Batch, Step Functions and CloudWatch Logs when it is asked for.
    """
    context.obj = Chosen(name, embedded)


@main.command(epilog=_OF_RUN, short_help="How far a run has come.")
@click.argument("run")
@click.option(
    "--watch", is_flag=True, help="Stay, from before the run has begun until it has ended."
)
@click.option("--json", "as_json", is_flag=True, help="Plain data, for programs.")
@click.option(
    "--every",
    "every_s",
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(min=1),
    help="How often --watch looks.",
)
@click.pass_obj
def status(chosen: Chosen, run: str, *, watch: bool, as_json: bool, every_s: float) -> None:
    """How far RUN has come: what is settled, runs and remains, failures, pace, time left, spend.

    On a terminal --watch is a screen that lives; elsewhere it is a line a look.
    """
    doors = _doors(chosen)
    if watch:
        found = watched(
            doors, awaited(doors, run, time.sleep), every_s, time.sleep, as_json=as_json
        )
    else:
        found = look(doors, find_run(doors, run))
    if as_json:
        click.echo(json.dumps(found.as_json()))
    elif not watch or not Console().is_terminal:
        show(found, doors.now())
    if found.is_over and not found.is_done:
        sys.exit(EXIT_NOT_DONE)


@main.command(epilog=_OF_RUN, short_help="What happened to one input.")
@click.argument("run")
@click.argument("index", type=click.IntRange(min=0))
@click.pass_obj
def explain(chosen: Chosen, run: str, index: int) -> None:
    """The life of input INDEX of RUN: its parts, attempts, reasons, log streams and outputs.

    INDEX counts from 0 in the order of the manifest.
    """
    doors = _doors(chosen)
    for line in told(life_of(doors, find_run(doors, run), index)):
        say(line)


@main.command(epilog=_OF_RUN, short_help="What the containers of one input wrote.")
@click.argument("run")
@click.argument("index", type=click.IntRange(min=0))
@click.option("--round", "of_round", type=click.IntRange(min=0), help="Of this round alone.")
@click.option("--attempt", type=click.IntRange(min=1), help="Of a round this attempt alone.")
@click.option(
    "--tail", type=click.IntRange(min=1), metavar="LINES", help="Of each attempt the last lines."
)
@click.option("-t", "--timestamps", is_flag=True, help="Begin each line with its time (UTC).")
@click.option(
    "-f", "--follow", is_flag=True, help="Go on with what comes, until the input is settled."
)
@click.pass_obj
def logs(
    chosen: Chosen,
    run: str,
    index: int,
    *,
    of_round: int | None,
    attempt: int | None,
    tail: int | None,
    timestamps: bool,
    follow: bool,
) -> None:
    """What the containers of input INDEX of RUN wrote: all attempts of all rounds, oldest first.

    Lines of the logs go to standard output; which attempt they are of, and what there is no log
    of, to standard error. INDEX counts from 0 in the order of the manifest, rounds from 0 and
    attempts from 1, as drydock explain shows them. A container that works through a pack of inputs
    has one log for all of them.
    """
    doors = _doors(chosen)
    view = LogView(
        doors,
        LogGroup(doors.stack.worker_log_group),
        find_run(doors, run),
        index,
        Wish(of_round, attempt, tail, timestamps),
        Told(say, lambda text: say(text, err=True)),
    )
    if not (view.follow(time.sleep) if follow else view.show()):
        sys.exit(EXIT_NOT_FOUND)


@main.command(epilog=_OF_RUN, short_help="The best molecules so far.")
@click.argument("run")
@click.option(
    "-n",
    "--count",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many molecules.",
)
@click.option("--json", "as_json", is_flag=True, help="Plain data, for programs.")
@click.pass_obj
def top(chosen: Chosen, run: str, *, count: int, as_json: bool) -> None:
    """The best molecules of RUN so far, lowest scores first."""
    doors = _doors(chosen)
    run_id = find_run(doors, run)
    with _bar("shards") as bar:
        best = best_so_far(
            doors, run_id, count, lambda read, of: bar.update(_ONLY, completed=read, total=of)
        )
    if best.sure is not None:
        say(
            f"drydock: only the best {best.sure:,} are sure: the run keeps so many of a shard "
            "(its keep_top)",
            err=True,
        )
    if as_json:
        click.echo(json.dumps([asdict(found) for found in best.molecules]))
        return
    for rank, found in enumerate(best.molecules, 1):
        where = "" if found.index is None else f"  input {found.index}"
        say(f"{rank:>4}  {found.score:>9.3f}  {found.molecule_id}{where}")
    if not best.molecules:
        click.echo("no molecule has a score yet")
    if best.by_input:
        click.echo(
            f"of {best.by_input:,} inputs in shards that are not complete the best molecule each"
        )


@main.command(epilog=_OF_RUN, short_help="Bring the results here.")
@click.argument("run")
@click.option(
    "--to",
    "folder",
    default="results",
    show_default=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to; files that are there as they are in S3 stay.",
)
@click.pass_obj
def results(chosen: Chosen, run: str, *, folder: Path) -> None:
    """Bring the results of RUN here: best molecules, poses, scores, failures, accounting."""
    doors = _doors(chosen)
    run_id = find_run(doors, run)
    size_bytes = sum(found.size for found in results_of(doors, run_id)[2])
    with _bar("bytes") as bar:
        bar.update(_ONLY, total=size_bytes)
        fetched = fetch(doors, run_id, folder, lambda size: bar.advance(_ONLY, size))
    if not fetched.brought and not fetched.kept:
        click.echo(f"run {run_id} has no results yet")
        return
    click.echo(
        f"{fetched.brought:,} files of {fetched.size_bytes:,} bytes brought to {folder}, "
        f"{fetched.kept:,} were there"
        + (f", {fetched.removed:,} that are results no more removed" if fetched.removed else "")
    )


def _bar(what: str) -> Progress:
    """A progress bar on standard error, gone once it is full; none where nobody watches."""
    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    bar.add_task(what, total=None)
    return bar


@main.command(epilog=_OF_RUN, short_help="Stop a run.")
@click.argument("run")
@click.option("--now", is_flag=True, help="Also end what runs; it saves what it has.")
@click.pass_obj
def stop(chosen: Chosen, run: str, *, now: bool) -> None:
    """Stop RUN: nothing new begins, and what runs finishes its input.

    What was settled so far is collected into the results, and the same request goes on with the
    rest when it is started again.
    """
    doors = _doors(chosen)
    run_id = find_run(doors, run)
    if status_of(doors, run_id) != "RUNNING":
        click.echo(f"run {run_id} has ended: there is nothing to stop")
        return
    stop_run(doors.stack, run_id, now=now)
    click.echo(f"run {run_id} is stopped; drydock status {run_id} --watch shows it end")


@main.command(epilog=_OF_STACK, short_help="Print a job definition to edit.")
@click.option("--group", envvar="DRYDOCK_GROUP", help="The stack of that group (make group).")
@click.pass_obj
def jobdef(chosen: Chosen, group: str | None) -> None:
    """Print a job definition to edit, for jobs submitted by hand to the stack's queues."""
    if group:
        chosen = Chosen(stack_of(checked_name(group)), chosen.embedded)
    definition = job_definition(chosen.stack())
    click.echo(json.dumps(definition, indent=2))
    click.echo(
        f"drydock: {definition['jobDefinitionName']}: edit image, command, environment, memory and "
        "vcpus, then: aws batch register-job-definition --cli-input-json file://jobdef.json",
        err=True,
    )


def _doors(chosen: Chosen) -> Doors:
    stack = chosen.stack()
    return Doors(stack, Store.connect(), Jobs(), Executions(), time.time)


def run() -> None:
    """The program: errors become a sentence and an exit code."""
    try:
        sys.exit(main(prog_name="drydock", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read has enough; Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_ERROR)
    except (GroupRefused, OtherRun) as error:
        say(f"drydock: {error}", err=True)
        sys.exit(EXIT_USAGE)
    except (StackNotFound, RunNotFound) as error:
        say(f"drydock: {error}", err=True)
        sys.exit(EXIT_NOT_FOUND)
    except (
        DrydockError,
        BotoCoreError,
        ClientError,
        StopRefused,
        NoLogs,
        NoJobDefinition,
        OSError,
    ) as error:
        say(f"drydock: {error}", err=True)
        sys.exit(EXIT_ERROR)


if __name__ == "__main__":
    run()
