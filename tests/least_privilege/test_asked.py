"""What IAM is asked for a request."""

import pytest

from tests.least_privilege.asked import Asked, CallNotKnown, questions
from tests.least_privilege.recording import Seen

REGION = "us-east-1"
HERE = f"{REGION}:123456789012"
OBJECT = "arn:aws:s3:::lab/out/a b"
BUCKET = "arn:aws:s3:::lab"
KEY = f"arn:aws:kms:{HERE}:key/1"
VIA = (("kms:ViaService", "s3.us-east-1.amazonaws.com"),)


def seen(service, method, path, *, query=None, headers=None, document=None, status=200, told=None):
    return Seen(
        scene="test",
        access_key="role",
        service=service,
        method=method,
        path=path,
        query=query or {},
        headers=headers or {},
        document=document or {},
        status=status,
        told=told or {},
    )


def asked(*arguments, **more):
    return list(questions(seen(*arguments, **more), REGION))


@pytest.mark.parametrize(
    ("method", "query", "action"),
    [
        ("GET", {}, "s3:GetObject"),
        ("HEAD", {}, "s3:GetObject"),
        ("PUT", {"x-id": "PutObject"}, "s3:PutObject"),
        ("DELETE", {}, "s3:DeleteObject"),
        ("POST", {"uploads": ""}, "s3:PutObject"),
        ("PUT", {"uploadId": "1", "partNumber": "1"}, "s3:PutObject"),
        ("POST", {"uploadId": "1"}, "s3:PutObject"),
        ("DELETE", {"uploadId": "1"}, "s3:AbortMultipartUpload"),
        ("GET", {"uploadId": "1"}, "s3:ListMultipartUploadParts"),
    ],
)
def test_requests_on_an_object(method, query, action):
    assert asked("s3", method, "/lab/out/a b", query=query) == [Asked(action, OBJECT)]


def test_requests_on_a_bucket():
    listing = {"list-type": "2", "prefix": "out/"}
    prefix = (("s3:prefix", "out/"),)
    assert asked("s3", "GET", "/lab", query=listing) == [Asked("s3:ListBucket", BUCKET, prefix)]
    assert asked("s3", "HEAD", "/lab") == [Asked("s3:ListBucket", BUCKET)]


def test_an_absent_object_is_told_to_those_alone_who_may_list():
    both = [Asked("s3:GetObject", OBJECT), Asked("s3:ListBucket", BUCKET)]
    assert asked("s3", "GET", "/lab/out/a b", status=404) == both


def test_a_condition_on_an_etag_reads_the_object():
    for method, action in (("PUT", "s3:PutObject"), ("DELETE", "s3:DeleteObject")):
        found = asked("s3", method, "/lab/out/a b", headers={"if-match": '"e"'})
        assert [each.action for each in found] == [action, "s3:GetObject"]
    found = asked("s3", "PUT", "/lab/out/a b", headers={"if-none-match": "*"})
    assert [each.action for each in found] == ["s3:PutObject"]


def test_a_key_is_used_in_its_callers_name():
    header = {"x-amz-server-side-encryption-aws-kms-key-id": KEY}
    assert asked("s3", "PUT", "/lab/a", headers=header)[1:] == [
        Asked("kms:GenerateDataKey", KEY, VIA)
    ]
    assert asked("s3", "GET", "/lab/a", told=header)[1:] == [Asked("kms:Decrypt", KEY, VIA)]
    parts = asked("s3", "POST", "/lab/a", query={"uploads": ""}, headers=header)
    assert [each.action for each in parts[1:]] == ["kms:GenerateDataKey", "kms:Decrypt"]


def test_a_job_is_submitted_to_a_queue_with_a_definition_and_tags():
    queue, definition = (
        f"arn:aws:batch:{HERE}:job-queue/q",
        f"arn:aws:batch:{HERE}:job-definition/d:1",
    )
    document = {"jobQueue": queue, "jobDefinition": definition}
    plain = asked("batch", "POST", "/v1/submitjob", document=document)
    assert [each.resource for each in plain][:2] == [queue, definition]
    assert {each.action for each in plain} == {"batch:SubmitJob"}
    tagged = asked("batch", "POST", "/v1/submitjob", document=document | {"tags": {"a": "b"}})
    assert {each.action for each in tagged} == {"batch:SubmitJob", "batch:TagResource"}


def test_a_definition_hands_on_roles():
    document = {
        "jobDefinitionName": "d",
        "containerProperties": {"image": "i", "jobRoleArn": "arn:j", "executionRoleArn": "arn:e"},
    }
    found = asked("batch", "POST", "/v1/registerjobdefinition", document=document)
    to_ecs = (("iam:PassedToService", "ecs-tasks.amazonaws.com"),)
    image = (("batch:Image", "i"),)
    assert found == [
        Asked("batch:RegisterJobDefinition", f"arn:aws:batch:{HERE}:job-definition/d", image),
        Asked("iam:PassRole", "arn:j", to_ecs),
        Asked("iam:PassRole", "arn:e", to_ecs),
    ]


def test_many_jobs_are_ended_one_by_one():
    found = asked("batch", "POST", "/v1/terminatejobs", document={"jobs": ["1", "2"]})
    jobs = [f"arn:aws:batch:{HERE}:job/{number}" for number in (1, 2)]
    assert found == [Asked("batch:TerminateJob", job) for job in jobs]


@pytest.mark.parametrize(
    ("service", "method", "path", "query", "target"),
    [
        ("dynamodb", "POST", "/", {}, "DynamoDB.GetItem"),
        ("s3", "GET", "/lab", {"policy": ""}, ""),
        ("s3", "PUT", "/lab/a", {"tagging": ""}, ""),
        ("batch", "POST", "/v1/createjobqueue", {}, ""),
        ("states", "POST", "/", {}, "AWSStepFunctions.DeleteStateMachine"),
        ("lambda", "GET", "/2015-03-31/functions", {}, ""),
    ],
)
def test_a_call_that_nobody_wrote_down_is_an_error(service, method, path, query, target):
    with pytest.raises(CallNotKnown):
        asked(service, method, path, query=query, headers={"x-amz-target": target})
