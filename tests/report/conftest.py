"""A page of a run in a Chromium without a window, and all that it does there."""

import os
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import sync_playwright

from drydock.report import report_page

# Nothing of its own that would reach for the network, and no sandbox: containers have none for it.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
DESKTOP = {"width": 1200, "height": 900}


@dataclass
class Seen:
    """A page that was opened, what it fetched, and what it complained about."""

    page: object
    fetched: list = field(default_factory=list)
    complaints: list = field(default_factory=list)
    dialogs: list = field(default_factory=list)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Open the page of some data, at a width and in a colour scheme, and wait until it is drawn."""
    contexts = []

    def opened(data, viewport=DESKTOP, color_scheme="light", **more):
        path = tmp_path / f"{len(contexts)}.html"
        path.write_bytes(report_page(data))
        context = browser.new_context(viewport=viewport, color_scheme=color_scheme, **more)
        contexts.append(context)
        seen = Seen(context.new_page())
        seen.page.on("request", lambda asked: seen.fetched.append(asked.url))
        seen.page.on("console", lambda said: seen.complaints.append(said.text))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on("dialog", lambda shown: (seen.dialogs.append(shown.message), shown.dismiss()))
        seen.page.goto(path.as_uri())
        if more.get("java_script_enabled", True):
            seen.page.wait_for_selector("html[data-drawn]", state="attached")
        return seen

    yield opened
    for context in contexts:
        context.close()
