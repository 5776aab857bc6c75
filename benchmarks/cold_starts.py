"""The functions in Lambda's image, by `sam local start-lambda`: their first call and the next ones.

Milliseconds are those of the runtime's own REPORT lines; that of the first call holds the import of
the handler and the making of its clients. Lambda gives a function CPU by its memory, `sam local`
gives it what there is. Each is called with its file of events/, in the order of the run that they
tell of.
"""

import contextlib
import json
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from _measure import table
from packages import Package, packages, size

from local.deploy import STACK_IMAGE, deploy
from local.docker import bridge_addresses
from local.embedded import EmbeddedAws
from local.sam import BUILT, ROOT, VARIABLES, StartLambda, write_variables
from local.sample import REGION, Sample, event

CALLS = 6
BEFORE = ("enumerate_inputs", "detect_restarts", "submit_shard", "resubmit_interrupted.advance")
AFTER = ("aggregate_shard", "judge_pilot", "merge_results", "stop_run.sweep")
_REPORT = re.compile(r"^REPORT .*?\tDuration: ([\d.]+) ms", re.MULTILINE)


def milliseconds(
    aws: EmbeddedAws, functions: StartLambda, log: Path, stem: str
) -> tuple[str, float, float]:
    """A function's logical id, what its first call took and the median of the next ones."""
    function = aws.lambdas.function(f"drydock-{stem.partition('.')[0].replace('_', '-')}")
    payload, took = json.dumps(event(stem)).encode(), []
    for _ in range(CALLS):
        known = len(_reports(log))
        reply = functions.call(function, payload)
        if reply.failed:
            raise SystemExit(f"{stem}: {reply.payload.decode()}")
        while len(found := _reports(log)) == known:
            time.sleep(0.02)
        took.append(float(found[-1]))
    return function.logical_id, took[0], statistics.median(took[1:])


def main() -> None:
    """Print the figures."""
    # Jobs look for their modules where this does: vina is not to be the benchmark of that name.
    sys.path.append(sys.path.pop(0))
    # The events tell of this Region, whichever the caller has.
    os.environ["AWS_DEFAULT_REGION"] = REGION
    built = {package.name: package for package in packages(BUILT.parent)}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as closing:
        aws = closing.enter_context(
            EmbeddedAws(Path(folder), also=bridge_addresses(), stack_image=STACK_IMAGE)
        )
        Sample(aws, deploy(aws, ROOT / "template.yaml")).lay()
        variables, log = Path(folder) / VARIABLES, Path(folder) / "sam.log"
        write_variables(aws, variables)
        functions = closing.enter_context(
            contextlib.closing(StartLambda(variables, aws.region, log))
        )
        found = [milliseconds(aws, functions, log, stem) for stem in BEFORE]
        while set(counts := aws.batch.counts()) != {"SUCCEEDED"}:
            if "FAILED" in counts:
                raise SystemExit("the round failed")
            time.sleep(0.2)
        found += [milliseconds(aws, functions, log, stem) for stem in AFTER]
    rows = [(*_sizes(built[name]), f"{first:.0f}", f"{next_:.0f}") for name, first, next_ in found]
    table(("function", "KB zipped", "KB", "with its layers: MB zipped", "MB", "ms", "then"), rows)


def _reports(log: Path) -> list[str]:
    return _REPORT.findall(log.read_text(encoding="utf-8", errors="replace"))


def _sizes(package: Package) -> tuple[str, ...]:
    own = size(package.folder)
    # A layer's folder of packages lies in the folder that is zipped.
    layers = [size(path.parent) for path in package.layers]
    zipped = own.zipped_bytes + sum(layer.zipped_bytes for layer in layers)
    unzipped = own.unzipped_bytes + sum(layer.unzipped_bytes for layer in layers)
    return (
        package.name,
        f"{own.zipped_bytes / 1e3:.1f}",
        f"{own.unzipped_bytes / 1e3:.1f}",
        f"{zipped / 1e6:.1f}",
        f"{unzipped / 1e6:.1f}",
    )


if __name__ == "__main__":
    main()
