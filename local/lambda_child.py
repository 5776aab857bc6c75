"""One warm Lambda environment: a process that runs one function, call after call.

It is `python -m local.lambda_child SOCKET`: the runner listens on that Unix socket and sends first
what the function is, then one call after another.
"""

import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from typing import Any

from local.lambda_calls import Call, Reply, Setup

Handler = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Context:
    """Lambda's context object (Lambda developer guide, "Using the Lambda context object")."""

    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    deadline_s: float
    function_version: str = "$LATEST"
    log_stream_name: str = "embedded"
    identity: None = None
    client_context: None = None

    @property
    def log_group_name(self) -> str:
        """The group that Lambda makes for a function by default."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is killed."""
        return max(0, int((self.deadline_s - time.time()) * 1000))


def main(address: str) -> None:
    """Serve calls until the runner closes the socket."""
    with Client(address, family="AF_UNIX") as calls:
        setup: Setup = calls.recv()
        sys.path[:0] = setup.paths
        handler: Handler | None = None
        while True:
            try:
                call: Call = calls.recv()
            except EOFError:
                return
            if handler is None:
                try:
                    handler = _load(setup.handler)
                except BaseException as error:  # noqa: BLE001 - Lambda reports all of them
                    _reply(calls, _import_failure(setup.handler, error))
                    continue
            _reply(calls, _run(handler, call, setup))


def _reply(calls: Connection, reply: Reply) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    calls.send(reply)


def _load(name: str) -> Handler:
    module, _, attribute = name.rpartition(".")
    handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), attribute)
    return handler


def _run(handler: Handler, call: Call, setup: Setup) -> Reply:
    context = Context(
        aws_request_id=call.request_id,
        function_name=setup.name,
        invoked_function_arn=setup.arn,
        memory_limit_in_mb=str(setup.memory_mib),
        deadline_s=call.deadline_s,
    )
    try:
        result = handler(json.loads(call.payload or b"{}"), context)
    except Exception as error:  # noqa: BLE001 - whatever a handler raises is its answer
        return _failure(error, type(error).__name__, str(error), call.request_id)
    try:
        return Reply(json.dumps(result).encode(), failed=False)
    except (TypeError, ValueError) as error:
        message = f"Unable to marshal response: {error}"
        return _failure(error, "Runtime.MarshalError", message, call.request_id)


def _import_failure(handler: str, error: BaseException) -> Reply:
    module, _, attribute = handler.rpartition(".")
    if isinstance(error, AttributeError) and f"attribute '{attribute}'" in str(error):
        message = f"Handler '{attribute}' missing on module '{module}'"
        return _failure(error, "Runtime.HandlerNotFound", message, "")
    message = f"Unable to import module '{module}': {error}"
    return _failure(error, "Runtime.ImportModuleError", message, "")


def _failure(error: BaseException, kind: str, message: str, request_id: str) -> Reply:
    """The error as Lambda answers it, and in the function's log."""
    frames = traceback.format_tb(error.__traceback__)[1:]
    sys.stderr.write(f"[ERROR] {kind}: {message}\n{''.join(frames)}\n")
    document = {
        "errorMessage": message,
        "errorType": kind,
        "requestId": request_id,
        "stackTrace": frames,
    }
    return Reply(json.dumps(document).encode(), failed=True)


if __name__ == "__main__":
    main(sys.argv[1])
