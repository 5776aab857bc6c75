"""What users do: with the service as they may, and behind its back as they should not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from drydock.parts import parse_part_record
from local.batch.model import ENDED
from tests.simulation.account import DATA, INTAKE
from tests.simulation.plan import OUTPUT, Action, Input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.history import History

T = TypeVar("T")


def act(history: History, action: Action) -> None:
    """Do it; where there is nothing to do it to, nothing is done."""
    history.kernel.note(action.name, "acts")
    match action.deed:
        case "uploads again":
            history.put(INTAKE, "a-run.json", history.request_body())
        case "starts again":
            history.stack.states.start(history.request(history.plan.changes[action.number]))
        case "stops" | "stops now":
            _stop(history, action)
        case "stops the execution" | "redrives":
            _end_or_redrive(history, action)
        case "terminates a job":
            _terminate(history, action)
        case "changes an input":
            inputs = [each for each in history.plan.inputs if each.repeats is None]
            # Some wait for what attempts leave before they change what these were about.
            changed = (_begun(history) if action.aim > 0.5 else None) or _aimed(inputs, action)
            history.put(DATA, changed.key, changed.planted(action.name).to_json())
        case "empties the output":
            _empty(history)
        case "loses outputs":
            _lose(history)
        case _:
            _meddle(history, action)


def _begun(history: History) -> Input | None:
    """The first input that an attempt leaves a part of, within an hour."""
    objects, until = history.stack.s3.buckets[DATA], history.kernel.now + 3600
    while history.kernel.now < until and history.calm_since is None:
        for key in objects:
            if key.startswith(f"{OUTPUT}parts/"):
                return history.planned(parse_part_record(objects[key].body).index)
        history.kernel.sleep(30)
    return None


def _stop(history: History, action: Action) -> None:
    runs = history.runs()
    if runs:
        stop: dict[str, Any] = {"run_id": _aimed(runs, action).run_id}
        stop["now"] = action.deed == "stops now"
        history.stack.lambdas.invoke("StopRunFunction", stop).ended.wait()


def _end_or_redrive(history: History, action: Action) -> None:
    states = history.stack.states
    if action.deed == "redrives":
        ended = [each for each in history.executions() if each.status in ("FAILED", "ABORTED")]
        if ended:
            states.redrive(_aimed(ended, action).arn)
    elif running := states.running():
        states.stop(_aimed(running, action).arn, "Stopped", "by a user in the console")


def _terminate(history: History, action: Action) -> None:
    arrays = list(history.active_jobs())
    children = [each for job in arrays for each in job.children if each.status not in ENDED]
    if jobs := [*arrays, *children]:
        history.stack.batch.terminate([_aimed(jobs, action).id], "terminated by a user")


def _meddle(history: History, action: Action) -> None:
    """Change an object of the run behind the service's back."""
    folder = "markers" if action.deed == "cuts a marker" else "shards"
    objects = history.stack.s3.buckets[DATA]
    keys = [key for key in objects if key.startswith(f"{OUTPUT}{folder}/")]
    if not keys:
        return
    key = _aimed(keys, action)
    history.kernel.note(action.name, f"changes {key}")
    if action.deed == "removes an output":
        history.stack.s3.change(DATA, key, None)
    elif action.deed == "cuts a marker":
        # In its middle, or all of it: what is empty is no marker, and in the way of one.
        kept = 0 if int(action.aim * 100) % 2 else len(objects[key].body) // 2
        history.put(DATA, key, objects[key].body[:kept])
    else:
        history.put(DATA, key, objects[key].body + b"?")


def _empty(history: History) -> None:
    """Remove all that a run left once nothing of it goes on, and start the request again."""
    while history.stack.states.running() and history.calm_since is None:
        history.kernel.sleep(60.0)
    if history.calm_since is not None:
        return
    for key in [key for key in history.stack.s3.buckets[DATA] if key.startswith(OUTPUT)]:
        history.stack.s3.change(DATA, key, None)
    history.stack.states.start(history.request())


def _lose(history: History) -> None:
    """Remove outputs soon after they are written, for an hour and a half."""
    until = history.kernel.now + 5400
    while history.kernel.now < until and history.calm_since is None:
        objects = history.stack.s3.buckets[DATA]
        for key in [key for key in objects if key.startswith(f"{OUTPUT}shards/")]:
            history.stack.s3.change(DATA, key, None)
        history.kernel.sleep(40.0)


def _aimed(things: Sequence[T], action: Action) -> T:
    return things[int(action.aim * len(things))]
