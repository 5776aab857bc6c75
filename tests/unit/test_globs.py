"""Patterns of outputs, against what the shell's own globbing finds on a disk."""

import glob

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.globs import glob_matches, glob_problem

NAMES = ["a.bam", "a.bam.bai", "b.log", "d/a.bam", "d/e/a.bam", "d/e/f/x", "[x].txt", "sp ace"]
PATTERNS = [
    *("*", "**", "*.bam", "**/*.bam", "d/*", "d/**", "d/**/*.bam", "**/e/**", "?.log", "[ab].*"),
    *("[!a]*", "[[]x].txt", "*/*/*", "d/*/*.bam", "sp ace", "**/a.*", "**/**/x"),
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_means_what_it_means_to_glob(tmp_path, pattern):
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = glob.glob(pattern, root_dir=tmp_path, recursive=True)  # noqa: PTH207 - the one to compare with
    expected = {name for name in found if (tmp_path / name).is_file()}
    assert {name for name in NAMES if glob_matches(name, pattern)} == expected
    assert glob_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("", "is needed"),
        ("a\0b", "is needed"),
        ("/etc/*", "below the output folder"),
        ("../*", "below the output folder"),
        ("d/../../x", "below the output folder"),
        ("./x", "below the output folder"),
        ("d//x", "below the output folder"),
        ("d/", "below the output folder"),
        ("a**b", "** must be a whole step"),
        ("**/**/**/**/x", "at most 3 **"),
        ("[ab", "a [ has no ]"),
        ("[[][x", "a [ has no ]"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern, told):
    assert told in glob_problem(pattern)


@given(st.lists(st.text("ab*?[]!", min_size=1, max_size=6), min_size=1, max_size=5).map("/".join))
def test_any_pattern_can_be_matched(pattern):
    if glob_problem(pattern) is None:
        assert glob_matches("a/b/a", pattern) in (True, False)
        assert glob_matches(pattern.replace("*", "x"), pattern.replace("*", "x")) or any(
            character in pattern for character in "?[!"
        )
