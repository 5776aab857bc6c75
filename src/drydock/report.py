"""A run's page: one file that holds its data, its styles and the libraries that draw it.

Whatever a run brought along (names, SMILES, reasons, URIs) is data: it stands in one block of JSON
in which no markup can begin, and the page's script puts it into text alone. The policy of the page
lets those scripts run whose hashes it names and nothing else, and nothing be fetched
(https://www.w3.org/TR/CSP3/).
"""

import base64
import functools
import hashlib
import json
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

# In the order in which they need each other.
_LIBRARIES = ("d3", "plot", "smiles-drawer")
# The few rules that Plot puts into each chart, and SmilesDrawer into each drawing: the same ones
# always, as long as the page's script asks for them with the same options.
_LIBRARIES_STYLES = (
    "'sha256-+TfQir1nvDucAdvE6XUQBt4ayUjpAWkbw2kCdSfekHM='",
    "'sha256-KNSGTmxJJJ3ofBB9wo4Mp2q7tEmAvYnyURWGy+7oyHI='",
)
# Characters that could end the block, begin a comment in it, or end a line of script; JSON has
# another spelling for each.
_SPELLED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def report_page(data: dict[str, Any]) -> bytes:
    """The page that shows the data; the same bytes for the same data.

    Raises:
        ValueError: a number is none.
    """
    libraries = [_read(f"vendor/{name}.min.js") for name in _LIBRARIES]
    style, script = _read("page.css"), _read("page.js")
    return (
        Template(_read("page.html"))
        .substitute(
            policy=escape(_policy(style, (*libraries, script))),
            title=escape(f"{data['run']['name']}: {data['run']['status']}"),
            style=style,
            data=embeddable(data),
            libraries="\n".join(map(_library, _LIBRARIES, libraries)),
            script=script,
        )
        .encode()
    )


def no_page(name: str, reason: str) -> bytes:
    """What lies in the page's place where it could not be made."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
        f"<title>{escape(name)}</title></head><body><p>The page of {escape(name)} could not be "
        f"made: {escape(reason)}. The figures are in accounting.json, top.csv, failures.csv and "
        "run.json beside it.</p></body></html>\n"
    ).encode(errors="replace")


def embeddable(data: dict[str, Any]) -> str:
    """JSON that can stand within a script element, whatever is in it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.translate(_SPELLED)


def _policy(style: str, scripts: tuple[str, ...]) -> str:
    hashes = " ".join(_hash(script) for script in scripts)
    styles = " ".join((_hash(style), *_LIBRARIES_STYLES))
    return (
        f"default-src 'none'; script-src {hashes}; style-src-elem {styles}; "
        # Where a label of a drawing stands is an attribute of the drawing's.
        "style-src-attr 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _library(name: str, source: str) -> str:
    """A library with its licence before it, as the licences ask."""
    return f"<!--\n{_read(f'vendor/LICENSE.{name}')}-->\n<script>{source}</script>"


@functools.cache
def _read(name: str) -> str:
    return files("drydock").joinpath("page", *name.split("/")).read_text(encoding="utf-8")
