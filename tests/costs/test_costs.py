"""docs/costs.md is what its sources say, and its counts are what the code does."""

import copy

import pytest

from scripts import costs
from tests.architecture.imports import ROOT
from tests.costs import counting

SOURCES = costs.read()


def million(sources):
    return [
        sum(usd for *_, usd in costs.million_rows(sources, run)) for run in sources.counts["runs"]
    ]


def with_price(name, usd):
    prices = copy.deepcopy(SOURCES.prices)
    prices["prices"][name]["usd"] = usd
    return costs.Sources(SOURCES.template, prices, SOURCES.counts)


def test_the_page_is_what_its_sources_say():
    """make costs writes it anew."""
    assert (ROOT / "docs/costs.md").read_text(encoding="utf-8") == costs.page(SOURCES)


def test_every_price_says_where_it_is_from():
    assert SOURCES.prices["checked"].isoformat() >= "2026-11-21"
    for each in SOURCES.prices["prices"].values():
        assert each["page"].startswith("https://aws.amazon.com/")
        assert each["read"]
        assert each["unit"]


@pytest.mark.parametrize("name", sorted(SOURCES.prices["prices"]))
def test_every_price_counts_somewhere(name):
    told = costs.page(with_price(name, 12345.0))
    figures = costs.page(SOURCES).partition("## The prices")[0]
    assert told.partition("## The prices")[0] != figures


def test_a_million_inputs_are_reckoned_from_counts_and_prices():
    """Beside the table: 5 PUTs and 6 GETs of a container an input."""
    first, _ = SOURCES.counts["runs"]
    container = SOURCES.counts["container"]["first_input"]
    puts = first["containers"] * container["s3_put"] * 10 * 0.000005
    rows = {what: usd for what, _, usd in costs.million_rows(SOURCES, first)}
    assert rows["PUT and LIST by containers"] == pytest.approx(puts)
    one, packed = million(SOURCES)
    assert packed < one


def test_schedules_are_the_templates():
    calls = costs.calls_a_month(SOURCES.template, 730)
    assert calls == 730 * (60 / 15 + 60 / 5)


def test_what_a_container_asks_for_is_what_was_recorded():
    for which, counted in counting.of_container(3).items():
        recorded = SOURCES.counts["container"][which]
        assert {**counted, "log_bytes": 0} == {**recorded, "log_bytes": 0}
        # Lines tell of seconds, which have one digit or two.
        assert counted["log_bytes"] == pytest.approx(recorded["log_bytes"], rel=0.1)


@pytest.mark.parametrize("run", SOURCES.counts["runs"], ids=lambda run: run["inputs_per_job"])
def test_what_the_functions_ask_for_is_what_was_recorded(run):
    pack, shards = run["inputs_per_job"], run["shards"]
    found = counting.of_functions(1200, pack, shard_size=600, machines=2)
    # All that is not an input's is a run's or a shard's, which is much of so small a run.
    each = run["s3_get"] / run["inputs"]
    assert each <= found["s3_get"] / found["inputs"] <= 1.2 * each
    assert found["transitions"] - 7 * found["shards"] == run["transitions"] - 7 * shards
