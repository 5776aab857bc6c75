"""Meters of what runs: against what really ran, however often and whenever somebody looks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.budget import (
    MAX_GAP_S,
    Meter,
    Sample,
    Spend,
    announcement,
    measure,
    overshoot,
    parse_spend,
    settle,
)
from drydock.errors import Malformed

JOB = "job-1"


def watched(looks, vcpus, ended_at=None):
    """A meter after looks at a job that began at 0; ``vcpus`` are those that run at a time."""
    meter = Meter()
    for now in looks:
        is_over = ended_at is not None and now >= ended_at
        sample = Sample(JOB, 0 if is_over else vcpus(now), 0.0, ended_at if is_over else None)
        meter = measure(meter, sample, now)
    return meter


def test_what_runs_between_two_looks_counts_as_their_mean():
    found = watched([300.0, 600.0, 900.0], lambda _: 8, ended_at=900.0)
    assert found.vcpu_seconds == 8 * 150 + 8 * 300 + 8 * 150


def test_a_job_that_ended_between_looks_counts_to_its_end():
    meter = measure(Meter(10.0, JOB, 4, 300.0), Sample(JOB, 0, 0.0, 400.0), 600.0)
    assert (meter.vcpu_seconds, meter.vcpus) == (10 + 4 / 2 * 100, 0)
    assert measure(meter, Sample(JOB, 0, 0.0, 400.0), 9000.0) == meter


def test_the_next_round_s_job_counts_from_its_claim():
    meter = measure(Meter(0.0, JOB, 4, 300.0), Sample("job-2", 6, 500.0), 600.0)
    assert meter.vcpu_seconds == 4 / 2 * 200 + 6 / 2 * 100
    assert (meter.job_id, meter.vcpus, meter.looked_at) == ("job-2", 6, 600.0)


def test_a_pause_between_epochs_costs_an_hour_at_most():
    meter = measure(Meter(0.0, JOB, 10, 0.0), Sample(JOB, 10, 0.0), 7 * 86_400.0)
    assert meter.vcpu_seconds == 10 * MAX_GAP_S


def test_a_shard_has_used_no_less_than_its_accounts_say():
    assert settle(Meter(100.0), 250.0, 2) == Meter(250.0, settled_in=2)
    assert settle(Meter(300.0), 250.0, 2) == Meter(300.0, settled_in=2)


looks = st.lists(st.floats(0, 50_000), min_size=1, max_size=40)
curves = st.lists(st.integers(0, 500), min_size=1, max_size=10)


@given(looks, st.integers(0, 500))
def test_meters_never_run_backwards_and_never_count_more_than_ran(times, vcpus):
    meter, before = Meter(), 0.0
    for now in times:
        meter = measure(meter, Sample(JOB, vcpus, 0.0), now)
        assert before <= meter.vcpu_seconds <= vcpus * max(times) + 1e-6
        before = meter.vcpu_seconds


@given(st.lists(st.floats(0, 50_000), min_size=1, max_size=20, unique=True), curves, st.data())
def test_a_look_that_comes_again_or_late_adds_nothing(times, curve, data):
    """Each look is delivered once or more often, at once or behind later ones."""
    ran = itertools.cycle(curve)
    samples = [(now, Sample(JOB, next(ran), 0.0)) for now in sorted(times)]
    once = Meter()
    for now, sample in samples:
        once = measure(once, sample, now)
    again, done = Meter(), []
    for now, sample in samples:
        again = measure(again, sample, now)
        done.append((now, sample))
        for late, old in data.draw(st.lists(st.sampled_from(done), max_size=2)):
            again = measure(again, old, late)
    assert again == once


@given(curves, st.integers(1, 3))
def test_regular_looks_are_wrong_only_by_what_changed_between_them(curve, missed):
    """``curve`` says what runs in each five minutes; of ``missed`` looks one comes."""

    def running(now):
        return curve[min(int(now // 300), len(curve) - 1)]

    end = 300.0 * len(curve)
    times = [300.0 * n for n in range(0, len(curve) + 1, missed)]
    found = watched([*times, end], running, ended_at=end)
    truth = 300 * sum(curve)
    changes = sum(abs(b - a) for a, b in itertools.pairwise([0, *curve, 0]))
    assert abs(found.vcpu_seconds - truth) <= changes * 300 * missed


meters = st.builds(
    Meter, st.floats(0, 1e9), st.text(max_size=5), st.integers(0, 9), st.floats(0, 1e9)
)


@given(st.dictionaries(st.integers(0, 999), meters, max_size=5))
def test_a_document_is_read_as_it_was_written(found):
    assert parse_spend(Spend(found).to_json()) == Spend(found)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"meters": {"x": {}}}', b'{"meters": [1]}'])
def test_what_is_no_document_is_told(body):
    with pytest.raises(Malformed):
        parse_spend(body)


def test_a_cost_is_vcpu_hours_at_their_price():
    assert Spend({0: Meter(3600.0), 7: Meter(7200.0)}).usd(0.05) == pytest.approx(0.15)


def test_the_possible_overshoot_is_told_at_the_start():
    more = overshoot(512, 14_400, 0.05)
    assert (more.unseen_usd, more.finishing_usd) == pytest.approx((2.1333, 102.4), rel=1e-3)
    assert announcement(250, 512, 14_400, 0.05) == (
        "stop_after_usd: 250 USD are looked at every 5 minutes; until then up to 2.13 USD more may "
        "be spent, and up to 102.40 USD while inputs that run are finished (512 vCPUs at a time, "
        "0.05 USD each an hour)"
    )
