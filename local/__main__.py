"""`python -m local`: see `local.command`."""

import sys

# Processes that multiprocessing starts import this module too, under another name.
if __name__ == "__main__":
    from local.command import main

    sys.exit(main())
