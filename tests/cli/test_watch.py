"""A watch: how it begins, what it outlives and what ends it."""

import json

import pytest
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from cli.begin import WAIT_S, awaited
from cli.look import RunNotFound
from cli.watch import watched
from drydock.errors import RequestRejected, ServiceUnavailable, StoreUnavailable
from tests.steps.world import DATA, EXECUTION, INTAKE

OUTPUT = f"s3://{DATA}/out/"


def answered(code):
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeExecution")


def breaks(kind, cause):
    """What a look raises when AWS does not serve it."""
    error = kind("AWS Step Functions: no")
    error.__cause__ = cause
    return error


@pytest.fixture
def watch(world, doors, monkeypatch):
    """A watch whose first look ends with an error, and the next with an ended run."""

    def look_twice(first):
        world.inputs(1)
        run_id = world.start()
        answers = [first, "SUCCEEDED"]

        def status(_arn):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(world.executions, "status", status)
        slept = []
        return watched(doors, run_id, 7.0, slept.append, as_json=True), slept

    return look_twice


@pytest.mark.parametrize(
    "cause",
    [
        *map(answered, ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId")),
        *map(answered, ("UnrecognizedClientException", "AccessDeniedException", "AccessDenied")),
        NoCredentialsError(),
        UnauthorizedSSOTokenError(),
        TokenRetrievalError(provider="sso", error_msg="expired"),
        CredentialRetrievalError(provider="custom-process", error_msg="expired"),
    ],
)
@pytest.mark.parametrize("kind", [StoreUnavailable, ServiceUnavailable])
def test_what_no_waiting_cures_ends_it(watch, kind, cause):
    with pytest.raises(kind, match="AWS Step Functions: no"):
        watch(breaks(kind, cause))


@pytest.mark.parametrize(
    "cause",
    [
        *map(answered, ("ThrottlingException", "InternalError", "SlowDown")),
        EndpointConnectionError(endpoint_url="https://states"),
        None,
    ],
)
def test_an_outage_is_outlived(watch, cause, capsys):
    found, slept = watch(breaks(ServiceUnavailable, cause))
    assert (found.status, slept) == ("SUCCEEDED", [7.0])
    assert "asking again in 7 s" in capsys.readouterr().err


class Clock:
    """Lets time pass, and does what is due at a time."""

    def __init__(self, world):
        self.world = world
        self.start = world.time
        self.due = {}

    def sleep(self, seconds):
        self.world.time += seconds
        for at in [at for at in self.due if self.start + at <= self.world.time]:
            self.due.pop(at)()


@pytest.fixture
def clock(world):
    return Clock(world)


@pytest.mark.parametrize("given", [OUTPUT, EXECUTION + "one"])
def test_a_run_that_is_about_to_begin_is_waited_for(world, doors, clock, capsys, given):
    world.inputs(1)
    clock.due[20.0] = world.start
    run_id = awaited(doors, given, clock.sleep)
    assert world.run(run_id).epoch == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "asking again for a minute" in told


def test_a_run_whose_card_alone_is_there_is_waited_for(world, doors, clock):
    world.put(DATA, "out/run.json", b'{"run_id": "0123456789abcdef"}')
    world.inputs(1)
    run_id = world.start(output=f"s3://{DATA}/model/")
    body = world.get("drydock-control", f"runs/{run_id}/run.json")
    key = "runs/0123456789abcdef/run.json"
    clock.due[5.0] = lambda: world.put("drydock-control", key, body)
    assert awaited(doors, OUTPUT, clock.sleep) == "0123456789abcdef"
    assert not clock.due


def test_a_run_that_is_there_is_not_waited_for(world, doors, clock, capsys):
    world.inputs(1)
    run_id = world.start()
    assert awaited(doors, OUTPUT, clock.sleep) == run_id
    assert (world.time, capsys.readouterr().err) == (clock.start, "")


def test_it_is_waited_for_a_minute_and_no_more(world, doors, clock):
    with pytest.raises(RunNotFound, match="no run goes by"):
        awaited(doors, OUTPUT, clock.sleep)
    assert WAIT_S <= world.time - clock.start < WAIT_S + 10


@pytest.mark.parametrize("given", ["nobody", "s3://X/out/"])
def test_what_can_be_no_run_is_not_waited_for(world, doors, clock, given):
    with pytest.raises(RunNotFound, match="16 hex digits"):
        awaited(doors, given, clock.sleep)
    assert world.time == clock.start


def refuse(world, key, **changes):
    with pytest.raises(RequestRejected):
        world.enumerate(
            world.upload(key, json.dumps(world.request(tool="dock", **changes)).encode())
        )


def test_a_refused_request_is_named_by_its_answer(world, doors, clock):
    refuse(world, "others.json", output=f"s3://{DATA}/others/")
    refuse(world, "mine/run.json", output=OUTPUT.removesuffix("/"))
    for key, body in {"no.sdf": b"x", "no.json": b"{", "list.json": b"[]"}.items():
        with pytest.raises(RequestRejected):
            world.enumerate(world.upload(key, body))
    world.put(INTAKE, "gone.json.rejected.json")
    with pytest.raises(
        RunNotFound, match=rf"was refused: s3://{INTAKE}/mine/run.json.rejected.json says why"
    ):
        awaited(doors, OUTPUT, clock.sleep)


def test_who_may_not_look_at_requests_is_told_as_much_as_is_known(world, doors, clock):
    world.s3.delete_bucket(Bucket=INTAKE)
    with pytest.raises(RunNotFound, match="no run goes by"):
        awaited(doors, OUTPUT, clock.sleep)
