"""Histograms merge exactly: in whatever order, and whatever was added where."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.errors import Malformed
from drydock.histogram import Histogram, histogram_of, parse_histogram

MOST = 8
SCORES = st.lists(st.floats(-1e6, 1e6), max_size=60)


def of(values):
    return histogram_of(values, most=MOST)


def merged(*parts):
    whole = Histogram(most=MOST)
    for part in parts:
        whole.merge(of(part))
    return whole


@given(st.lists(SCORES, max_size=5))
def test_what_shards_tell_of_is_what_all_of_their_values_would(parts):
    assert merged(*parts) == of([value for part in parts for value in part])


@given(st.lists(SCORES, max_size=5), st.randoms())
def test_the_order_of_shards_and_of_values_changes_nothing(parts, chance):
    shuffled = [chance.sample(part, len(part)) for part in chance.sample(parts, len(parts))]
    assert merged(*shuffled) == merged(*parts)


@given(SCORES, SCORES, SCORES)
def test_it_does_not_matter_what_is_merged_with_what_first(one, two, three):
    left, right = merged(one, two), merged(two, three)
    left.merge(of(three))
    other = of(one)
    other.merge(right)
    assert left == other


@given(SCORES)
def test_every_value_is_counted_once_in_few_bins_that_hold_it(values):
    found = of(values)
    assert found.count == len(values)
    assert len(found.bins) <= MOST
    for value in values:
        number = math.floor(value / found.width)
        assert number in found.bins
        assert number * found.width <= value < (number + 1) * found.width
    if values:
        assert (found.lowest, found.highest) == (min(values), max(values))


@given(SCORES)
def test_bins_are_no_wider_than_they_must_be(values):
    found = of(values)
    narrower = {math.floor(value / (found.width / 2)) for value in values}
    assert found.exponent == found.finest or len(narrower) > MOST


@given(SCORES)
def test_a_histogram_comes_back_from_its_json(values):
    assert parse_histogram(json.loads(json.dumps(of(values).as_json()))) == of(values)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0, 1))
def test_a_quantile_has_its_share_below_it_as_closely_as_bins_tell(values, share):
    found = of(values)
    told = found.quantile(share)
    below = sum(value < told - found.width for value in values)
    not_above = sum(value <= told + found.width for value in values)
    assert below <= share * len(values) * (1 + 1e-9)
    assert not_above >= share * len(values) * (1 - 1e-9)
    assert min(values) <= told <= max(values)


def test_an_outlier_costs_a_bin_and_not_the_resolution():
    found = histogram_of([n / 10 for n in range(100)] + [1e6])
    assert found.width == 2**-7
    assert found.count == 101


def test_what_is_in_no_bin_is_counted_aside():
    found = of([1e300, -math.inf, math.nan, 1.0])
    assert (found.count, found.beyond) == (1, 2)
    found.merge(of([math.inf]))
    assert found.beyond == 3


def test_without_values_there_is_no_quantile():
    assert Histogram().quantile(0.5) is None


def test_those_bounds_hold_with_the_times_of_this_century():
    found = histogram_of([1.79e9 + n for n in range(100_000)], finest=0, most=64)
    assert len(found.bins) <= 64
    assert found.count == 100_000


@pytest.mark.parametrize(
    "fields", [{}, {"finest": 0}, {"finest": 0, "most": 8, "exponent": 0, "bins": [1]}, None]
)
def test_what_is_no_histogram_is_refused(fields):
    with pytest.raises(Malformed):
        parse_histogram(fields)
