"""``python -m worker``: one attempt of one array child."""

import os
import sys

from worker.confinement import confine_worker

if __name__ == "__main__":
    confine_worker()
    if len(sys.argv) > 1:
        from worker.command_line import read_arguments

        read_arguments(sys.argv[1:])
    from worker.agent import main

    sys.exit(main(os.environ))
