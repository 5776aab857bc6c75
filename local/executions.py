"""What stands before moto's Step Functions: names, refusals, and status change events.

moto runs the machines. What it leaves out and AWS does is done here: a start without a name gets
one, two starts of one name cannot both succeed, a definition with a hole is refused, a stop keeps
its error and cause, every change of an execution's status is an event on the bus, and executions
can start others and wait for their ends.
"""

import contextlib
import json
import re
import threading
import time
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local import moto_backends
from local.definition_check import check_definition
from local.events import Emit, aws_event
from local.http import Answer, call, give_body, json_answer, refusal, take_body
from local.nested_executions import let_executions_nest

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_LOOK_S = 0.05
_BEGUN_S = 5.0
# StartExecution: input up to 256 KiB, a name of up to 80 characters (Step Functions API reference).
_INPUT_BYTES = 262_144
_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
# The one error of each request that moto raises without a name.
_NAMELESS = {
    "StartExecution": "InvalidExecutionInput",
    "CreateStateMachine": "InvalidDefinition",
    "UpdateStateMachine": "InvalidDefinition",
    "SendTaskSuccess": "TaskTimedOut",
    "SendTaskFailure": "TaskTimedOut",
    "SendTaskHeartbeat": "TaskTimedOut",
}
# Events carry input and output up to 248 KiB (Step Functions guide, "EventBridge payloads").
_EVENT_BYTES = 248 * 1024


class StatesFront:
    """A WSGI application around moto's, for the Step Functions requests alone."""

    def __init__(self, moto: "WSGIApplication", *, emit: Emit, region: str) -> None:
        self._moto = moto
        self._starting = threading.Lock()
        self._watch = _Watch(emit, region)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one Step Functions request."""
        action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if action == "StartExecution":
            answer = self._start(environ)
        elif action == "StopExecution":
            answer = self._stop(environ)
        elif action in ("CreateStateMachine", "UpdateStateMachine"):
            answer = self._define(environ)
        elif action == "GetExecutionHistory":
            answer = self._history(environ)
        else:
            answer = call(self._moto, environ)
        return _with_a_name(answer, action).send(start_response)

    def running(self) -> list[str]:
        """ARNs of the executions that have not ended."""
        return self._watch.running()

    def close(self) -> None:
        """Stop what runs, tell nobody, and watch no more."""
        self._watch.close()

    def _start(self, environ: "WSGIEnvironment") -> Answer:
        request = _request(environ)
        name = request.setdefault("name", str(uuid.uuid4()))
        if not _NAME.fullmatch(name):
            return refusal("400 Bad Request", "InvalidName", f"Invalid Name: '{name}'")
        if len(request.get("input", "").encode()) > _INPUT_BYTES:
            message = f"Execution input is longer than {_INPUT_BYTES} bytes"
            return refusal("400 Bad Request", "InvalidExecutionInput", message)
        give_body(environ, json.dumps(request).encode())
        with self._starting:
            answer = call(self._moto, environ)
            if answer.ok:
                self._watch.add(json.loads(answer.body)["executionArn"])
        return answer

    def _stop(self, environ: "WSGIEnvironment") -> Answer:
        """A stopped execution is ABORTED at once; moto waits for whatever its task waits for."""
        request, execution = _request(environ), None
        with contextlib.suppress(Exception):  # no such execution: moto answers that
            execution = moto_backends.execution(request["executionArn"])
            _wait_until_begun(execution)
        running = execution is not None and execution.status == "RUNNING"
        answer = call(self._moto, environ)
        if answer.ok and running:
            moto_backends.abort(execution, request.get("error"), request.get("cause"))
        return answer

    def _history(self, environ: "WSGIEnvironment") -> Answer:
        """An execution's history; moto tells it from the beginning, whatever it is asked."""
        backwards = _request(environ).get("reverseOrder", False)
        answer = call(self._moto, environ)
        if not answer.ok or not backwards:
            return answer
        told = json.loads(answer.body)
        return json_answer(answer.status, told | {"events": told["events"][::-1]})

    def _define(self, environ: "WSGIEnvironment") -> Answer:
        with contextlib.suppress(ValueError):  # no JSON: moto answers that
            definition = json.loads(_request(environ).get("definition") or "null")
            problems = check_definition(definition) if isinstance(definition, dict) else []
            if problems:
                message = "Invalid State Machine Definition: " + "; ".join(problems)
                return refusal("400 Bad Request", "InvalidDefinition", message)
        let_executions_nest()
        return call(self._moto, environ)


def _with_a_name(answer: Answer, action: str) -> Answer:
    """Give an error its name: the interpreter leaves out some, and callers match on them."""
    if answer.ok or action not in _NAMELESS:
        return answer
    document = json.loads(answer.body)
    if document.get("__type"):
        return answer
    return refusal(answer.status, _NAMELESS[action], document.get("message") or _NAMELESS[action])


class _Watch:
    """Looks at every execution that runs, and emits an event for each of its statuses."""

    def __init__(self, emit: Emit, region: str) -> None:
        self._emit = emit
        self._region = region
        self._executions: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="executions", daemon=True)
        self._thread.start()

    def add(self, arn: str) -> None:
        with self._changed:
            if self._closed or arn in self._executions:
                return  # a start of the same name and input is the same execution
            self._executions[arn] = moto_backends.execution(arn)
            self._changed.notify()
        self._emit(_status_event(self._executions[arn], "RUNNING", self._region))

    def running(self) -> list[str]:
        return list(self._executions)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        for execution in self._executions.values():
            _wait_until_begun(execution)
            execution.stop(stop_date=datetime.now().astimezone(), error=None, cause=None)

    def _run(self) -> None:
        while self._wait_for_work():
            for arn, execution in list(self._executions.items()):
                # moto sets the output after the status: the event is for the next look.
                if execution.status != "RUNNING":
                    time.sleep(_LOOK_S)
                    del self._executions[arn]
                    self._emit(_status_event(execution, execution.status, self._region))

    def _wait_for_work(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._executions)
            self._changed.wait_for(lambda: self._closed, timeout=_LOOK_S)
            return not self._closed


def _request(environ: "WSGIEnvironment") -> dict[str, Any]:
    try:
        request = json.loads(take_body(environ) or b"{}")
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}


def _wait_until_begun(execution: Any) -> None:
    """An execution can be stopped once its thread has made its environment."""
    for _ in range(int(_BEGUN_S / _LOOK_S)):
        if execution.exec_worker is not None and execution.exec_worker.env is not None:
            return
        time.sleep(_LOOK_S)


def _status_event(execution: Any, status: str, region: str) -> dict[str, Any]:
    """Step Functions guide, "Automating Step Functions event delivery with EventBridge"."""
    ended = status != "RUNNING"
    given = execution.execution_input
    output = json.dumps(execution.output) if status == "SUCCEEDED" else None
    keeps_output = output is None or len(json.dumps(output)) <= _EVENT_BYTES
    keeps_input = len(json.dumps(given)) + len(json.dumps(output)) <= _EVENT_BYTES
    detail = {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": status,
        "startDate": _milliseconds(execution.start_date),
        "stopDate": _milliseconds(execution.stop_date) if ended else None,
        "input": given if keeps_input else None,
        "output": output if keeps_output else None,
        "inputDetails": {"included": keeps_input},
        "outputDetails": {"included": keeps_output} if output is not None else None,
        "error": execution.error if ended else None,
        "cause": execution.cause if ended else None,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": "Redrive is not part of the embedded AWS",
    }
    kind, arn = "Step Functions Execution Status Change", execution.exec_arn
    return aws_event("aws.states", kind, detail, region=region, resources=[arn])


def _milliseconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp() * 1000) if moment else None
