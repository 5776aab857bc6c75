"""`python embedded_owner.py DIRECTORY`: an embedded AWS that tells its address and waits."""

import sys
import time
from pathlib import Path

from local.embedded import EmbeddedAws
from local.names import function_arn
from local.specs import FunctionSpec

if __name__ == "__main__":
    with EmbeddedAws(Path(sys.argv[1])) as aws:
        arn = function_arn(aws.region, "sleep")
        code = Path(__file__).parent / "sample_functions"
        aws.register_function(FunctionSpec("sleep", arn, "samples.sleep", code, timeout_s=600))
        sys.stdout.write(f"{aws.endpoint_url}\n")
        sys.stdout.flush()
        time.sleep(600)
