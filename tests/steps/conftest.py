"""A fresh stack for each test."""

import pytest
from moto import mock_aws

from tests.steps.world import World


@pytest.fixture(autouse=True)
def _aws():
    with mock_aws():
        yield


@pytest.fixture
def world(_aws):
    return World()
