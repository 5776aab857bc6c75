"""AWS's own list finds what is wrong with a policy; each condition of ours is on a known key."""

import pytest

from tests.architecture.stack import of_type
from tests.least_privilege.evaluate import as_list
from tests.least_privilege.reference import actions_like, condition_keys, problems


@pytest.mark.parametrize(
    ("action", "resource", "word"),
    [
        ("s3:GetObject", "arn:aws:s3:::lab/*", ""),
        ("s3:GetObject", "arn:aws:s3:::lab", "knows no"),
        ("s3:ListBucket", "arn:aws:s3:::lab/*", ""),
        ("s3:ListBucket", "arn:aws:s3:::lab", ""),
        ("s3:HeadObject", "arn:aws:s3:::lab/*", "is no action"),
        ("s3:GetObject", "*", "can be limited to"),
        ("batch:ListJobs", "*", ""),
        ("batch:ListJobs", "arn:aws:batch:us-east-1:123456789012:job/*", "knows no"),
        ("batch:TerminateJob", "arn:aws:batch:us-east-1:123456789012:job/*", ""),
        ("batch:TerminateJob", "arn:aws:batch:us-east-1:123456789012:job-queue/q", "knows no"),
        ("sns:Publish", "arn:aws:sqs:us-east-1:123456789012:topic", "knows no"),
    ],
)
def test_an_action_on_a_resource(action, resource, word):
    found = list(problems(action, resource))
    assert bool(found) == bool(word)
    assert all(word in each for each in found)


def test_a_wildcard_stands_for_actions():
    assert "s3:GetObject" in actions_like("s3:GetObj*")
    assert actions_like("s3:Nothing*") == []


def documents(**parameters):
    for role in of_type("AWS::IAM::Role", **parameters).values():
        yield from (each["PolicyDocument"] for each in role.get("Policies", []))
    for policy in of_type("AWS::IAM::ManagedPolicy", **parameters).values():
        yield policy["PolicyDocument"]


def test_each_condition_is_on_a_key_of_its_action():
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    found = 0
    for document in documents(KmsKeyId=key):
        for statement in document["Statement"]:
            for keys in statement.get("Condition", {}).values():
                for name in keys:
                    for action in as_list(statement["Action"]):
                        assert name.startswith("aws:") or name.lower() in condition_keys(action)
                        found += 1
    assert found >= 3
