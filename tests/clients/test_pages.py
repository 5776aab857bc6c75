"""The pages for users of the AWS CLI and of boto3: every command on them, as it stands there."""

import pytest

from tests.clients.pages import Example, blocks, examples, is_as_shown, try_python
from tests.containers.engine import ROOT

# In this order: monitoring looks at what was submitted.
PAGES = [ROOT / "docs" / name for name in ("submitting.md", "monitoring.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_the_page_prints_what_the_page_shows(page, shell, folder, environment):
    tried = [(example, *shell.do(example.command)) for example in examples(page)]
    assert len(tried) > 10
    wrong = [
        f"{page.name}:{example.line}: {example.command}\nended with {code} and printed\n{printed}"
        for example, code, printed in tried
        if code or not is_as_shown(example.wanted, printed)
    ]
    assert not wrong, "\n".join(wrong)
    code, told = try_python(page, folder, environment)
    assert code == 0, told
    assert int(told) >= sum(text.count(">>>") for _, text in blocks(page, "pycon")) > 5


def test_what_a_page_shows_is_compared(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```console\n$ cat <<END\n> a\n> END\na\n$ echo b\nc\n```\n")
    first, second = examples(page)
    assert first == Example(4, "cat <<END\na\nEND", "a")
    assert (second.line, second.command, second.wanted) == (8, "echo b", "c")


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a", "a\n", True),
        ("a", "b\n", False),
        ("a…c", "abbc", True),
        ("a…c", "a\nb\nc\n", True),
        ("a…", "b", False),
        ("", "an error", False),
        ("[…]", "[1", False),
    ],
)
def test_what_the_page_leaves_open_is_open_and_nothing_else(shown, printed, same):
    assert is_as_shown(shown, printed) is same


def test_a_python_session_that_prints_something_else_fails(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```pycon\n>>> 1 + 1\n3\n```\n")
    code, told = try_python(page, tmp_path, {})
    assert code == 1
    assert "Expected:" in told
