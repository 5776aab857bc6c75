"""A stack while its scenes run, and the program whose runs they are."""

import json
import sys
from dataclasses import dataclass, field

from tests.embedded.run_support import World
from tests.least_privilege.recording import Recording

# Copies its input slowly, line by line; a line "bad" is nothing that it can read.
PROGRAM = f"""#!{sys.executable}
import os, shutil, sys, time
lines = open(os.environ["INPUT"]).read().split()
if "bad" in lines:
    sys.exit(65)
size = 0
for line in lines:
    time.sleep(float(os.environ.get("PACE", "0")))
    with open(os.path.join(os.environ["CHECKPOINT_DIR"], "done"), "a") as done:
        done.write(line)
    size += (20 << 20) if line == "large" else 1
with open(os.path.join(os.environ["OUTPUT_DIR"], "copy"), "wb") as copy:
    copy.write(bytes(size))
"""


@dataclass
class Stage:
    """A stack while its scenes run."""

    world: World
    recording: Recording
    script: str = field(init=False)

    def __post_init__(self) -> None:
        self.script = self.world.put("program.py", PROGRAM.encode())

    def request(self, name: str, pace_s: float = 0.0, **fields) -> dict:
        """A request over `<name>/in/` for the program above."""
        data = self.world.data
        return {
            "name": name,
            "input": f"s3://{data}/{name}/in/",
            "output": f"s3://{data}/{name}/out",
            "tool": "command",
            "options": {
                "command": [sys.executable, "{assets.program}"],
                "environment": {"PACE": str(pace_s)},
            },
            "assets": {"program": self.script},
        } | fields

    def inputs(self, name: str, *texts: str) -> None:
        """Put inputs of these texts below `<name>/in/`."""
        for number, text in enumerate(texts):
            self.world.put(f"{name}/in/{number}.txt", text.encode())

    def upload(self, name: str, **fields):
        """Upload a request; the execution that it starts."""
        return self.world.upload(f"{name}.json", self.request(name, **fields))

    def run(self, name: str, expected: str = "SUCCEEDED", **fields):
        """Upload a request and wait for its run's end."""
        outcome = self.world.finish(self.upload(name, **fields))
        assert outcome.status == expected, outcome.described
        return outcome

    def start(self, name: str):
        """Start an execution with a request, as a person would, and wait for its end."""
        arn = self.world.states.start_execution(
            stateMachineArn=self.world.stack.state_machine_arn,
            input=json.dumps(self.request(name)),
        )["executionArn"]
        (execution,) = [found for found in self.world.executions() if found.arn == arn]
        outcome = self.world.finish(execution)
        assert outcome.status == "SUCCEEDED", outcome.described
        return outcome

    def started(self, name: str, **fields):
        """Upload a request; the execution once a child of its runs and left a checkpoint."""
        execution = self.upload(name, pace_s=0.3, checkpoint_seconds=1, **fields)
        self.world.child(execution, lambda _: self.world.part_records(execution) != [])
        return execution

    def stop(self, execution, *, now: bool) -> None:
        """Stop a run as its user."""
        event = {"run_id": execution.run().run_id, "now": now}
        self.call("StopRunFunction", event)

    def call(self, function: str, event: dict) -> None:
        """Invoke a function as a person would."""
        answer = self.world.aws.client("lambda", "person").invoke(
            FunctionName=self.world.stack.resources[function].ref, Payload=json.dumps(event)
        )
        assert "FunctionError" not in answer, answer["Payload"].read()
