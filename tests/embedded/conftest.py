"""One embedded AWS for each module of tests that asks for it: it is global to its process."""

import time
from pathlib import Path

import pytest

from local.embedded import EmbeddedAws
from local.names import function_arn
from local.specs import FunctionSpec, QueueSpec

SAMPLE_FUNCTIONS = Path(__file__).parent / "sample_functions"


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with EmbeddedAws(tmp_path_factory.mktemp("embedded")) as embedded:
        yield embedded


@pytest.fixture
def register(aws):
    """Registers a function of `sample_functions/samples.py` under a name; returns its ARN."""

    def register(handler, name=None, **values):
        name = name or handler
        arn = function_arn(aws.region, name)
        function = {
            "name": name,
            "arn": arn,
            "handler": handler if "." in handler else f"samples.{handler}",
            "code_directory": SAMPLE_FUNCTIONS,
            "timeout_s": 20.0,
            "role_arn": f"arn:aws:iam::{aws.account}:role/{name}-role",
        }
        aws.register_function(FunctionSpec(**(function | values)))
        return arn

    return register


@pytest.fixture
def queue(aws):
    """Creates a queue; returns its URL and ARN."""

    def queue(name, **attributes):
        url = aws.create_queue(QueueSpec(name, attributes))
        return url, f"arn:aws:sqs:{aws.region}:{aws.account}:{name}"

    return queue


@pytest.fixture
def eventually():
    """Waits until a question has an answer that is true, and returns it."""

    def eventually(ask, *, within_s=60.0):
        end = time.monotonic() + within_s
        while not (answer := ask()):
            assert time.monotonic() < end, f"no answer within {within_s} s, the last was {answer!r}"
            time.sleep(0.02)
        return answer

    return eventually
