"""`python -m local`: see `local.command`."""

import gc
import logging
import os
import sys

# Processes that multiprocessing starts import this module too, under another name.
if __name__ == "__main__":
    # Collecting while a thousand modules are imported finds nothing and takes a sixth of the start.
    gc.disable()
    from local.command import main

    code = main()
    # All that was started has ended by now; taking the libraries apart would take another second.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
