"""AWS Batch as boto3 sees it: the REST-JSON API over registry and scheduler."""

import json
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from botocore.validate import ParamValidator
from werkzeug.wrappers import Request, Response

from local.batch.containers import ProcessLauncher
from local.batch.events import Publisher
from local.batch.launching import Launcher
from local.batch.listing import list_jobs
from local.batch.logs import ContainerLogs
from local.batch.machines import Fleet, Imds, Machine
from local.batch.model import Job
from local.batch.registry import Registry
from local.batch.scheduler import Scheduler
from local.batch.submission import make_job
from local.batch.validation import RefusedError, check_reason, check_request_size
from local.processes import WarmProcesses

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from botocore.model import Shape

MAX_DESCRIBED = 100
MAX_ENDED = 50
_log = logging.getLogger(__name__)


class Batch:
    """The embedded AWS Batch: a WSGI app for boto3's batch client.

    `directory` takes logs, scratch and volumes; `vcpus` is what each of the `machines` offers.
    `emit` is called with each EventBridge event, in order, on a thread that is there for it.
    `imds` is the WSGI app to be mounted at `<endpoint>/imds`; `logs` are what containers write.
    Jobs run as processes, unless another `launcher` is given; `preload` are further modules that
    they import and that do not change while this runs.
    """

    def __init__(  # noqa: PLR0913 - keywords, one for each thing the embedded AWS decides
        self,
        *,
        directory: Path,
        emit: Callable[[dict[str, Any]], None],
        endpoint_url: Callable[[], str],
        region: str,
        account: str,
        stack_image: Callable[[], str] | str,
        vcpus: int,
        machines: int = 2,
        preload: Sequence[str] = (),
        launcher: Launcher | None = None,
    ) -> None:
        self._registry = Registry(region, account)
        self._fleet = Fleet(directory / "machines", machines=machines, vcpus=vcpus)
        self._publisher = Publisher(emit, region, account)
        self._launcher: Launcher = launcher or ProcessLauncher(
            directory=directory,
            processes=WarmProcesses(preload),
            endpoint_url=endpoint_url,
            region=region,
            stack_image=stack_image if callable(stack_image) else lambda: stack_image,
        )
        # Jobs end with the embedded AWS that ran them: one that died could not tidy up.
        self._launcher.clean_all()
        self.logs = ContainerLogs(directory)
        self._scheduler = Scheduler(
            fleet=self._fleet,
            publisher=self._publisher,
            launcher=self._launcher,
            logs=self.logs,
        )
        self.imds = Imds(self._fleet)
        self._service = botocore.session.get_session().get_service_model("batch")
        self._operations = _operations(self, self._registry)
        self._routes = {
            self._service.operation_model(name).http["requestUri"]: name
            for name in self._operations
        }

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answers one request of a boto3 client."""
        return self._answer(Request(environ))(environ, start_response)

    def machines(self) -> list[Machine]:
        """The machines there are now."""
        with self._scheduler.lock:
            return list(self._fleet.machines)

    def reclaim(self, machine_id: str, notice_s: float) -> None:
        """Takes a machine away, as Spot does, `notice_s` seconds after saying so.

        Raises KeyError when there is no such machine.
        """
        with self._scheduler.lock:
            machine = self._fleet.find(machine_id)
            if machine is None:
                raise KeyError(machine_id)
            self._scheduler.reclaim(machine, notice_s)

    def running(self) -> int:
        """How many containers run now."""
        with self._scheduler.lock:
            return len(self._scheduler.running)

    def counts(self) -> dict[str, int]:
        """How many jobs there are by status, arrays counted by their children."""
        with self._scheduler.lock:
            jobs = self._scheduler.jobs.values()
            return dict(Counter(job.status for job in jobs if not job.children))

    def close(self) -> None:
        """Kills all that runs and emits nothing more; of files only the logs stay."""
        self._scheduler.close()
        self._launcher.close()
        self._publisher.close()
        self._launcher.clean_all()

    # -- operations

    def submit_job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """SubmitJob."""
        job = make_job(request, self._registry)
        self._scheduler.submit(job)
        return {"jobArn": job.arn, "jobName": job.spec.name, "jobId": job.id}

    def describe_jobs(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeJobs: unknown ids are left out, as AWS does."""
        ids = request["jobs"]
        if len(ids) > MAX_DESCRIBED:
            raise RefusedError(f"Jobs list must have at most {MAX_DESCRIBED} items, got {len(ids)}")
        jobs = self._scheduler.jobs
        return {"jobs": [jobs[each].detail() for each in ids if each in jobs]}

    def list_jobs(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """ListJobs."""
        return list_jobs(request, self._scheduler.jobs, self._registry)

    def cancel_job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """CancelJob; a job that is unknown here is ignored."""
        check_reason(request["reason"])
        if job := self._scheduler.jobs.get(request["jobId"]):
            self._scheduler.cancel(job, request["reason"])
        return {}

    def terminate_job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """TerminateJob; likewise."""
        check_reason(request["reason"])
        if job := self._scheduler.jobs.get(request["jobId"]):
            self._scheduler.terminate(job, request["reason"])
        return {}

    def cancel_jobs(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """CancelJobs: up to 50 at once; unknown ones count as successful, as AWS says."""
        return self._end_all(request, self._scheduler.cancel)

    def terminate_jobs(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """TerminateJobs; likewise."""
        return self._end_all(request, self._scheduler.terminate)

    def _end_all(
        self, request: Mapping[str, Any], end: Callable[[Job, str], None]
    ) -> dict[str, Any]:
        ids = request["jobs"]
        if not 1 <= len(ids) <= MAX_ENDED:
            raise RefusedError(f"Jobs list must have 1 to {MAX_ENDED} items, got {len(ids)}")
        check_reason(request["reason"])
        for each in ids:
            if job := self._scheduler.jobs.get(each):
                end(job, request["reason"])
        return {"successful": list(ids), "errors": []}

    def create_job_queue(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """CreateJobQueue."""
        answer = self._registry.create_queue(request)
        self._scheduler.add_queue(self._registry.queue(answer["jobQueueName"]))
        return answer

    # -- the protocol

    def _answer(self, request: Request) -> Response:
        try:
            answer = self._operate(request)
        except RefusedError as error:
            message = f"Error executing request, Exception : {error}, RequestId: {uuid.uuid4()}"
            return _failure(400, "ClientException", message)
        except Exception:  # noqa: BLE001 - a fault of ours must reach the caller as AWS's 500
            _log.exception("the embedded Batch failed")
            return _failure(500, "ServerException", "The embedded Batch failed: see its log")
        return Response(json.dumps(answer), mimetype="application/json")

    def _operate(self, request: Request) -> dict[str, Any]:
        name = self._routes.get(request.path)
        if name is None or request.method != "POST":
            raise RefusedError(f"The embedded Batch has no {request.method} {request.path}")
        body = request.get_data()
        if name == "SubmitJob":
            check_request_size(body)
        parsed = self._parsed(name, body)
        with self._scheduler.lock:
            return self._operations[name](parsed)

    def _parsed(self, name: str, body: bytes) -> dict[str, Any]:
        """The request, checked against botocore's own model of the operation."""
        try:
            request = json.loads(body or b"{}")
        except ValueError as error:
            raise RefusedError(f"The request is no JSON: {error}") from error
        shape = self._service.operation_model(name).input_shape
        report = ParamValidator().validate(request, cast("Shape", shape))
        if report.has_errors():
            raise RefusedError(report.generate_report())
        return dict(request)


def _operations(
    batch: Batch, registry: Registry
) -> dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]:
    return {
        "SubmitJob": batch.submit_job,
        "DescribeJobs": batch.describe_jobs,
        "ListJobs": batch.list_jobs,
        "CancelJob": batch.cancel_job,
        "TerminateJob": batch.terminate_job,
        "CancelJobs": batch.cancel_jobs,
        "TerminateJobs": batch.terminate_jobs,
        "CreateComputeEnvironment": registry.create_environment,
        "DescribeComputeEnvironments": registry.describe_environments,
        "CreateJobQueue": batch.create_job_queue,
        "DescribeJobQueues": registry.describe_queues,
        "RegisterJobDefinition": registry.register_definition,
        "DeregisterJobDefinition": registry.deregister_definition,
        "DescribeJobDefinitions": registry.describe_definitions,
    }


def _failure(status: int, kind: str, message: str) -> Response:
    return Response(
        json.dumps({"message": message}),
        status=status,
        mimetype="application/json",
        headers={"x-amzn-errortype": kind},
    )
