"""The ledger: every shard's line, their sum, and an execution's output that stays small."""

import json

from hypothesis import given
from hypothesis import strategies as st

from drydock.accounting import Accounts, add_up
from drydock.effort import Effort
from drydock.failures import RULES
from drydock.ledger import Ledger

counts = st.integers(0, 99)


@st.composite
def accounts(draw):
    done, failed, skipped, remaining = (draw(counts) for _ in range(4))
    interruptions = draw(st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)))
    return Accounts(
        done + failed + skipped + remaining,
        done,
        failed,
        skipped,
        remaining,
        effort=Effort(rounds=draw(counts), jobs=draw(counts), interruptions=interruptions),
        ending="exhausted" if remaining else None,
        texts={"unknown": "a text"} if remaining else {},
    )


def enter(ledger, found):
    for shard, each in enumerate(found):
        ledger.enter(shard, each, turns=shard + 1)


def read(ledger, **head):
    with ledger.accounting(head) as body:
        return json.loads(body.read())


@given(st.lists(accounts(), max_size=6))
def test_the_accounting_holds_the_runs_fields_and_a_line_for_each_shard(found):
    with Ledger() as ledger:
        enter(ledger, found)
        assert ledger.total == add_up(found)
        assert ledger.turns == {shard: shard + 1 for shard in range(len(found))}
        written = read(ledger, run_id="r", nothing=None)
    assert (written["run_id"], written["nothing"]) == ("r", None)
    assert [line["shard"] for line in written["shards"]] == list(range(len(found)))
    for line, each in zip(written["shards"], found, strict=True):
        assert line == {"shard": line["shard"], **each.as_json()}
        assert ("ending" in line) == ("texts" in line) == bool(each.remaining)
        assert line["rounds"] == each.effort.rounds


def test_the_accounting_can_be_written_more_than_once():
    with Ledger() as ledger:
        enter(ledger, [Accounts(1, 1, 0, 0, 0)])
        assert read(ledger, a=1) == read(ledger, a=1)


@given(st.lists(accounts(), max_size=12), st.randoms(use_true_random=False))
def test_the_worst_shards_are_named_in_whatever_order_they_come(found, shuffle):
    numbered = list(enumerate(found))
    with Ledger() as one, Ledger() as other:
        for shard, each in numbered:
            one.enter(shard, each, 1)
        shuffle.shuffle(numbered)
        for shard, each in numbered:
            other.enter(shard, each, 1)
        worst = one.in_brief()["worst_shards"]
        assert other.in_brief()["worst_shards"] == worst
    named = {each["shard"] for each in worst}
    assert len(worst) == min(
        3, sum(1 for a in found if a.remaining or a.failed or a.effort.interrupted)
    )
    least = min((each["remaining"] for each in worst), default=0)
    assert all(a.remaining <= least for shard, a in enumerate(found) if shard not in named)


def test_an_execution_says_less_than_8_kib_whatever_happened():
    names = {rule.failure_class for rule in RULES} | {"unknown", "terminated"}
    worst = Accounts(
        10_000,
        0,
        0,
        0,
        10_000,
        failures=dict.fromkeys(names, 10_000),
        effort=Effort(9999, 10**8, 10**8, 10**9, dict.fromkeys(names, 10**9), 1e12 + 0.123, True),
        ending="exhausted",
        texts=dict.fromkeys(names, "x" * 300),
    )
    with Ledger() as ledger:
        for shard in range(2000):
            ledger.enter(shard, worst, 50)
        assert len(json.dumps(ledger.in_brief())) < 4096
        assert len(read(ledger, run_id="r")["shards"]) == 2000
