"""`make run`: the whole story of one run on the embedded AWS, from the upload to the results."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from drydock.errors import InvalidUri, NotFound
from drydock.keys import INTAKE_REJECTED_SUFFIX
from drydock.plain import plain
from drydock.store import Store
from drydock.uris import parse_s3_uri
from local.deploy import STACK_IMAGE, Stack, deploy
from local.docker import DockerError, bridge_addresses
from local.embedded import DirectoryInUseError, EmbeddedAws
from local.follow import Child, Execution, Snapshot
from local.history import save_history, warnings_of
from local.progress import ProgressLine
from local.report import Report
from local.s3_paths import relative_path
from local.sam import VARIABLES, SamError, StartLambda, write_variables

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

DONE, NOT_DONE, REJECTED, CANNOT_START, INTERRUPTED = 0, 1, 2, 3, 130

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = Path(".drydock")
"""Where a run is kept when nobody says otherwise."""
LOOK_EVERY_S = 0.25
START_PATIENCE_S = 60.0
# The worker looks for the notice every two seconds; EC2 gives two minutes, here time is short.
NOTICE_S = 5.0
MACHINES = 2


class CannotStart(Exception):
    """Raised when the run cannot even be asked for."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    request: Path
    directory: Path
    reclaim: bool = True
    worker_image: str = ""
    """Where it is given, functions and jobs run in containers; else as processes."""


def run(options: Options, console: Console) -> int:
    """Do one run; return the exit code of the command.

    Raises:
        CannotStart: no such request, or another one works in the directory.
    """
    if not options.request.is_file():
        raise CannotStart(f"{options.request} is no file; REQUEST must name a run request")
    began = time.monotonic()
    console.print(f"Starting the embedded AWS in {options.directory}", highlight=False)
    with contextlib.ExitStack() as closing:
        aws = closing.enter_context(_embedded_aws(options))
        stack = deploy(aws, ROOT / "template.yaml")
        console.print(
            f"The stack of template.yaml is deployed to {aws.endpoint_url} "
            f"({time.monotonic() - began:.1f} s)",
            highlight=False,
            soft_wrap=True,
        )
        if options.worker_image:
            closing.enter_context(contextlib.closing(_functions_in_containers(aws)))
            console.print(
                f"Functions run in Lambda's image by sam local, jobs in {options.worker_image} "
                f"({time.monotonic() - began:.1f} s)",
                highlight=False,
                soft_wrap=True,
            )
        # What was imported stays: it need not be looked through again.
        gc.freeze()
        gc.enable()
        return _Story(options, console, aws, stack).tell()


def _embedded_aws(options: Options) -> EmbeddedAws:
    """Two machines that have this one's cores between them."""
    vcpus = max(1, (os.cpu_count() or 1) // MACHINES)
    try:
        return EmbeddedAws(
            options.directory,
            also=bridge_addresses() if options.worker_image else (),
            machines=MACHINES,
            vcpus=vcpus,
            stack_image=STACK_IMAGE,
            worker_image=options.worker_image,
        )
    except DirectoryInUseError as error:
        raise CannotStart(f"{error}; wait for it, or give another DIRECTORY") from error
    except DockerError as error:
        raise CannotStart(str(error)) from error


def _functions_in_containers(aws: EmbeddedAws) -> StartLambda:
    """From now on `sam local` runs what it was that `sam build` made."""
    variables = aws.directory / VARIABLES
    write_variables(aws, variables)
    try:
        functions = StartLambda(variables, aws.region, aws.directory / "logs" / "sam.log")
    except SamError as error:
        raise CannotStart(str(error)) from error
    aws.lambdas.run_elsewhere(functions.call)
    return functions


class _Story:
    """The steps of one run, in order."""

    def __init__(self, options: Options, console: Console, aws: EmbeddedAws, stack: Stack) -> None:
        self._options = options
        self._console = console
        self._aws = aws
        self._stack = stack
        self._store = Store(aws.client("s3"), None)
        self._states: SFNClient = aws.client("stepfunctions")
        self._rejected_key = options.request.name + INTAKE_REJECTED_SUFFIX
        self._reclaimed: set[str] = set()

    def tell(self) -> int:
        """Upload, follow, report."""
        self._upload_neighbours()
        execution = self._start()
        with ProgressLine(self._console) as line:
            last = self._follow(execution, line)
        saved = save_history(self._states, execution.arn, self._options.directory / "history")
        code = self._report(execution, last)
        command = "make history"
        if self._options.directory != DIRECTORY:
            command += f" DIRECTORY={self._options.directory}"
        self._say(f"The execution, step by step: {command}    ({saved})")
        return code

    def _upload_neighbours(self) -> None:
        """Put what lies beside the request where the request names it.

        `inputs/`, or a file named like the last part of its `input`, goes there, and a file or
        folder named like an asset's last part to that asset. What is there already with the same
        content is left alone, so that a rerun finds the inputs unchanged.
        """
        beside = self._options.request.parent
        uploaded = 0
        for source, uri in _neighbours(beside, _loosely(self._options.request)):
            with contextlib.suppress(InvalidUri):
                uploaded += self._put_tree(source, uri)
        if uploaded:
            self._say(f"Uploaded {uploaded} files from {beside}")

    def _put_tree(self, source: Path, uri: str) -> int:
        target, count = parse_s3_uri(uri), 0
        if target.bucket not in self._stack.data_buckets:
            return 0
        files = sorted(path for path in source.rglob("*") if path.is_file())
        for path in files if source.is_dir() else [source]:
            key = target.key
            if source.is_dir():
                key = f"{target.folder().key}{path.relative_to(source).as_posix()}"
            body = path.read_bytes()
            try:
                if self._store.get(target.bucket, key).body == body:
                    continue
            except NotFound:
                pass
            self._store.put(target.bucket, key, body)
            count += 1
        return count

    def _start(self) -> Execution:
        """Upload the request; the upload starts the state machine through EventBridge."""
        key, bucket = self._options.request.name, self._stack.intake_bucket
        self._store.delete(bucket, self._rejected_key)
        self._store.put(bucket, key, self._options.request.read_bytes())
        self._say(f"Uploaded {self._options.request} as s3://{bucket}/{key}, which starts the run")
        deadline = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < deadline:
            page = self._states.list_executions(stateMachineArn=self._stack.state_machine_arn)
            if page["executions"]:
                return Execution(
                    store=self._store,
                    batch=self._aws.client("batch"),
                    states=self._states,
                    control_bucket=self._stack.control_bucket,
                    arn=page["executions"][0]["executionArn"],
                )
            time.sleep(LOOK_EVERY_S / 5)
        raise CannotStart("the upload started no execution")

    def _follow(self, execution: Execution, line: ProgressLine) -> Snapshot:
        """Show how it goes until it ends; take a machine away once, in the middle."""
        reclaim, has_begun = self._options.reclaim, False
        while True:
            began = time.monotonic()
            snapshot = execution.look()
            line.show(snapshot)
            if not has_begun and snapshot.inputs is not None:
                has_begun = True
                line.say(_what_runs(execution))
                for warning in warnings_of(self._states, execution.arn):
                    line.say(warning)
            if snapshot.status != "RUNNING":
                return snapshot
            machine = _to_reclaim(snapshot, execution.is_at_work) if reclaim else None
            if machine is not None:
                self._aws.batch.reclaim(machine, notice_s=NOTICE_S)
                self._reclaimed.add(machine)
                line.say(f"Reclaiming machine {machine}: Spot notice now, gone in {NOTICE_S:.0f} s")
                reclaim = False
            # Looking costs the machine that docks: at most a fifth of its time.
            wait_until = time.monotonic() + max(LOOK_EVERY_S, 4 * (time.monotonic() - began))
            while time.monotonic() < wait_until and execution.describe()["status"] == "RUNNING":
                time.sleep(LOOK_EVERY_S / 5)

    def _report(self, execution: Execution, last: Snapshot) -> int:
        run = execution.run()
        if run is None:
            return self._refused(execution)
        report = Report(
            console=self._console,
            store=self._store,
            control_bucket=self._stack.control_bucket,
            run=run,
        )
        report.best()
        if last.children:
            report.interruptions(execution, last.children, self._reclaimed)
        elif last.inputs is not None and last.settled == last.inputs:
            self._say("Everything was settled already: nothing was submitted")
        report.failures()
        folder = f"{run.output_bucket}/{relative_path(run.output_prefix.rstrip('/'))}/results"
        results = self._options.directory / "s3" / folder
        self._say(f"The results: {results}")
        if (results / "report.html").is_file():
            self._say(f"To open in a browser: {results / 'report.html'}")
        return self._verdict(report, execution, last)

    def _verdict(self, report: Report, execution: Execution, last: Snapshot) -> int:
        account = report.account(last.inputs or 0)
        if account is not None:
            self._say(f"The accounting: {account.in_words()}")
        if last.status != "SUCCEEDED":
            self._say(f"The run is not done: its execution {last.status} ({_why(execution)})")
            return NOT_DONE
        if account is None or not account.adds_up():
            self._say("The accounting does not add up")
            return NOT_DONE
        return DONE

    def _refused(self, execution: Execution) -> int:
        """Tell what the uploader is told."""
        try:
            body = self._store.get(self._stack.intake_bucket, self._rejected_key).body
        except NotFound:
            self._say(f"The run did not begin: {_why(execution)}")
            return NOT_DONE
        self._say(
            f"The request was refused (s3://{self._stack.intake_bucket}/{self._rejected_key}):"
        )
        for problem in json.loads(body)["problems"]:
            self._say(f"  - {problem}")
        return REJECTED

    def _say(self, text: str) -> None:
        self._console.print(plain(text), highlight=False, markup=False, soft_wrap=True)


def _what_runs(execution: Execution) -> str:
    """The image by its digest, and the tag that it was found by."""
    run = execution.run()
    if run is None:
        return "The run has no image"
    asked = run.current.request["image"] or STACK_IMAGE
    return f"Every job of it runs {run.current.image} ({asked.rpartition('/')[2]})"


def _why(execution: Execution) -> str:
    """Error and cause of an execution; of a function's exception, the message alone."""
    described = execution.describe()
    cause = str(described.get("cause", ""))
    with contextlib.suppress(ValueError, KeyError, TypeError):
        cause = json.loads(cause)["errorMessage"]
    return f"{described.get('error')}: {cause}"


def _loosely(path: Path) -> dict[str, Any]:
    """A request's fields for what lies beside it; whether it is one, the service says."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _neighbours(beside: Path, request: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """What lies beside a request and the URI that the request has for it."""
    assets = request.get("assets")
    named = {"dockfiles": request.get("dockfiles")}
    given = str(request.get("input")).rpartition("/")[2]
    named[given if (beside / given).is_file() else "inputs"] = request.get("input")
    for uri in assets.values() if isinstance(assets, dict) else ():
        named[str(uri).rstrip("/").rpartition("/")[2]] = uri
    for name, uri in named.items():
        if name and isinstance(uri, str) and (beside / name).exists():
            yield beside / name, uri


def _to_reclaim(snapshot: Snapshot, is_at_work: Callable[[Child], bool]) -> str | None:
    """The machine to take away so that it shows something: work is done, more is in flight on each,
    and this one's container is at it longest, the first of those with something left to do.
    """
    if not snapshot.settled or len(snapshot.machines) < MACHINES:
        return None
    running = sorted(snapshot.running, key=lambda child: (child.shard, child.index))
    return next((child.machine for child in running if is_at_work(child)), None)
