"""``drydock-worker``: the worker as the program that job definitions name.

An image without it cannot start this command, which Batch tells apart from all that a worker says.
"""

import runpy
import sys

NAME = "drydock-worker"


def main() -> None:
    """Be ``python -m worker``.

    Where the image's entry point is this program already, the job definition's command comes to it
    as an argument.
    """
    if sys.argv[1:2] == [NAME]:
        del sys.argv[1]
    runpy.run_module("worker", run_name="__main__", alter_sys=True)
