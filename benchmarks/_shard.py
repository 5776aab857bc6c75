"""A shard of one input in S3, as the functions would have made it, for one worker at a time.

S3 is the embedded AWS's, in a process beside, so that its work is not counted.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from drydock.keys import ControlKeys
from drydock.store import Store
from drydock.task_document import PinnedAsset, PinnedObject, TaskDocument
from drydock.tasks import Record, encode_tasks

ROOT = Path(__file__).resolve().parent.parent
CONTROL, DATA, RUN_ID = "control", "data", "0123456789abcdef"
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def s3() -> Iterator[Store]:
    """S3 with both buckets; AWS_ENDPOINT_URL says to all that are started where it is."""
    server = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        os.environ |= ACCOUNT | {"AWS_ENDPOINT_URL": server.stdout.readline().strip()}
        client = boto3.client("s3")
        for bucket in (CONTROL, DATA):
            client.create_bucket(Bucket=bucket)
        yield Store.connect()
    finally:
        server.stdin.close()
        server.wait()


@dataclass(frozen=True)
class Shard:
    """``assets`` and ``dockfiles`` are bodies by their keys' last names."""

    store: Store
    prefix: str
    tool: str
    options: Mapping[str, Any]
    input: tuple[str, bytes]
    assets: Mapping[str, tuple[str, bytes]]
    dockfiles: Mapping[str, bytes] | None = None
    checkpoint_seconds: int = 0

    def environment(self, scratch: Path, *, path: Path | None = None) -> dict[str, str]:
        """Write the round; returns the environment of its only child."""
        environment = dict(os.environ) | {
            "S3_TASK_LOCATION": f"s3://{CONTROL}/{self._write()}",
            "AWS_BATCH_JOB_ARRAY_INDEX": "0",
            "SHRTCACHE": str(scratch),
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        }
        # As in an image, where everything is compiled.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        if path is not None:
            environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}"
        return environment

    def names(self, folder: str) -> list[str]:
        """The keys below ``markers`` or ``parts``."""
        below = f"{self.prefix}{folder}/"
        return [found.key for found in self.store.list(DATA, below)]

    def _pin(self, name: str, body: bytes) -> PinnedObject:
        key = f"{self.prefix}given/{name}"
        return PinnedObject(f"s3://{DATA}/{key}", self.store.put(DATA, key, body), len(body))

    def _write(self) -> str:
        keys = ControlKeys(RUN_ID)
        found = self._pin(*self.input)
        tasks_key = keys.round_tasks(0, 0, "a")
        record = Record(0, 0, found.uri, found.etag, found.size)
        self.store.put(CONTROL, tasks_key, encode_tasks([record]))
        assets = {}
        for name, (filename, body) in self.assets.items():
            pinned = self._pin(filename, body)
            assets[name] = PinnedAsset(pinned.uri, (pinned,))
        dockfiles = None
        if self.dockfiles is not None:
            pinned_all = tuple(
                self._pin(f"dockfiles/{name}", body) for name, body in self.dockfiles.items()
            )
            dockfiles = PinnedAsset(f"s3://{DATA}/{self.prefix}given/dockfiles/", pinned_all)
        document = TaskDocument(
            run_id=RUN_ID,
            shard=0,
            epoch=1,
            owner="arn:aws:states:us-east-1:123456789012:execution:benchmark:one",
            round=0,
            tool=self.tool,
            options=dict(self.options),
            assets=assets,
            dockfiles=dockfiles,
            output_bucket=DATA,
            output_prefix=self.prefix,
            tasks_bucket=CONTROL,
            tasks_key=tasks_key,
            run_document_key=keys.run_document(),
            inputs_per_job=1,
            size=1,
            vcpus=1,
            gpus=0,
            attempt_seconds=3600,
            checkpoint_seconds=self.checkpoint_seconds,
            kms_key_id=None,
            variables=(),
        )
        key = keys.round_document(0, 0, "a")
        self.store.put(CONTROL, key, document.to_json())
        return key


def serve() -> None:
    """Be S3; say the address in one line and end with standard input."""
    sys.path.insert(0, str(ROOT))
    from local.gateway import Gateway  # noqa: PLC0415 - the others have no use for it

    gateway = Gateway()
    gateway.listen(0)
    gateway.serve()
    print(gateway.endpoint_url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve()
