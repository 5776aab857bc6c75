"""The command line of ``python -m worker``: what it is asked about, and nothing that it needs.

All that an attempt does is said by variables of the environment.
"""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from drydock import __version__
from drydock.failures import EXIT_DONE, EXIT_MISCONFIGURED

_DESCRIPTION = """\
One attempt of one array child of AWS Batch: skips the inputs that are settled, goes on from the
parts of earlier attempts, and settles the rest. What it does is said by the environment."""

_EPILOG = """\
variables, in a run of drydock:
  S3_TASK_LOCATION            the round's task document; then the locations below are not read
  AWS_BATCH_JOB_ARRAY_INDEX   which child this is (0)

variables, by hand:
  S3_INPUT_LOCATION           a list of URIs (the index'th line) or a prefix (the index'th object)
  S3_OUTPUT_LOCATION          outputs go below <index>/
  S3_DOCKFILES_LOCATION       copied with all below it, for the tool
  S3_DOCKEXEC_LOCATION        the executable of DOCK 3.8 (dock64 on PATH)
  BATCH_FILE_TYPE             script or zip, to fetch and run
  BATCH_FILE_S3_URL           that script or zip; the container's arguments are its own
  NO_ACCESS_KEY               any text: S3 with the role or these keys; empty: with keys that
                              Secrets Manager keeps as aws_access_key and aws_secret_key
  TOOL, VCPUS                 which tool (by the dockfiles), how many threads it starts (1)
  ATTEMPT_SECONDS             the attempt's deadline (none)
  CHECKPOINT_SECONDS          the period of parts (at a stop alone)
  SHRTCACHE                   base of scratch (/tmp)

exit codes:
  0    everything of this child is settled; by hand: done
  1    try again: interrupted, or a failure that may pass
  71   the tool ran out of memory: with more of it there is another try
  74   the scratch was full; on another machine there may be room
  75   a later round decides: stopped on purpose, a deadline without progress
  78   nothing can work until something is changed; a sentence on stderr says what
  by hand a failed input exits with the tool's own code when it had one, else with 1

docs/by_hand.md has all of them, with their defaults and what a wrong value gets."""


class _Parser(argparse.ArgumentParser):
    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """A wrong command line is for nobody to try again."""
        super().exit(EXIT_MISCONFIGURED if status else EXIT_DONE, message)


def read_arguments(given: Sequence[str]) -> argparse.Namespace:
    """Answer ``--help`` and ``--version`` and exit, or refuse what is no argument."""
    parser = _Parser(
        prog="python -m worker",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"drydock {__version__}")
    return parser.parse_args(given)
