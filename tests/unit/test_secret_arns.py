"""ARNs of secrets and parameters, and of which of them a reference takes a part."""

import pytest

from drydock.secret_arns import whole_secret
from drydock.variables import secret_problem

SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:lab/license-AbCdEf"
PARAMETER = "arn:aws:ssm:us-west-2:123456789012:parameter/lab/code"


@pytest.mark.parametrize(
    ("reference", "whole"),
    [
        (SECRET, SECRET),
        (f"{SECRET}:key::", SECRET),
        (f"{SECRET}::AWSPREVIOUS:", SECRET),
        (f"{SECRET}:key:AWSCURRENT:0f3e", SECRET),
        (PARAMETER, PARAMETER),
        ("arn:aws-us-gov:ssm:us-gov-west-1:123456789012:parameter/x", None),
    ],
)
def test_a_reference_is_to_a_whole_secret_or_to_a_part_of_it(reference, whole):
    assert whole_secret(reference) == (whole or reference)


@pytest.mark.parametrize(
    "reference",
    [
        "hunter2",
        "",
        f"{SECRET}:key",
        f"{SECRET}:key:",
        f"{SECRET}:key:::",
        f"{SECRET} ",
        f"{SECRET}\n",
        f"{PARAMETER}:key::",
        "arn:aws:ssm:us-west-2:123456789012:parameter",
        "arn:aws:secretsmanager:us-west-2:1234:secret:lab/license-AbCdEf",
        "arn:aws:s3:::bucket/secret",
    ],
)
def test_what_is_no_reference_is_none(reference):
    assert whole_secret(reference) is None


@pytest.mark.parametrize("name", ["LICENSE", "MY_API_KEY", "db_password", "_x"])
def test_a_secret_may_have_the_name_of_one(name):
    assert secret_problem(name) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "must not begin with AWS_ or S3_"),
        ("S3_TASK_LOCATION", "must not begin with AWS_ or S3_"),
        ("SHRTCACHE", "the worker's own"),
        ("NO_ACCESS_KEY", "the worker's own"),
        ("a-b", "no name of a variable"),
        ("", "no name of a variable"),
    ],
)
def test_names_that_a_secret_cannot_have(name, said):
    assert said in secret_problem(name)
