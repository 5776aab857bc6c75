"""The run that the files of events/ speak of, ready to be worked on step by step.

Its execution waits for nobody, so that whoever calls the functions is the state machine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drydock.keys import ControlKeys, RunKeys, owner_claim, start_claim
from drydock.request import parse_request
from drydock.run_document import identity_of
from drydock.store import Store
from drydock.uris import parse_s3_uri

if TYPE_CHECKING:
    from local.deploy import Stack
    from local.embedded import EmbeddedAws

ROOT = Path(__file__).resolve().parent.parent
EVENTS = ROOT / "events"
RUN_ID = "0123456789abcdef"
REGION = "us-east-1"
"""Where the events happen."""

_MATTER = ROOT / "examples" / "vina"
_LIGANDS = ("aspirin", "caffeine")
# The execution that owns the run goes on for as long as anybody may want to call; so do those that
# uploads start, which nobody asks about.
_WAITING = {
    "StartAt": "Waiting",
    "States": {"Waiting": {"Type": "Wait", "Seconds": 31_536_000, "End": True}},
}


def event(stem: str) -> dict[str, Any]:
    """A file of events/, by its name without the end."""
    document: dict[str, Any] = json.loads((EVENTS / f"{stem}.json").read_bytes())
    return document


class Sample:
    """The run's surroundings in a stack that is deployed: what is there before it begins."""

    def __init__(self, aws: EmbeddedAws, stack: Stack) -> None:
        self._stack = stack
        self._store = Store(aws.client("s3"), None)
        self._request = event("enumerate_inputs.request")["event"]
        self._upload = event("enumerate_inputs")
        states = aws.client("stepfunctions")
        machine = stack.state_machine_arn
        states.update_state_machine(stateMachineArn=machine, definition=json.dumps(_WAITING))
        name = self._upload["execution"].rpartition(":")[2]
        states.start_execution(stateMachineArn=machine, name=name)

    def lay(self) -> None:
        """Put its data and its upload there, and take away what an earlier time left of it."""
        self._forget()
        data = parse_s3_uri(self._request["input"])
        for name in _LIGANDS:
            body = (_MATTER / "ligands" / f"{name}.pdbqt").read_bytes()
            self._store.put(data.bucket, f"{data.key}{name}.pdbqt", body)
        receptor = parse_s3_uri(self._request["assets"]["receptor"])
        body = (_MATTER / "receptor.pdbqt").read_bytes()
        self._store.put(receptor.bucket, receptor.key, body)
        output = parse_s3_uri(self._request["output"])
        values = parse_request(self._request).model_dump(mode="json")
        card = {"run_id": RUN_ID, "name": values["name"], "identity": identity_of(values)}
        key = RunKeys(RUN_ID, output.key).run_card()
        self._store.put(output.bucket, key, json.dumps(card).encode())
        detail = self._upload["event"]["detail"]
        request = json.dumps(self._request).encode()
        self._store.put(detail["bucket"]["name"], detail["object"]["key"], request)

    def _forget(self) -> None:
        detail, control = self._upload["event"]["detail"], self._stack.control_bucket
        found = detail["object"]
        output = parse_s3_uri(self._request["output"])
        keys = ControlKeys(RUN_ID)
        for bucket, prefix in (
            (output.bucket, output.key),
            (control, keys.root),
            (control, f"tokens/{RUN_ID}/"),
            (control, owner_claim(self._upload["execution"])),
            (control, start_claim(detail["bucket"]["name"], found["key"], found["sequencer"])),
        ):
            for left in self._store.list(bucket, prefix):
                self._store.delete(bucket, left.key)
