import json

import pytest

from local.schedules import ScheduleInvalidError, period_s
from local.specs import InputTransformer, RuleSpec, TargetSpec
from local.targets import PathInvalidError, at_path, target_input

EVENT = {
    "region": "us-east-1",
    "detail": {"bucket": {"name": "intake"}, "key": 'a "quoted" key', "sizes": [5, 6]},
}


def given_to(**values):
    target = TargetSpec("t", "arn:aws:sqs:us-east-1:123456789012:q", **values)
    rule = RuleSpec("uploads", (target,), pattern={})
    return target_input(target, rule, EVENT)


def test_a_target_gets_the_whole_event():
    assert json.loads(given_to()) == EVENT


def test_a_constant_input_replaces_the_event():
    assert given_to(input='{"sweep": true}') == '{"sweep": true}'


def test_an_input_path_picks_a_part():
    assert json.loads(given_to(input_path="$.detail.bucket")) == {"name": "intake"}


def test_a_transformer_puts_values_in_as_json_or_into_a_string():
    template = (
        '{"key": <key>, "uri": "s3://<bucket>/<key>", "sizes": <sizes>,'
        ' "by": "<aws.events.rule-name>"}'
    )
    paths = {"bucket": "$.detail.bucket.name", "key": "$.detail.key", "sizes": "$.detail.sizes"}
    assert json.loads(given_to(input_transformer=InputTransformer(paths, template))) == {
        "key": 'a "quoted" key',
        "uri": 's3://intake/a "quoted" key',
        "sizes": [5, 6],
        "by": "uploads",
    }


def test_a_transformer_leaves_unknown_names_alone():
    assert given_to(input_transformer=InputTransformer({}, '"<nothing>"')) == '"<nothing>"'


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", EVENT),
        ("$.detail.sizes[1]", 6),
        ("$['detail']['key']", 'a "quoted" key'),
        ("$.detail.missing", None),
        ("$.detail.sizes[9]", None),
    ],
)
def test_a_path_leads_to_its_value(path, found):
    assert at_path(EVENT, path) == found


@pytest.mark.parametrize("path", ["detail", "$..key", "$.detail[*]", "$.detail["])
def test_a_path_of_another_form_is_refused(path):
    with pytest.raises(PathInvalidError):
        at_path(EVENT, path)


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60),
        ("rate(15 minutes)", 900),
        ("rate(2 hours)", 7200),
        ("rate(1 day)", 86_400),
    ],
)
def test_a_rate_is_a_period(expression, seconds):
    assert period_s(expression) == seconds


@pytest.mark.parametrize(
    "expression",
    ["rate(1 minutes)", "rate(2 minute)", "rate(0 minutes)", "cron(0 * * * ? *)", "15 minutes"],
)
def test_a_schedule_that_is_no_rate_is_refused(expression):
    with pytest.raises(ScheduleInvalidError):
        period_s(expression)
