"""``python -m worker``: one attempt of one array child."""

import os
import sys

from worker.confinement import confine_worker
from worker.stop_signals import Stop, heed_signals


def main() -> int:
    """Be the worker and nothing else in this process, from the first moment to the last.

    Signals are heeded before the slow imports begin, and until the process is gone.
    """
    confine_worker()
    stop = Stop()
    heed_signals(stop)
    if len(sys.argv) > 1:
        from worker.command_line import read_arguments  # noqa: PLC0415 - seldom needed

        read_arguments(sys.argv[1:])
    from worker.agent import main  # noqa: PLC0415 - see above

    return main(os.environ, stop=stop)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Nothing is left to do, and an interpreter that ends in order takes its time for that.
    os._exit(code)
