"""A short storm, and proof that the comparison sees what a run did wrong."""

import copy
import json

import pytest

from drydock.store import Store
from drydock.uris import parse_s3_uri
from local.embedded import EmbeddedAws
from tests.chaos.campaign import Campaign, Plan
from tests.chaos.comparison import differences, finished, picture, problems_of_accounts

# The storm and the calm after it take a minute, on a machine with nothing else to do.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    plan = Plan(
        directory=tmp_path_factory.mktemp("chaos"),
        seed="short",
        inputs=40,
        seconds=10,
        deaths=1,
        kills=2,
        clock_s=10,
    )
    campaign = Campaign(plan)
    campaign.run()
    return campaign


def test_a_run_under_chaos_comes_to_what_the_quiet_run_came_to(campaign):
    assert campaign.report.problems == [], campaign.story.readable()
    accounts = [each["accounting"] for each in campaign.report.pictures["stormy"].values()]
    assert sum(each["inputs"] for each in accounts) == 40
    assert sum(each["remaining"] for each in accounts) == 0
    done = {what for _, what in campaign.story.counts()}
    assert {"SIGKILL of the embedded AWS", "SIGKILL of a worker", "jumping clock"} <= done


@pytest.fixture(scope="module")
def left_behind(campaign):
    """What the storm left in S3, once more readable, and writable."""
    with EmbeddedAws(campaign.plan.directory / "stormy") as aws:
        yield Store(aws.client("s3"), None)


def looked_at(store, output):
    """The keys that a picture is made of: an attempt that died left outputs that belong to none."""
    accounting = store.get(output.bucket, f"{output.key}results/accounting.json")
    for summary in finished(store, output, json.loads(accounting.body)["run_id"]):
        for part in summary.chain:
            yield from (each.key for each in part.outputs)
    for listed in store.list(output.bucket, f"{output.key}results/"):
        yield listed.key


@pytest.fixture
def found(campaign, left_behind):
    """What the comparison finds after `change(body)` of an object; afterwards it is as it was."""

    def found(name, part_of_key, change):
        request = campaign.work.requests[name]
        output = parse_s3_uri(request["output"])
        prefix = output._replace(key=f"{output.key}/")
        key = next(key for key in looked_at(left_behind, prefix) if part_of_key in key)
        body = left_behind.get(output.bucket, key).body
        left_behind.put(output.bucket, key, change(body))
        try:
            return differences(
                campaign.report.pictures["quiet"][name], picture(left_behind, request)
            )
        finally:
            left_behind.put(output.bucket, key, body)

    return found


def test_what_nobody_touched_is_no_difference(found):
    assert found("steps", "/chain.txt", bytes) == []
    assert found("vina", "/poses", bytes) == []


def test_one_other_byte_in_an_output_is_found(found):
    (only,) = found("steps", "/chain.txt", lambda body: b"x" + body[1:])
    assert only.startswith("outputs: ")


def test_other_rows_are_found(found):
    assert found("vina", "results/top.csv", lambda body: body.replace(b"aspirin", b"caffeine"))
    assert found("vina", "results/top.csv", lambda body: b"".join(body.splitlines(True)[:-1]))
    assert found("vina", "results/scores/", lambda body: body.replace(b"aspirin", b"aspirim"))
    (only,) = found("steps", "failures.csv", lambda body: body.replace(b"bad_input", b"unknown"))
    assert "unknown" in only


def test_an_input_that_two_attempts_finished_differently_is_found(campaign):
    quiet = campaign.report.pictures["quiet"]["steps"]
    stormy = copy.deepcopy(campaign.report.pictures["stormy"]["steps"])
    index = min(stormy["outputs"])
    stormy["outputs"][index] += " or [{}, [0, null, null]]"
    (only,) = differences(quiet, stormy)
    assert only.startswith(f"outputs: {index} is ")


def test_accounts_that_do_not_add_up_are_found(campaign):
    pictured = copy.deepcopy(campaign.report.pictures["stormy"]["vina"])
    expected = campaign.work.expected["vina"]
    assert problems_of_accounts(pictured, expected) == []
    pictured["accounting"]["done"] -= 1
    assert len(problems_of_accounts(pictured, expected)) == 3
