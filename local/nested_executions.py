"""Executions that start executions, where moto's interpreter has names of its own for both.

It hands what a state's Parameters say to boto as they are, with a capital, and reads the answers
as if they had one; Step Functions' API has small letters. Both ways are made to fit here.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any


def let_executions_nest() -> None:
    """Have ``states:startExecution``, ``.sync`` and ``.sync:2`` work; doing it again is nothing."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (  # noqa: PLC0415
        state_task_service_sfn as moto_states,
    )

    service: Any = moto_states.StateTaskServiceSfn
    service._normalise_parameters = _to_boto  # noqa: SLF001
    service._normalise_response = _from_boto  # noqa: SLF001


def _to_boto(_service: Any, parameters: dict[str, Any], *_: Any, **__: Any) -> None:
    _rename(parameters, str.lower)
    if not isinstance(parameters.get("input", "{}"), str):
        parameters["input"] = json.dumps(parameters["input"])


def _from_boto(_service: Any, response: Any, *_: Any, **__: Any) -> None:
    """The names as the states see them; times are milliseconds.

    Developer guide, "Start a new AWS Step Functions state machine from a running execution".
    """
    if isinstance(response, dict):
        _rename(response, str.upper)
        for name, value in response.items():
            if isinstance(value, datetime):
                response[name] = int(value.timestamp() * 1000)


def _rename(fields: dict[str, Any], change: Callable[[str], str]) -> None:
    renamed = {change(name[0]) + name[1:]: value for name, value in fields.items()}
    fields.clear()
    fields.update(renamed)
