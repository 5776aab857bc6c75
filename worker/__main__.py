"""``python -m worker``: one attempt of one array child."""

import gc

# What is made at the start is not garbage, and looking through it takes a tenth of a second.
gc.disable()

import os  # noqa: E402 - see above
import sys  # noqa: E402

from worker.confinement import confine_worker  # noqa: E402
from worker.fetch_and_run import is_asked_for  # noqa: E402
from worker.stop_signals import Stop, heed_signals  # noqa: E402
from worker.without_docs import documentation_left_out  # noqa: E402

_SWITCH_S = 0.0002


def main() -> int:
    """Be the worker and nothing else in this process, from the first moment to the last.

    Signals are heeded before the slow imports begin, and until the process is gone.
    """
    # Threads that wait for S3 go on beside one that imports; by default it keeps them for 5 ms.
    sys.setswitchinterval(_SWITCH_S)
    confine_worker()
    stop = Stop()
    heed_signals(stop)
    arguments = sys.argv[1:]
    if arguments and not is_asked_for(os.environ):
        from worker.command_line import read_arguments  # noqa: PLC0415 - seldom needed

        read_arguments(arguments)
    with documentation_left_out():
        from worker.agent import main  # noqa: PLC0415 - see above

    return main(os.environ, stop=stop, arguments=arguments)


# CPython takes memory for the frames of calls in pieces of 16 KiB, and gives one back as soon as it
# is empty: thousands of times where a busy call happens to lie at the end of a piece. The frame of
# this function has a piece of 1 MiB, and leaves half of it to all that it calls.
main.__code__ = main.__code__.replace(co_stacksize=(1 << 16) + (1 << 10))

if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Nothing is left to do, and an interpreter that ends in order takes its time for that.
    os._exit(code)
