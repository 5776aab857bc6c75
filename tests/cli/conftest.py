"""A stack in memory, and what a command sees of it."""

import pytest

from cli.look import Doors
from cli.stack import Stack
from tests.steps.conftest import _aws, world  # noqa: F401 - fixtures
from tests.steps.world import CONTROL


@pytest.fixture
def doors(world):  # noqa: F811
    stack = Stack(
        CONTROL, "arn:aws:states:us-east-1:1:stateMachine:drydock-run", "stop", 0.05, "/lab/worker"
    )
    return Doors(stack, world.store, world.batch, world.executions, lambda: world.time)
