"""A process that owns warm processes, to be killed by a test: prints their pids, then waits."""

import os
import sys
import time
from pathlib import Path

from local.processes import WarmProcesses


def main(directory: Path) -> None:
    processes = WarmProcesses([])
    env = {"PATH": os.environ["PATH"]}
    script = f"sleep 300 & echo $! > {directory}/grandchild; exec sleep 300"
    handles = [
        processes.start(argv=["sh", "-c", script], env=env, cwd=directory, log=directory / "sh"),
        processes.start(
            module="tests.embedded.batch_sleeper",
            argv=[],
            env=env,
            cwd=directory,
            log=directory / "py",
        ),
    ]
    for name in ("grandchild", "py"):
        while not ((directory / name).exists() and (directory / name).read_text()):
            time.sleep(0.01)
    sys.stdout.write(" ".join(str(handle.pid) for handle in handles) + "\n")
    sys.stdout.flush()
    if len(sys.argv) == 2:
        time.sleep(300)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
