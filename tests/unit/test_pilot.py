"""The pilot's verdict: what it projects, and when it stops a run."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.pilot import Outcome, Prospects, judge

TERMS = Prospects(
    inputs=1000, vcpus=2, max_vcpus=100, vcpu_hour_usd=0.05, spent_usd=1.0, stop_after_usd=None
)


def verdict(seconds=(3600.0,) * 20, failed=0, remaining=0, **terms):
    values = {name: getattr(TERMS, name) for name in Prospects.__slots__} | terms
    return judge(Outcome(tuple(seconds), failed, remaining, 0.25), Prospects(**values))


def test_what_the_others_take_follows_from_the_mean():
    found = verdict()
    assert found.seconds_per_input == 3600.0
    assert (found.vcpu_hours.low, found.vcpu_hours.likely, found.vcpu_hours.high) == (2000,) * 3
    assert (found.hours.likely, found.usd.likely) == (20, 100)
    assert (found.failed_share, found.on_demand_share, found.stop) == (0.0, 0.25, None)


def test_a_spread_grows_with_the_deviation_and_shrinks_with_the_pilot():
    few = verdict([1800.0, 5400.0] * 2)
    many = verdict([1800.0, 5400.0] * 200)
    assert few.usd.likely == many.usd.likely == 100
    assert few.usd.low < many.usd.low < 100 < many.usd.high < few.usd.high
    assert few.seconds_deviation == pytest.approx(2078.461)


def test_one_input_tells_no_bounds_worth_the_name():
    found = verdict([3600.0], stop_after_usd=2.0)
    assert (found.usd.low, found.stop) == (0.0, None)
    assert found.usd.high > 1000


@pytest.mark.parametrize(
    ("done", "failed", "remaining", "stops"),
    [
        (10, 0, 0, False),
        (0, 2, 0, False),
        (3, 3, 0, False),
        (2, 3, 0, True),
        (2, 1, 2, True),
        (0, 0, 20, True),
        (21, 20, 0, False),
        (0, 0, 0, False),
    ],
)
def test_a_pilot_that_fails_more_often_than_not_stops_the_run(done, failed, remaining, stops):
    found = verdict([1.0] * done, failed, remaining)
    assert (found.stop is not None) == stops
    if stops:
        assert f"{failed} failed and {remaining} remain" in found.stop


def test_a_cost_above_the_cap_stops_the_run_and_names_it():
    assert verdict(stop_after_usd=101.0).stop is None
    assert verdict(stop_after_usd=100.99).stop == (
        "the pilot projects 100.00 USD (100.00 to 100.00) for 1000 more inputs, and 1.00 USD are "
        "spent: more than stop_after_usd, which is 100.99"
    )


def test_a_pilot_of_which_nothing_is_done_projects_nothing():
    found = verdict([], failed=2, stop_after_usd=0.01)
    assert (found.seconds_per_input, found.vcpu_hours, found.hours, found.usd) == (None,) * 4
    assert found.stop is None


def test_a_pilot_that_was_all_projects_nothing_more():
    found = verdict([1.0, 500.0], inputs=0, stop_after_usd=1.0)
    assert (found.usd.low, found.usd.likely, found.usd.high, found.stop) == (0, 0, 0, None)


seconds = st.lists(st.floats(0, 1e6), max_size=30)
counts = st.integers(0, 30)


@given(seconds, counts, counts, st.integers(0, 10**6), st.floats(0.01, 1e6))
def test_a_verdict_is_of_numbers_and_never_stops_below_its_low_end(s, failed, left, inputs, cap):
    found = verdict(s, failed, left, inputs=inputs, stop_after_usd=cap)
    assert found.inputs == len(s) + failed + left
    if found.usd is not None:
        assert 0 <= found.usd.low <= found.usd.likely <= found.usd.high
        assert math.isfinite(found.usd.high)
        assert found.vcpu_hours.likely == pytest.approx(
            math.fsum(s) / len(s) * inputs * 2 / 3600, abs=1e-3
        )
    if found.stop is not None and "projects" in found.stop:
        assert 1.0 + found.usd.low > cap


@given(seconds.filter(bool), st.floats(0.01, 1e4), st.floats(1, 10))
def test_a_raised_cap_never_stops_what_a_lower_one_let_go_on(s, cap, factor):
    if verdict(s, stop_after_usd=cap).stop is None:
        assert verdict(s, stop_after_usd=cap * factor).stop is None
