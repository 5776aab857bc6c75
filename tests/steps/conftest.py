"""A fresh stack for each test."""

import moto.s3.urls
import pytest
from moto import mock_aws
from moto.s3.models import S3Backend

from tests.steps.world import World


@pytest.fixture(autouse=True)
def _aws(monkeypatch):
    # moto loads the module of S3's addresses anew for each request; here they do not change.
    monkeypatch.setattr(S3Backend, "_url_module", moto.s3.urls)
    with mock_aws():
        yield


@pytest.fixture
def world(_aws):
    return World()


@pytest.fixture
def run_id(world):
    world.inputs(4)
    return world.start()


@pytest.fixture
def job(world, run_id):
    world.submit(run_id)
    (found,) = world.batch.live()
    return found
