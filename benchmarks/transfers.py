"""Objects of 1 KB, 1 MB and 300 MB to S3 and back: seconds and memory, against `aws s3 cp`.

Each transfer is a fresh process over HTTP to a moto server in another one. Ours is what the worker
does: uploads once only (`If-None-Match: *`), downloads pinned by their ETag, both with checksums.
boto3 is `upload_file` and `download_file` (s3transfer, which `aws s3 cp` uses too); `aws` is left
out, which is said, where it is not on PATH.

usage: python benchmarks/transfers.py [MEGABYTES [TIMES]]      (300 and 3 by default)
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import peak_mib, table

BUCKET = "drydock-bench"
NAMES = {"aws": "aws s3 cp", "boto3": "boto3 (s3transfer)", "ours": "ours"}


def serve() -> None:
    """S3 by moto until standard input ends; its address is the first line."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
    sys.stdin.read()


def transfer(way: str, direction: str, path: str, key: str) -> None:
    """One transfer; prints its seconds and what memory it added."""
    if way == "ours":
        from drydock.store import Store
        from drydock.uris import S3Uri
        from worker.download import Wanted, download
        from worker.stop_signals import Stop

        store, stop = Store.connect(), Stop()

        def up() -> None:
            with Path(path).open("rb") as body:
                store.put_once(BUCKET, key, body)

        def down() -> None:
            download(store, Wanted(S3Uri(BUCKET, key)), Path(path), stop)
    else:
        import boto3

        client = boto3.client("s3")

        def up() -> None:
            client.upload_file(path, BUCKET, key)

        def down() -> None:
            client.download_file(BUCKET, key, path)

    before, began = peak_mib(), time.perf_counter()
    (up if direction == "up" else down)()
    print(json.dumps([time.perf_counter() - began, peak_mib() - before]))


def measured(way: str, direction: str, path: Path, key: str) -> tuple[float, float | None, float]:
    """Seconds of a process, those of the transfer alone, and the process's peak memory (MiB)."""
    uri = f"s3://{BUCKET}/{key}"
    if way == "aws":
        source, target = (str(path), uri) if direction == "up" else (uri, str(path))
        command = ["aws", "s3", "cp", "--only-show-errors", source, target]
    else:
        command = [sys.executable, __file__, "transfer", way, direction, str(path), key]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    said = process.stdout.read() if process.stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    alone = json.loads(said)[0] if said.strip() else None
    return seconds, alone, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def compare(folder: Path, ways: list[str], size: int, times: int) -> list[tuple[str, ...]]:
    """Both directions for one size; the ways take turns."""
    source = folder / "source"
    chunk = random.Random(1).randbytes(min(size, 1_000_000))
    with source.open("wb") as file:
        for _ in range(size // len(chunk)):
            file.write(chunk)
    taken: dict[tuple[str, str], list[tuple[float, float | None, float]]] = {}
    for again in range(times):
        for way in ways:
            key, back = f"{size}-{way}-{again}", folder / "back"
            taken.setdefault(("up", way), []).append(measured(way, "up", source, key))
            taken.setdefault(("down", way), []).append(measured(way, "down", back, key))
            if size < 10_000_000 or again == 0:
                same = subprocess.run(["cmp", source, back], check=False).returncode == 0
                if not same:
                    raise SystemExit(f"{way}: what came back is not what was sent")
            back.unlink()
    return [
        row(size, direction, way, taken, ways[0]) for direction in ("up", "down") for way in ways
    ]


def row(
    size: int,
    direction: str,
    way: str,
    taken: dict[tuple[str, str], list[tuple[float, float | None, float]]],
    first: str,
) -> tuple[str, ...]:
    """The best of one way's transfers: whatever else the machine does only adds."""
    figures = taken[direction, way]
    seconds = min(each[0] for each in figures)
    baseline = min(each[0] for each in taken[direction, first])
    alone = [each[1] for each in figures if each[1] is not None]
    shown = f"{size // 1_000_000} MB" if size >= 1_000_000 else f"{size // 1000} KB"
    return (
        shown,
        direction,
        NAMES[way],
        f"{seconds:.2f}",
        f"{seconds / baseline:.2f}",
        f"{min(alone):.3f}" if alone else "",
        f"{max(each[2] for each in figures):.0f}",
    )


def main() -> None:
    """Print the table."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join((*sys.path, str(Path(__file__).parents[1]))),
    }
    ways = ["aws", "boto3", "ours"]
    if shutil.which("aws") is None:
        ways.remove("aws")
        print("aws is not on PATH: compared with boto3 alone")
    command = [sys.executable, __file__, "serve"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes) as server:
        os.environ["AWS_ENDPOINT_URL"] = server.stdout.readline().decode().strip()
        subprocess.run([sys.executable, __file__, "bucket"], check=True)
        with tempfile.TemporaryDirectory() as folder:
            sizes = {1000: 2 * times, 1_000_000: 2 * times, megabytes * 1_000_000: times}
            rows = [
                line
                for size, repeats in sizes.items()
                for line in compare(Path(folder), ways, size, repeats)
            ]
        server.stdin.close()
    table(("size", "", "way", "s", "ratio", "transfer s", "peak MiB"), rows)


def make_bucket() -> None:
    """The bucket of all transfers."""
    import boto3

    boto3.client("s3").create_bucket(Bucket=BUCKET)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    elif sys.argv[1:2] == ["bucket"]:
        make_bucket()
    elif sys.argv[1:2] == ["transfer"]:
        transfer(*sys.argv[2:])
    else:
        main()
