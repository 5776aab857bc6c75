"""A run's page as a browser shows it: drawn, quiet, readable in every light and on every width."""

import re

import pytest

from tests.report.synthetic import HOSTILE, SMILES, a_page, hostile_page

PHONE = {"width": 390, "height": 844}
SECTIONS = ["accounts", "best", "scores", "timeline", "cost", "failures", "provenance"]


@pytest.fixture(scope="module")
def small():
    return a_page(shards=12, inputs=200, remaining=40)


@pytest.fixture(scope="module")
def big():
    return a_page(shards=100, inputs=10_000, most_scores=300)


def quiet(seen):
    """Nothing was fetched beside the file itself, and nothing complained of."""
    assert [url for url in seen.fetched if not url.startswith("file://")] == []
    assert len(seen.fetched) == 1
    assert seen.complaints == []
    assert seen.dialogs == []


def colour(seen, selector, name="color"):
    script = "([selector, name]) => getComputedStyle(document.querySelector(selector))[name]"
    return seen.page.evaluate(script, [selector, name])


def brightness(text):
    return sum(int(number) for number in re.findall(r"\d+", text)[:3])


def test_every_section_is_there_and_drawn(open_page, small):
    seen = open_page(small)
    page = seen.page
    assert (
        page.eval_on_selector_all("main > section", "all => all.map((one) => one.id)") == SECTIONS
    )
    assert page.locator(".molecules > li > svg").count() == 18
    assert page.locator(".molecules .undrawn").count() == 0
    assert page.locator("#scores .chart rect").count() > 10
    assert page.locator("#timeline .chart rect").count() >= 12
    assert page.locator("#timeline .chart circle").count() > 12
    assert page.locator("#cost .chart rect").count() == 3
    quiet(seen)


def test_of_many_shards_it_shows_how_many_were_at_work(open_page, big):
    seen = open_page(big)
    assert seen.page.locator("#timeline figure").count() == 2
    assert seen.page.locator("#timeline tbody tr").count() == 60
    assert "1,000" not in seen.page.locator("#accounts dd").first.inner_text()
    assert seen.page.locator("#accounts dd").first.inner_text() == "990,020"
    quiet(seen)


def test_without_smiles_budget_and_pilot_it_is_whole(open_page):
    data = a_page(shards=2, inputs=4, smiles=None, pilot=0, stop_after_usd=None)
    data["cost"] |= {"pilot": None, "budget_usd": None, "metered_usd": None}
    seen = open_page(data)
    assert seen.page.locator("#best svg").count() == 0
    assert seen.page.locator("#best tbody tr").count() == 100
    assert seen.page.locator("#cost .chart").count() == 0
    quiet(seen)


def test_without_anything_done_it_is_whole(open_page, small):
    nothing = {"inputs": 7, "done": 0, "failed": 0, "skipped": 0, "remaining": 7}
    nothing |= {"molecules": 0, "failed_molecules": 0, "seconds": 0.0, "lost_seconds": None}
    data = small | {
        "accounts": small["accounts"] | nothing | {"interruptions": {}},
        "best": [],
        "scores": None,
        "timeline": {"epochs": [], "lanes": [], "interruptions": [], "shards": [], "of": 0},
        "failures": [],
        "interruptions": [],
    }
    seen = open_page(data)
    there = seen.page.eval_on_selector_all("main > section", "all => all.map((one) => one.id)")
    assert there == ["accounts", "cost", "failures", "provenance"]
    links = seen.page.eval_on_selector_all("nav a", "all => all.map((one) => one.hash)")
    assert links == [f"#{name}" for name in there]
    quiet(seen)


def test_what_is_hostile_is_shown_as_text(open_page):
    seen = open_page(hostile_page())
    text = seen.page.locator("main").inner_text()
    assert "</script><script>alert(1)</script>" in text
    assert "<img src=x onerror=alert(1)>" in text
    assert seen.page.locator("main img, main script, main iframe, main [onerror]").count() == 0
    assert seen.page.locator(".molecules .undrawn").count() == 18
    hrefs = seen.page.eval_on_selector_all("a", "all => all.map((one) => one.getAttribute('href'))")
    assert all(re.fullmatch(r"#[a-z]+|[a-z]+\.(?:csv|json)", href) for href in hrefs)
    quiet(seen)
    assert any(text in seen.page.content() for text in HOSTILE)


def test_scripts_that_are_not_the_pages_do_not_run(open_page, small):
    seen = open_page(small)
    seen.page.evaluate(
        """() => {
          const added = document.createElement("script");
          added.textContent = "document.title = 'taken'";
          document.body.append(added);
          const link = document.createElement("a");
          link.setAttribute("onclick", "document.title = 'taken'");
          document.body.append(link);
          link.click();
        }"""
    )
    assert seen.page.title() == "zinc22-H25-d4: incomplete"
    assert len(seen.complaints) == 2


def test_it_is_dark_where_the_system_is(open_page, small):
    light, dark = open_page(small), open_page(small, color_scheme="dark")
    for seen, is_dark in ((light, False), (dark, True)):
        assert (brightness(colour(seen, "body", "backgroundColor")) < 382) == is_dark
        for selector, name in (
            ("h1", "color"),
            ("#scores .chart svg text", "fill"),
            (".molecules svg tspan", "fill"),
        ):
            assert (brightness(colour(seen, selector, name)) > 382) == is_dark, selector
        quiet(seen)


def test_on_a_phone_nothing_stands_out_of_the_page(open_page, small):
    seen = open_page(small, viewport=PHONE)
    width = seen.page.evaluate("document.documentElement.scrollWidth")
    assert width == PHONE["width"]
    for chart in seen.page.locator(".chart svg").all():
        assert chart.bounding_box()["width"] <= PHONE["width"]
    quiet(seen)


def test_it_prints_in_light_with_whole_charts(open_page, small):
    seen = open_page(small, color_scheme="dark")
    assert seen.page.pdf(format="A4", print_background=True).startswith(b"%PDF")
    seen.page.emulate_media(media="print")
    assert brightness(colour(seen, "body", "backgroundColor")) > 700
    assert colour(seen, "figure", "breakInside") == "avoid"
    assert colour(seen, "nav", "display") == "none"
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for chart in seen.page.locator(".chart svg").all():
        assert chart.get_attribute("width") == "680"
    assert seen.page.locator("#accounts details").get_attribute("open") is not None
    seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert seen.page.locator("#accounts details").get_attribute("open") is None
    quiet(seen)


def test_every_picture_says_in_words_what_it_shows(open_page, small):
    seen = open_page(small)
    pictures = seen.page.locator("svg[role=img]")
    assert pictures.count() == 18 + 3
    for picture in pictures.all():
        assert len(picture.get_attribute("aria-label")) > 10
    assert seen.page.locator("svg:not([role=img], [aria-hidden], svg svg)").count() == 0
    for table in seen.page.locator("table").all():
        assert table.locator("caption").count() == 1
        assert table.locator("th[scope]").count() > 0
    levels = seen.page.eval_on_selector_all("h1, h2, h3", "all => all.map((one) => one.tagName)")
    assert levels[:2] == ["H1", "H2"]
    assert levels.count("H1") == 1


def test_the_logarithmic_scale_shows_the_few_at_the_ends(open_page, big):
    seen = open_page(big)
    heights = (
        "all => all.map((one) => Number(one.getAttribute('height'))).filter((h) => h > 3).length"
    )
    linear = seen.page.eval_on_selector_all("#scores .chart g[aria-label=rect] rect", heights)
    seen.page.get_by_label("logarithmic").check()
    logarithmic = seen.page.eval_on_selector_all("#scores .chart g[aria-label=rect] rect", heights)
    assert logarithmic > linear
    quiet(seen)


def test_without_scripts_it_says_where_the_figures_are(open_page, small):
    seen = open_page(small, java_script_enabled=False)
    assert "accounting.json" in seen.page.locator("noscript").inner_text()


def test_what_cannot_be_drawn_is_named_all_the_same(open_page):
    smiles = ("C" * 399, "(" * 100, "not a molecule", "CCO.[Na+].[Cl-]", "C%12CCCC%12")
    seen = open_page(a_page(shards=1, inputs=10, smiles=smiles))
    cards = seen.page.locator(".molecules li").all()[: len(smiles)]
    drawn = [card.locator("svg").count() for card in cards]
    assert drawn == [0, 0, 0, 1, 1]
    assert all("ZINC" in card.inner_text() for card in cards)
    quiet(seen)


def test_molecules_are_drawn_with_all_of_their_atoms(open_page):
    seen = open_page(a_page(shards=1, inputs=10))
    drawings = seen.page.locator(".molecules svg").all()
    for smiles, drawing in zip(SMILES, drawings, strict=False):
        drawn = "".join(drawing.locator("text").all_text_contents())
        wanted = [
            symbol for symbol in ("N", "O", "S", "F", "Cl", "Br", "I", "P") if symbol in smiles
        ]
        assert [symbol for symbol in wanted if symbol not in drawn] == []
        assert drawing.locator("line").count() >= smiles.count("c") // 2
        assert "structure of ZINC" in drawing.get_attribute("aria-label")
    quiet(seen)
