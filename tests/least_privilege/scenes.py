"""The embedded runs that together do everything that a stack does, each a scene with a name.

Two stacks: one as it is deployed without a thought, and one with a KMS key and buckets of the lab.
"""

import contextlib
import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from drydock.keys import RunKeys
from local.deploy import STACK_IMAGE
from local.embedded import EmbeddedAws
from local.images import push
from local.specs import BucketSpec
from tests.embedded.run_support import World, until
from tests.least_privilege.recording import Recording, Seen
from tests.least_privilege.roles import Resources, resolved
from tests.least_privilege.stage import Stage

KEY = "arn:aws:kms:us-east-1:123456789012:key/5a5a5a5a-0000-4000-8000-123456789abc"
DOCKER_HUB = "arn:aws:secretsmanager:us-east-1:123456789012:secret:docker-hub-a1b2c3"
OWN_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/lab/tools:1"
LISTS = {
    "output": "s3://lab-data/lists/out",
    "tool": "command",
    "options": {"command": ["cp", "{input}", "{output}"]},
}


@dataclass(frozen=True)
class Recorded:
    """What was asked of one stack, and what that stack allows."""

    name: str
    region: str
    seen: tuple[Seen, ...]
    resources: Resources


LONG = " ".join("steps" for _ in range(40))


def a_run_by_upload(stage: Stage) -> None:
    stage.inputs("plain", "a", "b", "a large one")
    stage.run("plain")


def the_same_again(stage: Stage) -> None:
    stage.run("plain")


def an_upload_refused_and_mended(stage: Stage) -> None:
    stage.inputs("mended", "a")
    stage.run("mended", "FAILED", tool="abacus")
    stage.run("mended")


def a_worker_killed(stage: Stage) -> None:
    stage.inputs("killed", "a b c d e f g h", "b", "c")
    execution = stage.started("killed")
    stage.world.kill(stage.world.running(execution, 0))
    assert stage.world.finish(execution).status == "SUCCEEDED"


def a_stop_by_its_user(stage: Stage) -> None:
    stage.inputs("stopped", LONG, LONG, "c", "d")
    execution = stage.started("stopped")
    stage.stop(execution, now=False)
    stage.stop(execution, now=True)
    assert stage.world.finish(execution).described["error"] == "RunStopped"


def an_execution_aborted(stage: Stage) -> None:
    stage.inputs("aborted", LONG, "b", "c")
    execution = stage.started("aborted")
    stage.world.states.stop_execution(executionArn=execution.arn)
    until(lambda: not active(execution), "the end of its jobs")


def a_sweep(stage: Stage) -> None:
    stage.inputs("swept", LONG, "b", "c")
    execution = stage.started("swept")
    stage.world.aws.bus.fire("drydock-stop-run-function-sweep")
    stage.stop(execution, now=True)
    assert stage.world.finish(execution).described["error"] == "RunStopped"


def failures_retried_and_a_bad_marker(stage: Stage) -> None:
    stage.inputs("retried", "bad", "b", "c")
    run = stage.run("retried").execution.run()
    stage.inputs("retried", "mended")
    # What was frozen is looked at anew, and one of its markers is none any more.
    stage.world.put(RunKeys(run.run_id, run.output_prefix).done_marker(0, 1, 1), b"no marker")
    assert stage.run("retried", retry_failed=["tool_failed"]).counts() == (3, 0, 0, 0)


def a_pilot(stage: Stage) -> None:
    stage.inputs("pilot", "a", "b", "c")
    outcome = stage.run("pilot", "FAILED", pilot=1, stop_after_usd=1e-9)
    assert outcome.described["error"] == "RunStopped"
    stage.run("pilot", pilot=1, stop_after_usd=1000)


def a_budget(stage: Stage) -> None:
    stage.inputs("budget", LONG, LONG, LONG)
    execution = stage.started("budget", stop_after_usd=1e-9)

    def has_stopped():
        stage.world.aws.bus.fire("drydock-stop-run-function-check-budgets")
        return execution.run().active_stop

    until(has_stopped, "the stop", 0.5)
    stage.stop(execution, now=True)
    assert stage.world.finish(execution).described["error"] == "RunStopped"


def the_same_upload_twice(stage: Stage) -> None:
    stage.inputs("twice", "a")
    world = stage.world
    first = world.finish(stage.upload("twice"))
    world.states.start_execution(
        stateMachineArn=world.stack.state_machine_arn, input=first.described["input"]
    )
    second = world.executions()[0]
    assert "duplicate_of" in world.finish(second).described["output"]
    world.store.delete(world.stack.intake_bucket, "twice.json")
    gone = json.loads(first.described["input"])
    gone["detail"]["object"]["sequencer"] += "0"
    world.states.start_execution(
        stateMachineArn=world.stack.state_machine_arn, input=json.dumps(gone)
    )
    third = world.executions()[0]
    assert world.finish(third).status == "FAILED"


def an_event_that_nobody_can_act_on(stage: Stage) -> None:
    world = stage.world
    queue = world.stack.outputs["UndeliveredEventsQueueUrl"]
    stop = world.stack.resources["StopRunFunction"].ref
    world.aws.client("lambda", "person").invoke(
        FunctionName=stop, InvocationType="Event", Payload=b"{}"
    )
    sqs = world.aws.client("sqs", "person")
    until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), "the dead letter", 0.3)


def machines_taken_away_until_on_demand(stage: Stage) -> None:
    stage.inputs("reclaimed", LONG)
    execution = stage.upload("reclaimed", pace_s=0.3)
    world = stage.world
    for number in range(3):
        child = world.child(execution, lambda c, n=number: c.round == n and c.status == "RUNNING")
        if number < 2:
            world.aws.batch.reclaim(child.machine, notice_s=0)
    stage.stop(execution, now=True)
    assert world.finish(execution).described["error"] == "RunStopped"


def a_run_with_gpus(stage: Stage) -> None:
    stage.inputs("gpus", "a")
    execution = stage.upload("gpus", resources={"vcpus": 1, "memory_mib": 2000, "gpus": 1})
    stage.world.child(execution, lambda _: True)
    # No machine of the embedded AWS has any: perhaps its queue was blocked by now.
    stage.stop(execution, now=True)
    assert stage.world.finish(execution).status == "FAILED"


def a_run_by_console(stage: Stage) -> None:
    stage.inputs("console", "a", "b", "a large one")
    assert stage.start("console").counts() == (3, 0, 0, 0)


def an_enumeration_that_goes_on(stage: Stage) -> None:
    # As it is left by one that died before its last object.
    stage.world.store.delete(stage.world.data, "console/out/manifest/shards.json")
    stage.world.store.delete(stage.world.data, "console/out/manifest/000001.tasks")
    assert stage.start("console").counts() == (3, 0, 0, 0)


def an_image_of_its_own_and_secrets(stage: Stage) -> None:
    batch = stage.world.aws.client("batch", "person")
    # A definition of long ago is retired when the next one is made.
    old = batch.register_job_definition(
        jobDefinitionName="drydock-worker-00001-0123456789abcdef",
        type="container",
        containerProperties={
            "image": OWN_IMAGE,
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": "2000"},
            ],
        },
    )["jobDefinitionArn"]
    push(stage.world.aws.client("ecr", "person"), OWN_IMAGE, STACK_IMAGE)
    stage.inputs("image", "a", "b")
    token, licence = stage.world.parameters["SecretArns"].split(",")
    stage.run("image", image=OWN_IMAGE, secrets={"TOKEN": token, "LICENCE": licence})
    (described,) = batch.describe_job_definitions(jobDefinitions=[old])["jobDefinitions"]
    assert described["status"] == "INACTIVE"


def a_list_of_the_same_twice(stage: Stage) -> None:
    stage.inputs("lists/in", "a", "b")
    world = stage.world
    uris = [f"s3://{world.data}/lists/in/in/{number}.txt" for number in (0, 1, 0, 1)]
    execution = world.upload("twice/list.txt", "\n".join(uris).encode())
    assert world.finish(execution).counts() == (2, 0, 2, 0)


def active(execution) -> list:
    """Children that have not ended."""
    return [c for c in execution.look().children if c.status not in ("SUCCEEDED", "FAILED")]


Scene = Callable[[Stage], None]

PLAIN: tuple[Scene, ...] = (
    a_run_by_upload,
    the_same_again,
    an_upload_refused_and_mended,
    a_worker_killed,
    a_stop_by_its_user,
    an_execution_aborted,
    a_sweep,
    failures_retried_and_a_bad_marker,
    a_budget,
    the_same_upload_twice,
    an_event_that_nobody_can_act_on,
)
ENCRYPTED: tuple[Scene, ...] = (
    a_run_by_console,
    an_enumeration_that_goes_on,
    an_image_of_its_own_and_secrets,
    a_list_of_the_same_twice,
    a_pilot,
    machines_taken_away_until_on_demand,
    a_run_with_gpus,
)


def record(directory: Path) -> list[Recorded]:
    """Run every scene; the stacks at the same time, for there is one to a process."""
    stacks = {"plain": _record_plain, "encrypted": _record_encrypted}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(stacks), mp_context=context) as processes:
        running = [processes.submit(make, directory / name) for name, make in stacks.items()]
        return [each.result() for each in running]


def _record_plain(directory: Path) -> Recorded:
    """A stack on its defaults."""
    with _stage(directory) as stage:
        return _record("plain", stage, PLAIN)


def _record_encrypted(directory: Path) -> Recorded:
    """A stack with a KMS key, buckets of the lab, and images that requests may name."""
    parameters = {
        "KmsKeyId": KEY,
        "DataBucketNames": "lab-data,lab-results",
        "AllowedImages": OWN_IMAGE.rpartition("/")[0] + "/",
        "DefaultRequest": json.dumps(LISTS),
        # The second half of a list can be another shard, with nothing in it to do.
        "InputsPerShard": "2",
        "AttemptsPerRound": "1",
        "GpuMaxVcpus": "8",
        "DockerHubSecretArn": DOCKER_HUB,
        # Rounds follow each other soon.
        "ReconcileSeconds": "10",
    }
    with _stage(directory, "lab-data", "lab-results", **parameters) as stage:
        return _record("encrypted", stage, ENCRYPTED)


@contextlib.contextmanager
def _stage(directory: Path, *buckets: str, **parameters: str) -> Iterator[Stage]:
    with EmbeddedAws(directory, machines=2, vcpus=1, stack_image=STACK_IMAGE) as aws:
        for name in buckets:
            aws.create_bucket(BucketSpec(name))
        if buckets:
            parameters["SecretArns"] = ",".join(_keep_secrets(aws))
        yield Stage(World(aws, **parameters), Recording())


def _keep_secrets(aws: EmbeddedAws) -> tuple[str, str]:
    """The ARNs of two secrets of the lab, one of either service."""
    manager = aws.client("secretsmanager", "person")
    token = manager.create_secret(Name="lab/token", SecretString="made up")["ARN"]
    aws.client("ssm", "person").put_parameter(
        Name="/lab/licence", Value="made up", Type="SecureString"
    )
    return token, f"arn:aws:ssm:{aws.region}:{aws.account}:parameter/lab/licence"


def _record(name: str, stage: Stage, scenes: tuple[Scene, ...]) -> Recorded:
    aws, recording = stage.world.aws, stage.recording
    recording.begin(aws.gateway)
    for scene in scenes:
        recording.scene = scene.__name__.replace("_", " ")
        scene(stage)
    resources = resolved(stage.world.stack, stage.world.parameters, aws.region)
    return Recorded(name, aws.region, tuple(recording.seen), resources)
