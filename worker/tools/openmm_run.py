"""A simulation in a process of its own: ``python -m worker.tools.openmm_run``, in its folder.

Reads ``job.json``, obeys lines on standard input, writes what happens to ``events.jsonl`` and what
it has finished to ``segment-<n>/``. A segment is whole once its event is written. Whatever ends the
simulation early is an event too, and the exit code 3.
"""

import errno
import os
import re
import shutil
import sys
from pathlib import Path

from worker.tools.openmm_job import CANNOT_IMPORT, EVENTS, FAILED, JOB, Job, read_job

try:
    from openmm import testInstallation

    from worker.tools.openmm_build import (
        Build,
        CannotSimulateError,
        find_platform,
        whereabouts,
    )
    from worker.tools.openmm_loop import Events, Loop, Orders
except ImportError as error:
    sys.stderr.write(f"OpenMM cannot be imported: {error}\n")
    sys.exit(CANNOT_IMPORT)

# More memory for the job does not enlarge a GPU's: that is no reason to try again with more.
_NO_MEMORY = re.compile(r"bad_alloc|(?<!CUDA_ERROR_)out.of.memory", re.IGNORECASE)
# Less than this is none: a file's last block was refused.
_NO_ROOM_BYTES = 1 << 20


def main() -> int:
    """Simulate as the job in this folder says; returns the exit code."""
    folder = Path.cwd()
    events = Events(folder / EVENTS)
    orders = Orders()
    try:
        return _simulate(read_job(folder / JOB), folder, events, orders)
    except Exception as error:  # noqa: BLE001 - the worker judges
        kind, reason = verdict(error, folder)
        events.tell("failed", kind=kind, reason=reason)
    return FAILED


def verdict(error: Exception, folder: Path) -> tuple[str, str]:
    """What an error means for the worker, and its text in one line."""
    if isinstance(error, CannotSimulateError):
        return error.kind, error.reason
    # Python code of force fields and file formats raises whatever it meets.
    reason = " ".join(str(error).split())[:1000] or type(error).__name__
    if isinstance(error, MemoryError) or _NO_MEMORY.search(reason):
        return "memory", f"memory ran out: {reason}"
    if _is_full(error, folder):
        return "no_room", f"{os.strerror(errno.ENOSPC)}: {reason}"
    return "died", reason


def _simulate(job: Job, folder: Path, events: Events, orders: Orders) -> int:
    if job.test:
        _test_installation()
    platform, properties = find_platform(job)
    files = folder / "files"
    files.mkdir()
    build = Build(job, files)
    simulation = build.simulation(platform, properties)
    exact = job.restart is None or build.restore(simulation)
    events.tell("ready", exact=exact, **whereabouts(simulation))
    loop = Loop(simulation, job.options, folder, events)
    ended = loop.go(orders)
    events.tell("ended", complete=ended)
    return 0


def _test_installation() -> None:
    """OpenMM's own test, into the log.

    Raises:
        CannotSimulateError: the platforms disagree.
    """
    try:
        testInstallation.run_tests()
    except Exception as error:
        raise CannotSimulateError(
            "misconfigured", f"openmm.testInstallation failed: {error}"
        ) from error
    finally:
        sys.stdout.flush()


def _is_full(error: Exception, folder: Path) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return shutil.disk_usage(folder).free < _NO_ROOM_BYTES


if __name__ == "__main__":
    sys.exit(main())
