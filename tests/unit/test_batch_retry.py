"""evaluateOnExit as AWS documents it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.batch.retry import is_retried
from local.batch.validation import RefusedError, check_retry_strategy

RECLAIMED = {"container": {}, "statusReason": "Host EC2 (instance i-0abc) terminated."}
EXITED_1 = {"container": {"exitCode": 1}, "statusReason": "Essential container in task exited"}
NO_IMAGE = {
    "container": {"reason": "CannotPullContainerError: manifest unknown"},
    "statusReason": "Task failed to start",
}


def decide(rules, attempt, made=1):
    strategy = {"attempts": 3, "evaluateOnExit": rules}
    return is_retried(strategy, [attempt] * made)


@pytest.mark.parametrize(
    ("rule", "attempt", "matches"),
    [
        ({"onStatusReason": "Host EC2*"}, RECLAIMED, True),
        ({"onStatusReason": "host ec2*"}, RECLAIMED, True),
        ({"onStatusReason": "Host EC2"}, RECLAIMED, False),
        ({"onStatusReason": "Host EC2*"}, EXITED_1, False),
        ({"onExitCode": "1"}, EXITED_1, True),
        ({"onExitCode": "1*"}, {"container": {"exitCode": 137}}, True),
        ({"onExitCode": "1"}, {"container": {"exitCode": 137}}, False),
        ({"onExitCode": "1"}, RECLAIMED, False),
        ({"onReason": "CannotPullContainerError:*"}, NO_IMAGE, True),
        ({"onReason": "*"}, EXITED_1, True),
        ({"onReason": "*"}, RECLAIMED, True),
        ({"onExitCode": "1", "onStatusReason": "Essential*"}, EXITED_1, True),
        ({"onExitCode": "1", "onStatusReason": "Host EC2*"}, EXITED_1, False),
    ],
)
def test_a_rule_matches_when_all_that_it_names_does(rule, attempt, matches):
    # What no rule matches is retried: a rule that says EXIT shows whether it matched.
    assert decide([rule | {"action": "EXIT"}], attempt) is not matches


def test_the_first_match_decides():
    retry, leave = ({"onReason": "*", "action": action} for action in ("retry", "Exit"))
    assert decide([retry, leave], EXITED_1)
    assert not decide([leave, retry], EXITED_1)


@pytest.mark.parametrize(("made", "again"), [(1, True), (2, True), (3, False)])
def test_every_attempt_counts(made, again):
    assert decide([], RECLAIMED, made) is again


def test_without_a_strategy_there_is_one_attempt():
    assert not is_retried({}, [EXITED_1])


@given(
    text=st.text(alphabet="abAB .:", max_size=6), pattern=st.text(alphabet="abAB .:", max_size=6)
)
def test_a_pattern_is_a_whole_text_or_a_beginning(text, pattern):
    attempt = {"container": {}, "statusReason": text}
    whole = {"onStatusReason": pattern, "action": "EXIT"}
    beginning = {"onStatusReason": f"{pattern}*", "action": "EXIT"}
    assert decide([whole], attempt) is (text.lower() != pattern.lower())
    assert decide([beginning], attempt) is not text.lower().startswith(pattern.lower())


@pytest.mark.parametrize(
    "strategy",
    [
        {},
        {"attempts": 1},
        {"attempts": 10, "evaluateOnExit": [{"onReason": "*", "action": "EXIT"}] * 5},
        {"attempts": 2, "evaluateOnExit": [{"onStatusReason": "Host EC2*", "action": "retry"}]},
        {"attempts": 2, "evaluateOnExit": [{"onExitCode": "13*", "action": "RETRY"}]},
    ],
)
def test_strategies_that_aws_takes(strategy):
    check_retry_strategy(strategy)


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "RETRY"},
        {"onExitCode": "", "action": "RETRY"},
        {"onExitCode": "1", "action": "AGAIN"},
        {"onReason": "**", "action": "EXIT"},
        {"onStatusReason": "Host (EC2", "action": "EXIT"},
    ],
)
def test_rules_that_aws_refuses(rule):
    with pytest.raises(RefusedError, match="Evaluate on exit"):
        check_retry_strategy({"attempts": 2, "evaluateOnExit": [rule]})
