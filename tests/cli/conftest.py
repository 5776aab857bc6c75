"""A stack in memory, and what a command sees of it."""

import pytest

from cli.look import Doors
from cli.stack import Stack
from tests.steps.conftest import _aws, world  # noqa: F401 - fixtures
from tests.steps.world import CONTROL, INTAKE

STACK = Stack(
    control_bucket=CONTROL,
    intake_bucket=INTAKE,
    state_machine_arn="arn:aws:states:us-east-1:1:stateMachine:drydock-run",
    stop_run_function="stop",
    vcpu_hour_usd=0.05,
    worker_log_group="/lab/worker",
)


@pytest.fixture
def doors(world):  # noqa: F811
    return Doors(STACK, world.store, world.batch, world.executions, lambda: world.time)
