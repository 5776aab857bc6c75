"""How many array children the embedded Batch runs per second, and what warm processes gain.

    python benchmarks/batch_children.py [children]

A child imports boto3 and ends. Measured beside it, in the same run: as many fresh interpreters
that import it too, as many at a time as the embedded Batch has slots.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from werkzeug.serving import WSGIRequestHandler, make_server

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from local.batch import Batch

IMAGE = "embedded:1"
MODULE = "benchmarks.trivial_child"
LIMIT_S = 600


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """Says nothing."""


def warm(children: int, slots: int, directory: Path) -> tuple[float, dict[str, int]]:
    """Seconds from SubmitJob to the parent's last event, and the children's statuses."""
    ended = threading.Event()

    def emit(event: dict[str, Any]) -> None:
        detail = event["detail"]
        if "size" in detail.get("arrayProperties", {}) and detail["status"] != "PENDING":
            ended.set()

    batch = Batch(
        directory=directory,
        emit=emit,
        endpoint_url=lambda: "",
        region="us-west-2",
        account="123456789012",
        stack_image=IMAGE,
        vcpus=slots,
        machines=1,
    )
    server = make_server("127.0.0.1", 0, batch, threaded=True, request_handler=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        submit = _deploy(f"http://127.0.0.1:{server.server_port}")
        began = time.perf_counter()
        submit(children)
        if not ended.wait(LIMIT_S):
            raise TimeoutError(f"the array had not ended after {LIMIT_S} s")
        return time.perf_counter() - began, batch.counts()
    finally:
        batch.close()
        server.shutdown()


def _deploy(endpoint: str) -> Callable[[int], object]:
    client = boto3.client(
        "batch",
        endpoint_url=endpoint,
        region_name="us-west-2",
        aws_access_key_id="benchmark",
        aws_secret_access_key="benchmark",
    )
    client.create_compute_environment(computeEnvironmentName="machines", type="MANAGED")
    client.create_job_queue(
        jobQueueName="queue",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "machines"}],
    )
    client.register_job_definition(
        jobDefinitionName="trivial",
        type="container",
        containerProperties={
            "image": IMAGE,
            "command": ["python", "-m", MODULE],
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": "512"},
            ],
        },
    )
    return lambda size: client.submit_job(
        jobName="trivial",
        jobQueue="queue",
        jobDefinition="trivial",
        arrayProperties={"size": size},
    )


def fresh(children: int, slots: int) -> float:
    """Seconds for as many fresh interpreters that run the same module."""

    def run(_: int) -> None:
        subprocess.run([sys.executable, "-m", MODULE], check=True)

    began = time.perf_counter()
    with ThreadPoolExecutor(slots) as pool:
        list(pool.map(run, range(children)))
    return time.perf_counter() - began


def main() -> None:
    """Prints counts, rates and their ratio."""
    children = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    slots = os.cpu_count() or 1
    os.chdir(Path(__file__).resolve().parent.parent)
    with tempfile.TemporaryDirectory() as directory:
        warm_s, statuses = warm(children, slots, Path(directory))
    fresh_s = fresh(children, slots)
    print(f"array children           {children}, {slots} at a time: {statuses}")
    print(f"embedded Batch           {children / warm_s:7.1f} children/s ({warm_s:.2f} s)")
    print(f"a fresh interpreter each {children / fresh_s:7.1f} children/s ({fresh_s:.2f} s)")
    print(f"ratio                    {fresh_s / warm_s:7.1f}")


if __name__ == "__main__":
    main()
