"""`python embedded_owner.py DIRECTORY`: an embedded AWS that tells its address and waits."""

import sys
import time
from pathlib import Path

from local.embedded import EmbeddedAws

if __name__ == "__main__":
    with EmbeddedAws(Path(sys.argv[1])) as aws:
        sys.stdout.write(f"{aws.endpoint_url}\n")
        sys.stdout.flush()
        time.sleep(600)
