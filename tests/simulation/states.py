"""AWS Step Functions: executions of the project's own machine, task tokens, status events."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tests.simulation.definition import StatesError, definition
from tests.simulation.executions import Execution, Token
from tests.simulation.kernel import Event, Kernel, Process

if TYPE_CHECKING:
    from tests.simulation.stack import Stack

MACHINE_ARN = "arn:aws:states:us-west-2:123456789012:stateMachine:drydock-run"
EXECUTION_ARN = "arn:aws:states:us-west-2:123456789012:execution:drydock-run:"
# How long DescribeExecution may not know an execution that was just started, and not the end of
# one that just ended: it is eventually consistent.
_MOST_LAG_S = 1.0


class StepFunctions:
    """The service. ``start``, ``stop`` and ``redrive`` are for whoever acts from outside."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.kernel: Kernel = stack.kernel
        self.executions: dict[str, Execution] = {}
        self.tokens: dict[str, Token] = {}
        self.transitions = 0
        self.largest_state = 0
        self.largest_payload = 0
        self._numbers = itertools.count()

    # -- from outside

    def start(self, event: Any, name: str | None = None) -> Execution:
        """StartExecution; without a name it gets one."""
        name = name or f"e{len(self.executions)}"
        arn = EXECUTION_ARN + name
        if arn in self.executions:
            raise _error("ExecutionAlreadyExists", "StartExecution", arn)
        execution = Execution(self, arn, definition(), json.loads(json.dumps(event)))
        self.executions[arn] = execution
        self.announce(execution)
        execution.begin()
        return execution

    def stop(self, arn: str, error: str | None = None, cause: str | None = None) -> None:
        """StopExecution."""
        self.executions[arn].abort(error, cause)

    def redrive(self, arn: str) -> None:
        """RedriveExecution.

        Raises:
            ClientError: it runs, or it has succeeded.
        """
        execution = self.executions[arn]
        if execution.status in ("RUNNING", "SUCCEEDED"):
            raise _error("ExecutionNotRedrivable", "RedriveExecution", execution.status)
        execution.redrive()

    def running(self) -> list[Execution]:
        """The executions that go on."""
        return [each for each in self.executions.values() if each.is_running]

    def client(self) -> Client:
        """What the door holds."""
        return Client(self)

    # -- for executions

    def number(self) -> int:
        """A number that nobody had."""
        return next(self._numbers)

    def count(self, state: Mapping[str, Any], data: Any) -> None:
        """Note a transition."""
        del state
        self.transitions += 1
        self.largest_state = max(self.largest_state, len(json.dumps(data)))

    def new_token(self, execution: Execution) -> Token:
        """A token for one try of a task."""
        text = f"token-{execution.name}-{len(execution.tokens)}"
        token = Token(text, execution, Event(self.kernel))
        execution.tokens.append(token)
        self.tokens[text] = token
        return token

    def invoke(self, function: str, payload: Any) -> Any:
        """Call a function and wait for what it returns.

        Raises:
            StatesError: as Step Functions names what went wrong.
        """
        text = json.dumps(payload)
        self.largest_payload = max(self.largest_payload, len(text))
        chooser = self.kernel.chooser
        if chooser.happens(f"invoke {function}", "invocation refused"):
            raise StatesError("Lambda.TooManyRequestsException", "rate exceeded")
        process = self.stack.lambdas.invoke(function, json.loads(text))
        if chooser.happens(f"answer of {function}", "invocation unheard"):
            self.kernel.sleep(chooser.between(f"{function} breaks off", 0.0, 3.0))
            raise StatesError("Lambda.Unknown", "the connection broke off")
        process.ended.wait()
        return self._answer(process)

    def _answer(self, process: Process) -> Any:
        error = process.error
        if error is None:
            return json.loads(json.dumps(process.result))
        name = getattr(process, "error_name", None) or type(error).__name__
        raise StatesError(name, str(error))

    def announce(self, execution: Execution) -> None:
        """Tell EventBridge of a status."""
        machine = MACHINE_ARN if execution.parent is None else f"{MACHINE_ARN}/RunShards"
        ended = execution.ended_at
        self.stack.bus.publish(
            {
                "source": "aws.states",
                "detail-type": "Step Functions Execution Status Change",
                "detail": {
                    "executionArn": execution.arn,
                    "stateMachineArn": machine,
                    "name": execution.name,
                    "status": execution.status,
                    "startDate": int(execution.started_at * 1000),
                    "stopDate": None if ended is None else int(ended * 1000),
                    "input": json.dumps(execution.input),
                    "output": None if execution.output is None else json.dumps(execution.output),
                    "error": execution.error,
                    "cause": execution.cause,
                },
            }
        )


class Client:
    """The requests that drydock's own door makes."""

    def __init__(self, service: StepFunctions) -> None:
        self._service = service

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        """DescribeExecution."""
        return self._service.kernel.effect(
            f"states DescribeExecution {executionArn.rpartition(':')[2]}",
            lambda: self._describe(executionArn),
            writes=False,
        )

    def _describe(self, arn: str) -> dict[str, Any]:
        kernel = self._service.kernel
        execution = self._service.executions.get(arn)
        if execution is None:
            raise _error("ExecutionDoesNotExist", "DescribeExecution", arn)
        status, lag_s = execution.status, 0.0
        if kernel.chooser.happens(f"DescribeExecution of {execution.name}", "stale description"):
            lag_s = kernel.chooser.between(f"DescribeExecution lags {arn}", 0.0, _MOST_LAG_S)
        if kernel.now - execution.started_at < lag_s:
            raise _error("ExecutionDoesNotExist", "DescribeExecution", arn)
        if execution.ended_at is not None and kernel.now - execution.ended_at < lag_s:
            status = "RUNNING"
        return {"executionArn": arn, "status": status, "name": execution.name}

    def send_task_success(self, *, taskToken: str, output: str) -> dict[str, Any]:
        """SendTaskSuccess."""
        return self._service.kernel.effect(
            f"states SendTaskSuccess {taskToken}",
            lambda: self._succeed(taskToken, output),
            writes=True,
        )

    def _succeed(self, text: str, output: str) -> dict[str, Any]:
        token = self._service.tokens.get(text)
        if token is None:
            raise _error("InvalidToken", "SendTaskSuccess", text)
        if not token.is_open:
            raise _error("TaskTimedOut", "SendTaskSuccess", text)
        token.is_open = False
        token.told.set(json.loads(output))
        return {}


def _error(code: str, operation: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)
