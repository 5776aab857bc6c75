"""The picture and the table of scale are what their sources say, and the counts are the code's."""

import copy
import re

import pytest

from scripts import costs, scale
from tests.architecture.imports import ROOT
from tests.costs import counting
from tests.simulation import peers

SOURCES = costs.read()
COUNTS = scale.counts()


def test_the_table_is_what_its_sources_say():
    """make scale-plot writes it anew."""
    text = scale.PAGE.read_text(encoding="utf-8")
    assert text == scale.page(text, scale.table(SOURCES, COUNTS))


def test_the_picture_is_of_these_counts_and_prices():
    """make scale-plot draws it anew."""
    picture = (ROOT / "docs/scale.svg").read_text(encoding="utf-8")
    (drawn,) = re.findall(r"<dc:description>(.*)</dc:description>", picture)
    assert drawn == scale.digest(SOURCES, COUNTS)


@pytest.mark.parametrize("name", ["transition", "s3_put", "s3_get", "lambda_gb_second", "log_gb"])
def test_a_price_that_changes_shows(name):
    prices = copy.deepcopy(SOURCES.prices)
    prices["prices"][name]["usd"] *= 2
    dearer = costs.Sources(SOURCES.template, prices, SOURCES.counts)
    assert scale.digest(dearer, COUNTS) != scale.digest(SOURCES, COUNTS)
    assert scale.table(dearer, COUNTS) != scale.table(SOURCES, COUNTS)


def test_every_way_is_told_for_every_size_and_what_was_not_run_is_told_apart():
    for way in scale.ways(SOURCES, COUNTS):
        assert [point.inputs for point in way.points] == list(scale.SIZES)
        assert not way.points[-1].counted
        assert way.last_counted.inputs >= 10_000


def test_no_service_that_is_charged_is_left_out():
    named = {what for parts in scale.SERVICES.values() for what in parts}
    for run in COUNTS["runs"]:
        assert named == {what for what, _, _ in costs.million_rows(SOURCES, run)}


SMALLEST = [run for run in COUNTS["runs"] if run["inputs"] == scale.SIZES[0]]


@pytest.mark.parametrize("run", SMALLEST, ids=lambda run: run["inputs_per_job"])
def test_the_smallest_runs_ask_for_what_was_recorded(run):
    """But for a few requests of a run: what grows with the inputs shows at once."""
    found = counting.of_functions(run["inputs"], run["inputs_per_job"])
    assert found == pytest.approx({name: run[name] for name in found}, rel=0.01, abs=4)


def test_the_bill_is_of_the_same_runs():
    larger = [run for run in COUNTS["runs"] if run["inputs"] == SOURCES.counts["runs"][0]["inputs"]]
    for run, counted in zip(larger, SOURCES.counts["runs"], strict=True):
        assert counted == {name: run[name] for name in counted}


def test_others_ideas_ask_for_what_was_recorded():
    recorded, *_ = COUNTS["peers"]
    inputs = recorded["inputs"]
    mapped, polled = peers.of_map(100), peers.of_polling(100)
    # The Map itself is a state, too.
    assert mapped["transitions"] - 1 == 100 * (recorded["map"]["transitions"] - 1) / inputs
    assert mapped["batch_calls"] == 100 * recorded["map"]["batch_calls"] / inputs
    polls = recorded["polling"]["batch_calls"] / inputs
    assert polled["batch_calls"] / 100 == pytest.approx(polls, rel=0.05)
    container = peers.of_container(100)
    for name in ("s3_put", "s3_get"):
        assert container[name] * inputs == recorded["map"][name] == recorded["polling"][name]
