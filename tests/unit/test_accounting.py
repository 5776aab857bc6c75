"""Accounts add up or are none; how a run ends follows from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.accounting import Accounts, add_up, verdict
from drydock.errors import Malformed

counts = st.integers(0, 1000)


@st.composite
def accounts(draw):
    done, failed, skipped, remaining = (draw(counts) for _ in range(4))
    return Accounts(
        done + failed + skipped + remaining,
        done,
        failed,
        skipped,
        remaining,
        molecules=draw(counts),
        seconds=float(draw(counts)),
        late_markers=draw(counts),
        failures=draw(st.dictionaries(st.sampled_from("abc"), counts)),
    )


@given(st.lists(accounts(), max_size=5))
def test_shards_add_up_to_the_run(found):
    total = add_up(found)
    for name in (
        "inputs",
        "done",
        "failed",
        "skipped",
        "remaining",
        "molecules",
        "late_markers",
        "seconds",
    ):
        assert getattr(total, name) == sum(getattr(each, name) for each in found)
    for name in "abc":
        assert total.failures.get(name, 0) == sum(each.failures.get(name, 0) for each in found)


@given(counts, counts, counts, counts, st.integers(-5, 5).filter(bool))
def test_accounts_that_do_not_add_up_are_none(done, failed, skipped, remaining, off):
    with pytest.raises(Malformed, match="do not add up"):
        Accounts(done + failed + skipped + remaining + off, done, failed, skipped, remaining)


WHOLE, PART = Accounts(4, 2, 1, 1, 0), Accounts(4, 2, 1, 0, 1)


@pytest.mark.parametrize("reason", [None, "user", "misconfiguration"])
def test_a_run_without_anything_remaining_is_done(reason):
    assert verdict(WHOLE, reason, "why").status == "done"
    assert verdict(WHOLE, reason, "why").error is None


@pytest.mark.parametrize(
    ("reason", "status", "error"),
    [
        (None, "incomplete", "RunIncomplete"),
        ("user", "stopped", "RunStopped"),
        ("budget", "stopped", "RunStopped"),
        ("misconfiguration", "stopped", "RunMisconfigured"),
    ],
)
def test_a_run_with_anything_remaining_never_succeeds(reason, status, error):
    found = verdict(PART, reason, "why")
    assert (found.status, found.error) == (status, error)
    assert "1 of 4 inputs remain" in found.cause
    assert ("why" if reason else "results/accounting.json says why") in found.cause


@pytest.mark.parametrize(
    ("done", "molecules", "knows"), [(2, 5, True), (0, 0, True), (2, 0, False), (0, 5, True)]
)
def test_inputs_that_are_done_without_molecules_tell_of_a_tool_that_knows_none(
    done, molecules, knows
):
    found = Accounts(
        inputs=3, done=done, failed=3 - done, skipped=0, remaining=0, molecules=molecules
    )
    assert found.knows_molecules is knows
