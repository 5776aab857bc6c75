"""The examples of a page of the docs: commands of a shell, or of Python, and what they print."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(console|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_END = "-- the end of a command:"
# What differs from time to time, in what a page shows.
ELLIPSIS = "…"


@dataclass(frozen=True)
class Example:
    """A command, where it stands on its page, and what it prints there."""

    line: int
    command: str
    wanted: str


def blocks(page: Path, kind: str) -> Iterator[tuple[int, str]]:
    """The fenced blocks of a kind; the number of each's first line, and its text."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        if found[1] == kind:
            yield text.count("\n", 0, found.start(2)) + 1, found[2]


def examples(page: Path) -> Iterator[Example]:
    """The commands of the ``console`` blocks; ``$`` begins one, ``>`` goes on with it."""
    for first, text in blocks(page, "console"):
        began, command, wanted = 0, [], []
        for number, line in enumerate(text.splitlines(), first):
            if line.startswith("$ "):
                if command:
                    yield Example(began, "\n".join(command), "\n".join(wanted))
                began, command, wanted = number, [line[2:]], []
            elif line.startswith("> "):
                command.append(line[2:])
            else:
                wanted.append(line)
        yield Example(began, "\n".join(command), "\n".join(wanted))


def is_as_shown(shown: str, printed: str) -> bool:
    """Whether it was printed, but for what the page leaves open."""
    parts = [re.escape(part) for part in shown.strip().split(ELLIPSIS)]
    return re.fullmatch(".*?".join(parts), printed.strip(), re.DOTALL) is not None


class Shell:
    """A session of bash, as a person has it open, but for their patience: it hardly sleeps."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.do("sleep() { command sleep 1; }")

    def do(self, command: str) -> tuple[int, str]:
        """The exit code of a command, and what it printed."""
        self._bash.stdin.write(f"{command}\nprintf '\\n%s %s\\n' '{_END}' $?\n")
        self._bash.stdin.flush()
        printed = []
        for line in self._bash.stdout:
            if line.startswith(_END):
                return int(line.rsplit(" ", 1)[1]), "".join(printed)
            printed.append(line)
        raise AssertionError(f"the shell ended: {''.join(printed)}")

    def close(self) -> None:
        """End it."""
        self._bash.stdin.close()
        self._bash.wait()


# Doctest, with the page's own mark for what it leaves open, and without the page's patience.
DOCTEST = f"""
import doctest, sys, time
wait = time.sleep
time.sleep = lambda _seconds: wait(1)
# Doctest compares what can be said in ASCII.
doctest.ELLIPSIS_MARKER = "{ELLIPSIS}".encode("ascii", "backslashreplace").decode()
flags = doctest.ELLIPSIS | doctest.REPORT_ONLY_FIRST_FAILURE
failed, tried = doctest.testfile(sys.argv[1], module_relative=False, optionflags=flags)
print(tried)
sys.exit(failed > 0)
"""


def try_python(page: Path, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Do the ``pycon`` blocks of a page as one session; the exit code, and what doctest says."""
    session = folder / f"{page.stem}.txt"
    session.write_text("\n".join(text for _, text in blocks(page, "pycon")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", DOCTEST, session],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
