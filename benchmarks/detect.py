"""List requests to find what remains of 10,000 inputs, counted on the wire.

Ours reads the names of markers; the baseline asks for each input's output (one HEAD an input), the
other common way lists all outputs. moto answers all of them, in this process.

usage: python benchmarks/detect.py [INPUTS]       (10,000 by default)
"""

import os
import sys
from collections import Counter
from typing import Any

import boto3
from _figures import Figure, ratio
from _measure import table
from moto import mock_aws
from moto.s3.models import s3_backends

from drydock.errors import NotFound
from drydock.keys import RunKeys
from drydock.markers import ListedMarker, settle
from drydock.store import Store

BUCKET = "bench"
KEYS = RunKeys("0123456789abcdef", "out/")


class _Counted:
    """A store whose requests are counted by operation."""

    def __init__(self) -> None:
        client = boto3.client("s3")
        client.meta.events.register("before-call.s3", self._count)
        self.requests: Counter[str] = Counter()
        self.store = Store(client, None)

    def _count(self, model: Any, **_: Any) -> None:
        self.requests[model.name] += 1


def populate(inputs: int, pack: int, failed: int) -> None:
    """Markers of a shard in which one input in a hundred remains, and two outputs an input.

    Put straight into moto's memory: what is counted is reading.
    """
    put = s3_backends["123456789012"]["global"].put_object
    for place in range(0, inputs, pack):
        last = min(place + pack, inputs) - 1
        if place % 100 == 99 or (pack > 1 and place == 0):
            continue
        if place < failed:
            put(BUCKET, KEYS.failed_marker(0, place, 1, "bad_input"), b"{}\n")
        else:
            put(BUCKET, KEYS.done_marker(0, place, last), b"{}\n")
            for each in range(place, last + 1):
                for name in ("poses.pdbqt.gz.0", "scores.tsv.gz.0"):
                    put(BUCKET, f"{KEYS.input_folder(0, each)}{name}", b"x")


def reset_s3() -> None:
    """Forget every bucket."""
    s3_backends["123456789012"]["global"].reset()


def by_markers(store: Store, inputs: int) -> int:
    """What DetectRestarts does."""
    folder = KEYS.markers_folder(0)
    listed = (
        ListedMarker(found.key[len(folder) :], found.size, found.etag)
        for found in store.list(BUCKET, folder)
    )
    return len(settle(listed, inputs).remaining())


def by_heads(store: Store, inputs: int) -> int:
    """One question an input."""
    remaining = 0
    for place in range(inputs):
        try:
            store.head(BUCKET, f"{KEYS.input_folder(0, place)}scores.tsv.gz.0")
        except NotFound:
            remaining += 1
    return remaining


def by_outputs(store: Store, inputs: int) -> int:
    """Listing everything that the tool wrote."""
    folder = KEYS.shard_folder(0)
    with_output = {
        found.key[len(folder) :].partition("/")[0] for found in store.list(BUCKET, folder)
    }
    return inputs - len(with_output)


@mock_aws
def main() -> None:
    """Print the counts for packs of one and of a hundred, without and with failures."""
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rows, lists = [], []
    for pack, failed in ((1, 0), (1, inputs // 10), (100, 0)):
        reset_s3()
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        populate(inputs, pack, failed)
        candidates = [("markers (ours)", by_markers)]
        if failed == 0:
            candidates.insert(0, ("listing outputs", by_outputs))
        if failed == 0 and pack == 1:
            candidates.insert(0, ("a HEAD an input", by_heads))
        for name, candidate in candidates:
            counted = _Counted()
            remaining = candidate(counted.store, inputs)
            if candidate is by_heads:
                heads = counted.requests["HeadObject"]
            elif candidate is by_markers and pack == 1:
                lists.append(counted.requests["ListObjectsV2"])
            rows.append(
                (
                    f"{inputs:,}",
                    str(pack),
                    f"{failed:,}",
                    name,
                    f"{remaining:,}",
                    f"{counted.requests['HeadObject']:,}",
                    f"{counted.requests['ListObjectsV2']:,}",
                )
            )
    table(("inputs", "a pack", "failed", "way", "remaining", "HEADs", "LISTs"), rows)
    quiet, troubled = lists
    most = -(-inputs // 1000)
    Figure(
        f"requests to find what remains of {inputs:,} inputs (with {inputs // 10:,} failed)",
        f"{heads:,} (a HEAD an input)",
        f"{quiet} ({troubled})",
        ratio(quiet, heads),
        f"<= {most} (+ 1 a 1,000 failed)",
        quiet <= most and troubled <= most + inputs // 10_000,
    ).tell()


if __name__ == "__main__":
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    main()
