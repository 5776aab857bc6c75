"""The engine of the proof says what IAM's own documentation says."""

import pytest

from tests.least_privilege.evaluate import Decision, PolicyNotUnderstood, is_allowed

OBJECT = "arn:aws:s3:::lab/out/a"


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action="s3:GetObject", resource="arn:aws:s3:::lab/*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource} | more


def decide(*statements, action="s3:GetObject", resource=OBJECT, context=None, principal=""):
    return is_allowed({"p": policy(*statements)}, action, resource, context, principal)


def test_nothing_said_is_no():
    assert decide() == Decision(allowed=False)


def test_an_allow_is_named_by_its_sid_or_its_number():
    assert decide(allow("s3:PutObject"), allow()).allowed_by == ("p/1",)
    assert decide(allow(Sid="Read")) == Decision(allowed=True, allowed_by=("p/Read",))


def test_a_deny_wins_whatever_allows():
    refused = decide(allow(), allow(Effect="Deny", Sid="No"))
    assert refused == Decision(allowed=False, allowed_by=("p/0",), denied_by=("p/No",))


def test_policies_add_up():
    policies = {"one": policy(allow("s3:PutObject")), "two": policy(allow())}
    assert is_allowed(policies, "s3:GetObject", OBJECT).allowed_by == ("two/0",)


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("s3:GetObject", "s3:getobject", True),
        ("s3:Get*", "s3:GetObject", True),
        ("s3:Get?bject", "s3:GetObject", True),
        ("*", "s3:GetObject", True),
        ("s3:GetObject", "s3:GetObjectVersion", False),
        (["s3:PutObject", "s3:GetObject"], "s3:GetObject", True),
    ],
)
def test_actions(pattern, action, expected):
    assert decide(allow(pattern), action=action).allowed is expected


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        ("*", OBJECT, True),
        ("arn:aws:s3:::lab/*", OBJECT, True),
        ("arn:aws:s3:::lab", OBJECT, False),
        ("arn:aws:s3:::lab/*", "arn:aws:s3:::lab", False),
        ("arn:aws:s3:::LAB/*", OBJECT, False),
        ("arn:aws:s3:::la?/out/a", OBJECT, True),
        ("arn:aws:s3:::lab/*/a", "arn:aws:s3:::lab/x/y/a", True),
        ("arn:aws:s3:::lab/o.*", OBJECT, False),
        ("arn:aws:*:*:*:lab/*", OBJECT, True),
        # An asterisk does not reach over the parts of an ARN that stand before the resource's.
        ("arn:aws:s*:lab/out/a", OBJECT, False),
        (
            "arn:aws:states:us-east-1:1:execution:run:*",
            "arn:aws:states:us-east-1:1:execution:run:a:b",
            True,
        ),
        # What knows no resources is asked for on all of them.
        ("*", "*", True),
        ("arn:aws:s3:::*", "*", False),
        ("arn:aws:s3:::lab/${*}", "arn:aws:s3:::lab/*", True),
        ("arn:aws:s3:::lab/${*}", OBJECT, False),
    ],
)
def test_resources(pattern, resource, expected):
    assert decide(allow(resource=pattern), resource=resource).allowed is expected


def test_the_elements_that_leave_out():
    others = {
        "Effect": "Allow",
        "NotAction": "s3:PutObject",
        "NotResource": "arn:aws:s3:::lab/in/*",
    }
    assert decide(others)
    assert not decide(others, action="s3:PutObject")
    assert not decide(others, resource="arn:aws:s3:::lab/in/a")


ROLE = "arn:aws:iam::123456789012:role/lab"


@pytest.mark.parametrize(
    ("element", "principal", "expected"),
    [
        ("*", ROLE, True),
        ("*", "events.amazonaws.com", True),
        ({"AWS": "*"}, ROLE, True),
        ({"AWS": ROLE}, ROLE, True),
        ({"AWS": "123456789012"}, ROLE, True),
        ({"AWS": "arn:aws:iam::123456789012:root"}, ROLE, True),
        ({"AWS": "arn:aws:iam::999999999999:root"}, ROLE, False),
        ({"Service": "events.amazonaws.com"}, "events.amazonaws.com", True),
        ({"Service": ["sns.amazonaws.com"]}, "events.amazonaws.com", False),
        ("*", "", False),
    ],
)
def test_principals(element, principal, expected):
    assert decide(allow(Principal=element), principal=principal).allowed is expected


@pytest.mark.parametrize(
    ("condition", "context", "expected"),
    [
        ({"StringEquals": {"a:b": "x"}}, {"A:B": "x"}, True),
        ({"StringEquals": {"a:b": "x"}}, {"a:b": "X"}, False),
        ({"StringEquals": {"a:b": ["x", "y"]}}, {"a:b": "y"}, True),
        ({"StringEquals": {"a:b": "x*"}}, {"a:b": "xy"}, False),
        ({"StringEquals": {"a:b": "x"}}, {}, False),
        ({"StringEqualsIfExists": {"a:b": "x"}}, {}, True),
        ({"StringEqualsIfExists": {"a:b": "x"}}, {"a:b": "y"}, False),
        ({"StringEqualsIgnoreCase": {"a:b": "x"}}, {"a:b": "X"}, True),
        ({"StringNotEquals": {"a:b": ["x", "y"]}}, {"a:b": "y"}, False),
        ({"StringNotEquals": {"a:b": ["x", "y"]}}, {"a:b": "z"}, True),
        ({"StringNotEquals": {"a:b": "x"}}, {}, True),
        ({"StringLike": {"a:b": "x/*"}}, {"a:b": "x/y/z"}, True),
        ({"StringLike": {"a:b": "x/*"}}, {"a:b": "x"}, False),
        ({"StringLike": {"a:b": "${c:d}/*"}}, {"a:b": "me/1", "c:d": "me"}, True),
        ({"StringLike": {"a:b": "${c:d}/*"}}, {"a:b": "you/1", "c:d": "*"}, False),
        ({"StringLike": {"a:b": "${c:d}"}}, {"a:b": "x"}, False),
        (
            {"ArnEquals": {"a:b": "arn:aws:events:r:1:rule/s-*"}},
            {"a:b": "arn:aws:events:r:1:rule/s-x"},
            True,
        ),
        (
            {"ArnLike": {"a:b": "arn:aws:events:r:1:rule/s-*"}},
            {"a:b": "arn:aws:events:r:2:rule/s-x"},
            False,
        ),
        ({"Bool": {"a:b": "false"}}, {"a:b": "false"}, True),
        ({"Bool": {"a:b": False}}, {"a:b": "true"}, False),
        ({"Null": {"a:b": "true"}}, {}, True),
        ({"Null": {"a:b": "true"}}, {"a:b": "x"}, False),
        ({"NumericLessThan": {"a:b": "10"}}, {"a:b": "9"}, True),
        ({"NumericLessThan": {"a:b": "10"}}, {"a:b": "10"}, False),
        ({"ForAllValues:StringEquals": {"a:b": ["x", "y"]}}, {"a:b": ["x"]}, True),
        ({"ForAllValues:StringEquals": {"a:b": ["x", "y"]}}, {"a:b": ["x", "z"]}, False),
        ({"ForAllValues:StringEquals": {"a:b": ["x", "y"]}}, {}, True),
        ({"ForAnyValue:StringEquals": {"a:b": ["x", "y"]}}, {"a:b": ["z", "x"]}, True),
        ({"ForAnyValue:StringEquals": {"a:b": ["x", "y"]}}, {"a:b": ["z"]}, False),
        ({"StringEquals": {"a:b": "x", "c:d": "y"}}, {"a:b": "x"}, False),
        (
            {"StringEquals": {"a:b": "x"}, "Bool": {"c:d": "true"}},
            {"a:b": "x", "c:d": "true"},
            True,
        ),
    ],
)
def test_conditions(condition, context, expected):
    assert decide(allow(Condition=condition), context=context).allowed is expected


def test_what_is_not_understood_is_an_error():
    with pytest.raises(ValueError, match="IpAddress"):
        decide(
            allow(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
            context={"aws:SourceIp": "10.0.0.1"},
        )
    with pytest.raises(PolicyNotUnderstood, match="Conditions"):
        decide(allow(Conditions={}))
    mine = {"Statement": [allow(resource="arn:aws:s3:::lab/${aws:username}/*")]}
    for older in ({}, {"Version": "2008-10-17"}):
        with pytest.raises(PolicyNotUnderstood, match="Version 2008-10-17"):
            is_allowed({"old": mine | older}, "s3:GetObject", OBJECT)
    with pytest.raises(PolicyNotUnderstood, match="Federated"):
        decide(allow(Principal={"Federated": "x"}), principal=ROLE)
