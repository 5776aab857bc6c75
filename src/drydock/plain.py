"""Makes text of others safe to print.

Keys, reasons and log lines are whatever somebody wrote; printed raw, control characters among them
would move the cursor, retitle the window or forge lines.
"""

import re

# Colours, cursor movements, titles and the like: ECMA-48's control sequences and strings.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"
    r"|\x1b[ -/]*[0-~]"
)
# C0 but the tab, DEL, C1, line separators, and what turns the direction of writing around.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """One line without terminal sequences, in which other control characters show as escapes."""
    return _CONTROLS.sub(_escaped, _SEQUENCES.sub("", text))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
