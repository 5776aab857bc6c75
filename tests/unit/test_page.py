"""A run's page: one file of bounded size, in which nothing of a run becomes markup or script."""

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.accounting import Accounts
from drydock.advice import OF_INPUTS, of_attempt, of_input
from drydock.digest import Digest, Examples, cut
from drydock.failures import POLICIES
from drydock.histogram import histogram_of
from drydock.report import embeddable, report_page
from drydock.tables import FAILURE_COLUMNS, csv_bytes
from drydock.timeline import History
from tests.architecture.imports import ROOT
from tests.report.synthetic import HOSTILE, a_page, hostile_page

PAGE = ROOT / "src/drydock/page"
VENDORED = json.loads((PAGE / "vendor/vendored.json").read_text(encoding="utf-8"))


class Parsed(HTMLParser):
    """The elements of a page, and what stands in its scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.raw, self.text = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))
        if tag in ("script", "style"):
            self.raw.append([tag, dict(attrs), ""])

    def handle_data(self, data):
        if self.tags[-1:] and self.tags[-1] in ("script", "style") and self.raw:
            self.raw[-1][2] += data
        else:
            self.text += data

    def handle_endtag(self, tag):
        self.tags.append("/" + tag)


def parsed(data):
    return Parsed(report_page(data).decode())


def block(page):
    [text] = [text for _, attributes, text in page.raw if attributes.get("id") == "data"]
    return json.loads(text)


def sha256(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


@pytest.fixture(scope="module")
def small():
    return a_page(shards=3, inputs=100)


# -- what is vendored


def test_what_is_vendored_is_what_was_published():
    known = {each["file"]: each["sha256"] for each in VENDORED}
    known |= {each["licence_file"]: each["licence_sha256"] for each in VENDORED}
    there = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (PAGE / "vendor").iterdir()
        if path.name != "vendored.json"
    }
    assert there == known


@pytest.mark.parametrize("each", VENDORED, ids=lambda each: each["package"])
def test_each_library_says_where_it_comes_from_and_under_which_licence(each):
    assert each["licence"] in {"ISC", "MIT", "BSD-3-Clause"}
    assert each["version"] in each["origin"]
    assert each["origin"].startswith(f"https://registry.npmjs.org/{each['package']}/-/")
    assert each["tarball"].startswith("sha512-")
    licence = (PAGE / "vendor" / each["licence_file"]).read_text(encoding="utf-8")
    assert "Copyright" in licence
    assert "--" not in licence


def test_licences_come_along_in_the_page(small):
    text = report_page(small).decode()
    for each in VENDORED:
        assert (PAGE / "vendor" / each["licence_file"]).read_text(encoding="utf-8") in text


# -- what may run


def test_only_scripts_and_styles_whose_hashes_are_named_may_run(small):
    page = parsed(small)
    [policy] = [
        found["content"]
        for found in page.attributes
        if found.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    scripts = [text for tag, found, text in page.raw if tag == "script" and "type" not in found]
    assert rules["script-src"].split() == [sha256(text) for text in scripts]
    [style] = [text for tag, _, text in page.raw if tag == "style"]
    assert rules["style-src-elem"].split()[0] == sha256(style)
    assert all(word.startswith("'sha256-") for word in rules["style-src-elem"].split())


def test_nothing_is_fetched(small):
    for found in parsed(small).attributes:
        assert not {"src", "href", "srcset", "action", "data", "background"} & set(found)


def test_no_vendored_or_own_file_ends_its_own_element():
    for path in (*PAGE.rglob("*.js"), *PAGE.rglob("*.css")):
        text = path.read_text(encoding="utf-8").lower()
        assert not re.search(r"</(script|style)|<!--", text), path.name


def test_the_script_puts_data_into_text_alone():
    script = (PAGE / "page.js").read_text(encoding="utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|\.html\("
    assert not re.search(forbidden, script)


# -- hostile data


def test_what_is_hostile_stays_data():
    plain, hostile = parsed(a_page(shards=3, inputs=100)), parsed(hostile_page())
    assert hostile.tags == plain.tags
    names = [sorted(found) for found in hostile.attributes]
    assert names == [sorted(found) for found in plain.attributes]
    told = json.dumps(block(hostile))
    assert all(json.dumps(each)[1:-1] in told for each in HOSTILE)


@given(
    st.recursive(
        st.text() | st.integers() | st.none() | st.sampled_from(HOSTILE),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_embedded_json_says_the_same_and_holds_no_markup(data):
    text = embeddable({"it": data})
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == {"it": data}


def test_a_number_that_is_none_is_refused(small):
    with pytest.raises(ValueError, match="not JSON compliant"):
        report_page(small | {"cost": {"spent_usd": float("nan")}})


def test_the_title_is_text():
    data = a_page(shards=1, inputs=10)
    data["run"]["name"] = "</title><script>alert(1)</script>"
    page = report_page(data).decode()
    assert f"<title>{html.escape(data['run']['name'])}: done</title>" in page


# -- size


def test_the_same_data_give_the_same_page(small):
    assert report_page(small) == report_page(json.loads(json.dumps(small)))


def test_a_million_molecules_make_the_page_no_heavier_than_two_megabytes():
    big = report_page(a_page(shards=100, inputs=10_000, most_scores=200))
    assert len(big) < 1_000_000
    bigger = report_page(a_page(shards=500, inputs=100_000, most_scores=50))
    assert len(bigger) < 1.01 * len(big)


def test_what_a_run_may_write_at_will_is_cut():
    page = report_page(
        a_page(
            shards=1,
            inputs=10,
            names=["x" * 5000],
            smiles=("C" * 5000,),
            tags={"t": "x" * 10**6},
        )
    )
    assert len(page) < 1_000_000
    assert [one["smiles"] for one in block(Parsed(page.decode()))["best"][:2]] == [None, None]


# -- what is told


def test_the_page_tells_of_everything_that_was_asked_for():
    data = a_page(shards=4, inputs=1000, remaining=7)
    assert data["accounts"]["remaining"] == 7
    assert data["remaining"]["endings"] == {"exhausted": 7}
    assert data["scores"]["count"] == data["accounts"]["molecules"]
    assert [one["rank"] for one in data["best"]] == list(range(1, 101))
    assert data["best"][0]["smiles"]
    assert len(data["timeline"]["lanes"]) == len(data["timeline"]["shards"]) == 4
    cost = data["cost"]
    assert cost["pilot"]["projected_usd"]["likely"] == 31.7
    assert cost["budget_usd"] == 350
    assert cost["spent_usd"] == max(cost["work_usd"], cost["metered_usd"])
    assert [row["class"] for row in data["failures"]] == ["bad_input", "tool_failed"]
    assert all(row["meaning"] and row["advice"] for row in data["failures"])
    assert all(row["advice"] for row in data["interruptions"])
    told = data["provenance"]
    assert "@sha256:" in told["image"]
    assert told["seed"] == 1
    assert [epoch["changed"] for epoch in told["epochs"]] == [[], ["stop_after_usd"]]
    assert told["assets"][0]["etag"]


def test_values_of_variables_and_names_of_secrets_stay_out():
    values = {"environment": {"NAME": "its value"}, "secrets": {"TOKEN": "arn:of:it"}}
    told = json.dumps(a_page(shards=1, inputs=10, **values))
    assert "its value" not in told
    assert "arn:of:it" not in told
    assert '"environment": "NAME"' in told


def test_every_class_is_explained():
    assert all(of_attempt(name) for name in POLICIES)
    page = (ROOT / "docs/failures.md").read_text(encoding="utf-8")
    section = page.partition("## Failed inputs")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)) == set(OF_INPUTS)
    assert (of_input("nobody_knows"), of_attempt("nobody_knows")) == (("", ""), "")


def test_examples_are_a_few_of_each_class():
    examples = Examples()
    rows = [[n, "s3://b/k", "a" if n < 50 else "b", "why", "", 1, ""] for n in range(51)]
    examples.look({"a": 50, "b": 1}, csv_bytes(FAILURE_COLUMNS, rows))
    assert [len(examples.found[name]) for name in ("a", "b")] == [3, 1]
    assert [row["index"] for row in examples.found["a"]] == ["0", "1", "2"]
    full = {name: list(rows) for name, rows in examples.found.items()}
    examples.look({"a": 50}, b"no table is read where none is wanted: \xff")
    assert examples.found == full


def test_lines_that_are_not_whole_are_no_examples():
    examples = Examples()
    table = csv_bytes(FAILURE_COLUMNS, [[1, "s3://b/k", "a", "why", "", 1, ""]])
    cut_by_a_return = b"0,s3://b/Icon\r,a,why,,1,\n"
    head, _, line = table.partition(b"\n")
    examples.look({"a": 2}, head + b"\n" + cut_by_a_return + line)
    assert {name: [row["index"] for row in rows] for name, rows in examples.found.items()} == {
        "a": ["1"]
    }


def test_molecules_of_shards_that_tell_no_scores_are_counted():
    digest = Digest(2)
    accounts = Accounts(1, 1, 0, 0, 0, molecules=5)
    digest.enter(0, accounts, None, History())
    digest.enter(1, accounts, histogram_of([1.0] * 5), History())
    assert (digest.untold, digest.scores.count) == (5, 5)


def test_of_many_shards_the_table_has_those_that_it_went_worst_with():
    digest = Digest(1000)
    for shard in range(1000):
        digest.enter(
            shard,
            Accounts(2, 1, 0, 0, 1) if shard % 100 == 7 else Accounts(2, 2, 0, 0, 0),
            None,
            History(),
        )
    table = digest.table()
    assert len(table) < 100
    assert {row["shard"] for row in table if row["remaining"]} == set(range(7, 1000, 100))


def test_a_text_that_is_cut_says_so():
    assert (cut("abc", 3), cut("abcd", 3)) == ("abc", "ab…")
