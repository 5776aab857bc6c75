"""What others wrote reaches the terminal as text alone."""

import pytest

from drydock.plain import plain


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("ligand\tZINC-0001 -9.3 kcal/mol, Å, 分子", "ligand\tZINC-0001 -9.3 kcal/mol, Å, 分子"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[H\x1b[?25lgone", "gone"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mC1", "C1"),
        ("\x1b(0line drawing", "line drawing"),
        ("never closed \x1b]0;title", "never closed "),
        ("a\x1b", "a\\x1b"),
        ("10 %\r20 %", "10 %\\r20 %"),
        ("one\ntwo", "one\\ntwo"),
        ("bell\x07 back\x08 nul\x00", "bell\\x07 back\\x08 nul\\x00"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028new line", "\\u2028new line"),
    ],
)
def test_nothing_but_text_is_left(text, printed):
    assert plain(text) == printed
