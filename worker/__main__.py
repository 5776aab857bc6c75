"""``python -m worker``: one attempt of one array child."""

import os
import sys

from worker.agent import main

if __name__ == "__main__":
    sys.exit(main(os.environ))
