"""`sam local` as a person types it in this checkout, with the flags of samconfig.toml."""

import json
import subprocess

from local.sam import ROOT, SAM, sam_environment
from local.sample import EVENTS


def function_of(stem):
    """The function that a file of events/ is for, as the template calls it."""
    return "".join(map(str.title, stem.partition(".")[0].split("_"))) + "Function"


def invoke(function, event, variables):
    """What the function answers to a file; sam's exit status is 0 for a failed function too."""
    done = subprocess.run(
        [SAM, "local", "invoke", function, "--event", event, "--env-vars", variables],
        cwd=ROOT,
        env=sam_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout, f"{function} ran out of time: {done.stderr}"
    return json.loads(done.stdout)


def invoke_sample(stem, variables):
    """What the function that a file of events/ is for answers to it."""
    answer = invoke(function_of(stem), EVENTS / f"{stem}.json", variables)
    assert "errorType" not in answer, (stem, answer)
    return answer
