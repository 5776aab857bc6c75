"""``drydock-worker``: the worker as the program that job definitions name.

An image without it cannot start this command, which Batch tells apart from all that a worker says.
"""

import runpy


def main() -> None:
    """Be ``python -m worker``."""
    runpy.run_module("worker", run_name="__main__", alter_sys=True)
