"""Lambda: handlers run in warm processes, one call at a time in each.

A process is kept for the next call; one that ran out of time or died is replaced, as on AWS.
"""

import json
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.lambda_calls import Call, Reply, Setup
from local.lambda_process import DiedError, LambdaProcess, TimedOutError
from local.principals import credentials
from local.processes import WarmProcesses
from local.specs import FunctionSpec

# Lambda developer guide, "Lambda quotas": invocation payload, request and response.
SYNCHRONOUS_PAYLOAD_BYTES = 6 * 1024 * 1024
ASYNCHRONOUS_PAYLOAD_BYTES = 256 * 1024

# Lambda waits one and two minutes between the tries of an asynchronous call; we need not.
ASYNCHRONOUS_WAITS_S = (0.5, 1.0)


class LambdaError(Exception):
    """A call that Lambda refuses; `code` is AWS's name for why."""

    code = "ServiceException"


class FunctionUnknownError(LambdaError):
    """No function of that name is registered."""

    code = "ResourceNotFoundException"


class PayloadTooLargeError(LambdaError):
    """The payload is above what an invocation may carry."""

    code = "RequestTooLargeException"


class PayloadInvalidError(LambdaError):
    """The payload is no JSON."""

    code = "InvalidRequestContentException"


class TooManyRequestsError(LambdaError):
    """The function's reserved concurrency is in use."""

    code = "TooManyRequestsException"


@dataclass(frozen=True)
class Outcome:
    """The answer of one call: the function's result, or the document of its error."""

    payload: bytes
    failed: bool
    request_id: str

    def document(self) -> Any:
        """The payload, parsed."""
        return json.loads(self.payload)


class Lambdas:
    """The functions of one embedded AWS."""

    def __init__(
        self,
        directory: Path,
        *,
        endpoint_url: Callable[[], str],
        region: str,
        dead_letter: Callable[[str, bytes, Mapping[str, str], str], None],
    ) -> None:
        self._logs = directory / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._endpoint_url = endpoint_url
        self._region = region
        self._dead_letter = dead_letter
        self._warm = WarmProcesses([])
        self._functions: dict[str, FunctionSpec] = {}
        self._idle: dict[str, list[LambdaProcess]] = defaultdict(list)
        self._running: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._elsewhere: Callable[[FunctionSpec, bytes], Reply] | None = None

    def run_elsewhere(self, call: Callable[[FunctionSpec, bytes], Reply]) -> None:
        """From now on functions are not processes here: `call` raises what a process's call does.

        That is TimedOutError and DiedError.
        """
        self._elsewhere = call

    def register(self, function: FunctionSpec) -> None:
        """Make the function callable, instead of an earlier one of that name."""
        with self._lock:
            self._functions[function.name] = function
            outdated = self._idle.pop(function.name, [])
        for process in outdated:
            process.close()

    def function(self, name_or_arn: str) -> FunctionSpec:
        """The function by name, ARN or partial ARN, with or without a qualifier.

        Raises FunctionUnknownError.
        """
        name = name_or_arn
        if ":function:" in name:
            name = name.split(":function:")[1]
        function = self._functions.get(name.split(":")[0])
        if function is None:
            raise FunctionUnknownError(f"Function not found: {name_or_arn}")
        return function

    def functions(self) -> list[FunctionSpec]:
        """All that are registered."""
        return list(self._functions.values())

    def invoke(self, name_or_arn: str, payload: bytes) -> Outcome:
        """Call the function and wait for its answer. Raises LambdaError when it is not called."""
        function = self.function(name_or_arn)
        _check(payload, SYNCHRONOUS_PAYLOAD_BYTES)
        with self._lock:
            limit = function.reserved_concurrency
            if limit is not None and self._running[function.name] >= limit:
                raise TooManyRequestsError("Rate Exceeded.")
            self._running[function.name] += 1
        try:
            return self._call(function, payload)
        finally:
            with self._lock:
                self._running[function.name] -= 1

    def invoke_later(self, name_or_arn: str, payload: bytes) -> str:
        """Accept an asynchronous call: up to three tries, then the dead-letter queue.

        Returns its request id. Raises LambdaError when it is not accepted.
        """
        function = self.function(name_or_arn)
        _check(payload, ASYNCHRONOUS_PAYLOAD_BYTES)
        request_id = str(uuid.uuid4())
        threading.Thread(
            target=self._try_until_done,
            args=(function, payload, request_id),
            name=f"async-{function.name}",
            daemon=True,
        ).start()
        return request_id

    def close(self) -> None:
        """End every process, whatever it is doing."""
        self._closed.set()
        self._warm.close()

    def _call(self, function: FunctionSpec, payload: bytes) -> Outcome:
        request_id = str(uuid.uuid4())
        try:
            if self._elsewhere is not None:
                reply = self._elsewhere(function, payload)
            else:
                reply = self._call_process(function, request_id, payload)
        except TimedOutError:
            message = f"{request_id} Task timed out after {function.timeout_s:.2f} seconds"
            return _failed("Sandbox.Timedout", f"RequestId: {message}", request_id)
        except DiedError as death:
            message = f"RequestId: {request_id} Error: {death}"
            return _failed("Runtime.ExitError", message, request_id)
        if len(reply.payload) > SYNCHRONOUS_PAYLOAD_BYTES:
            message = (
                f"Response payload size ({len(reply.payload)} bytes) exceeded maximum allowed "
                f"payload size ({SYNCHRONOUS_PAYLOAD_BYTES} bytes)."
            )
            return _failed("Function.ResponseSizeTooLarge", message, request_id)
        return Outcome(reply.payload, reply.failed, request_id)

    def _call_process(self, function: FunctionSpec, request_id: str, payload: bytes) -> Reply:
        """Raises TimedOutError, DiedError."""
        process = self._take(function)
        deadline_s = time.time() + function.timeout_s
        try:
            reply = process.call(Call(request_id, payload, deadline_s), function.timeout_s)
        except (TimedOutError, DiedError):
            process.close()
            raise
        with self._lock:
            current = self._functions.get(function.name) is function
            if current:
                self._idle[function.name].append(process)
        if not current:
            process.close()
        return reply

    def _take(self, function: FunctionSpec) -> LambdaProcess:
        """An idle process of the function, or a new one."""
        with self._lock:
            idle = self._idle[function.name]
            while idle:
                if (process := idle.pop()).alive:
                    return process
        paths = [function.code_directory]
        for layer in function.layers:
            paths += [layer / "python", layer]
        setup = Setup(
            name=function.name,
            arn=function.arn,
            handler=function.handler,
            paths=tuple(str(path.resolve()) for path in paths if path.is_dir()),
            memory_mib=function.memory_mib,
        )
        return LambdaProcess.start(
            self._warm,
            setup,
            environment=self._environment(function),
            log=self._logs / f"{function.name}.log",
            directory=function.code_directory,
        )

    def _environment(self, function: FunctionSpec) -> dict[str, str]:
        """The whole environment: the runtime's own variables, then the function's.

        Lambda developer guide, "Defined runtime environment variables". An AWS_ENDPOINT_URL that
        the template declares without a value (sam local fills it) is the embedded AWS's.
        """
        declared = dict(function.environment)
        if not declared.get("AWS_ENDPOINT_URL"):
            declared["AWS_ENDPOINT_URL"] = self._endpoint_url()
        return {
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            **credentials(function.role_arn or function.name),
            "AWS_SESSION_TOKEN": "embedded",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mib),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python",
            # No machine's own configuration, proxy or instance role gets in here.
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "LAMBDA_TASK_ROOT": str(function.code_directory),
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TZ": "UTC",
            **declared,
        }

    def _try_until_done(self, function: FunctionSpec, payload: bytes, request_id: str) -> None:
        """Lambda developer guide, "Asynchronous invocation": two more tries after an error."""
        outcome = None
        for wait_s in (*ASYNCHRONOUS_WAITS_S, None):
            try:
                outcome = self.invoke(function.name, payload)
            except (LambdaError, OSError):
                outcome = None
            if outcome is not None and not outcome.failed:
                return
            if wait_s is None or self._closed.wait(wait_s):
                break
        if function.dead_letter_arn and not self._closed.is_set():
            attributes = {"RequestID": request_id, "ErrorCode": "200"}
            if outcome is not None:
                attributes["ErrorMessage"] = outcome.document()["errorMessage"][:1024] or "-"
            # Lambda sends it with the function's own role.
            role = function.role_arn or function.name
            self._dead_letter(function.dead_letter_arn, payload, attributes, role)


def _check(payload: bytes, limit_bytes: int) -> None:
    if len(payload) > limit_bytes:
        raise PayloadTooLargeError(
            f"{len(payload)} byte payload is too large for the limit of {limit_bytes} bytes"
        )
    try:
        json.loads(payload or b"{}")
    except ValueError as error:
        raise PayloadInvalidError(f"Could not parse request body into json: {error}") from error


def _failed(kind: str, message: str, request_id: str) -> Outcome:
    document = json.dumps({"errorType": kind, "errorMessage": message})
    return Outcome(document.encode(), failed=True, request_id=request_id)
