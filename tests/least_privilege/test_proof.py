"""Every recorded request is allowed by its own role, and whatever is allowed was used or explained.

The recordings are made once for the file: two stacks, one after the other.
"""

import copy
import dataclasses

import pytest

from tests.least_privilege.proof import grants_of, prove, questions_of
from tests.least_privilege.reasons import judge, stale
from tests.least_privilege.reference import problems
from tests.least_privilege.scenes import ENCRYPTED, PLAIN, record
from tests.least_privilege.table import page, rows, written

# The recordings count as the first test's time.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return record(tmp_path_factory.mktemp("aws"))


@pytest.fixture(scope="module")
def proof(recordings):
    return prove(recordings)


def test_every_scene_was_recorded(recordings):
    expected = {scene.__name__.replace("_", " ") for scene in (*PLAIN, *ENCRYPTED)}
    assert {each.scene for recorded in recordings for each in recorded.seen} == expected


def test_every_request_is_allowed_by_its_own_role(proof):
    assert proof.questions > 1000
    assert proof.refused == []


def test_whatever_is_allowed_was_used_or_has_a_reason(proof):
    judged = judge(proof)
    assert [each.grant for each in judged if not each.scenes and not each.reason] == []
    assert stale(proof) == []


def test_each_action_is_one_of_its_service_and_limited_as_far_as_it_can_be(recordings):
    asked = {each for recorded in recordings for _, _, each in questions_of(recorded)}
    granted = {
        (grant.action, resource)
        for recorded in recordings
        for grant, resource in grants_of(recorded.resources)
    }
    pairs = granted | {(each.action, each.resource) for each in asked}
    assert [found for pair in sorted(pairs) for found in problems(*pair)] == []


def test_the_page_says_so(proof):
    assert list(rows(written())) == list(rows(page(judge(proof))))


def changed(recorded, name, change):
    """The recording, with a policy of the template changed."""
    found = copy.deepcopy(recorded.resources.found)
    change(found[name][1])
    resources = dataclasses.replace(recorded.resources, found=found)
    return dataclasses.replace(recorded, resources=resources)


def test_what_is_no_longer_allowed_is_noticed(recordings):
    def forget(policy):
        statements = policy["PolicyDocument"]["Statement"]
        statements[:] = [each for each in statements if each["Sid"] != "SubmitJobs"]

    proof = prove([changed(recordings[0], "AdvanceShardPolicy", forget)])
    assert {each.asked.action for each in proof.refused} == {"batch:SubmitJob", "batch:TagResource"}


def test_what_is_allowed_for_nothing_is_noticed(recordings):
    def add(role):
        objects = {"Action": "s3:GetObjectAcl", "Resource": "arn:aws:s3:::drydock-data/*"}
        role["Policies"][0]["PolicyDocument"]["Statement"].append({"Effect": "Allow"} | objects)

    proof = prove([changed(recordings[0], "JobRole", add), recordings[1]])
    idle = [each.grant for each in judge(proof) if not each.scenes and not each.reason]
    assert [(grant.role, grant.action) for grant in idle] == [("JobRole", "s3:GetObjectAcl")]


def test_a_deny_on_a_resource_is_noticed(recordings):
    def close(policy):
        policy["PolicyDocument"]["Statement"].append(
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::drydock-control/*",
            }
        )

    proof = prove([changed(recordings[0], "ControlBucketPolicy", close)])
    assert {each.asked.action for each in proof.refused} == {"s3:PutObject"}
