"""What a container asks of S3 to learn its work, and what objects an input of 1,000 ligands leaves.

A child of an array of 10,000 learns its work by what the service wrote for it; the baseline reads
the whole list and takes its line, as scripts for arrays do. The worker is the real one with a
stand-in for Vina that takes no time; moto is its S3, in this process, and every request is counted.

usage: python -m tests.figures.child [CHILDREN [LIGANDS]]      (10,000 and 1,000 by default)
"""

import os
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws

from benchmarks._figures import Figure, ratio
from benchmarks._measure import table
from drydock.store import Store
from tests.worker.support import CONTROL, DATA, Shard, bundle, ligand
from worker.agent import main as work

LIST_KEY = "lists/all.txt"
KIB = 1024
# Vina's batch mode: a pose for each file behind --batch.
TOOL = """#!{python} -SE
import sys
words = sys.argv[1:]
folder = words[words.index("--dir") + 1]
print("Computing Vina grid ... done.", flush=True)
for name in words[words.index("--batch") + 1 :]:
    path = folder + "/" + name[: -len(".pdbqt")] + "_out.pdbqt"
    with open(name) as given, open(path, "w") as out:
        out.write("MODEL 1\\nREMARK VINA RESULT:    -8.500      0.000      0.000\\n")
        out.write(given.read() + "ENDMDL\\n")
"""


class Requests:
    """All requests of a client: operation, key, bytes of the answer's body."""

    def __init__(self, client: Any) -> None:
        self.all: list[tuple[str, str, int]] = []
        client.meta.events.register("before-parameter-build.s3", self._asked)
        client.meta.events.register("after-call.s3", self._answered)

    def _asked(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["about"] = str(params.get("Key", params.get("Prefix", "")))

    def _answered(self, model: Any, parsed: Any, context: dict[str, Any], **_: Any) -> None:
        sizes = int(parsed.get("ContentLength", 0)) if model.name == "GetObject" else 0
        self.all.append((model.name, context["about"], sizes))

    def below(self, *folders: str) -> list[tuple[str, str, int]]:
        """Those about keys in some folders."""
        return [each for each in self.all if each[1].startswith(folders)]

    def beside(self, *folders: str) -> list[tuple[str, str, int]]:
        """Those that neither read from these folders nor write anything."""
        own = self.below(*folders)
        return [each for each in self.all if each not in own and each[0] != "PutObject"]


def line(child: int) -> str:
    """A line of a list like a ZINC tranche's."""
    return f"s3://{DATA}/zinc-22a/H{child % 30:02d}/{child:09d}.db2.tgz"


def by_whole_list(client: Any, child: int) -> str:
    """The baseline."""
    body = client.get_object(Bucket=DATA, Key=LIST_KEY)["Body"].read()
    return body.decode().splitlines()[child]


def by_worker(client: Any, shard: Shard, child: int) -> None:
    """The real worker, to its end."""
    said = StringIO()
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(said):
        code = work(shard.environment(Path(scratch), child), Store(client))
    if code:
        raise SystemExit(f"the worker ended with {code}: {said.getvalue()}")


def tool(folder: Path) -> Path:
    """A folder with a stand-in for Vina that takes no time."""
    path = folder / "vina"
    path.write_text(TOOL.format(python=sys.executable))
    path.chmod(0o755)
    return folder


def learn(children: int) -> tuple[Requests, Requests]:
    """The baseline's requests, and those of the worker for one child of many."""
    client = boto3.client("s3")
    lines = [line(each) for each in range(children)]
    client.put_object(Bucket=DATA, Key=LIST_KEY, Body="\n".join(lines).encode())
    child = children // 2
    shard = Shard(Store(client), [("in/a.pdbqt", ligand("caffeine"))])
    (record,) = shard.records
    # As many records as children; only this child's input is there.
    shard.records = [replace(record, place=n, index=n, uri=line(n)) for n in range(children)]
    shard.records[child] = replace(record, place=child, index=child)
    shard.write_round()
    theirs = Requests(client)
    assert by_whole_list(client, child) == lines[child]
    found, ours = list(theirs.all), Requests(client)
    by_worker(client, shard, child)
    theirs.all = found
    return theirs, ours


def leave(ligands: int) -> tuple[int, int]:
    """Objects that an object a ligand makes, and those that the worker leaves for them."""
    client = boto3.client("s3")
    given = ("in/b.pdbqt", bundle(*[ligand("caffeine")] * ligands))
    shard = Shard(Store(client), [given], prefix="other/")
    for number in range(ligands):
        client.put_object(Bucket=DATA, Key=f"peer/{number:06d}_out.pdbqt", Body=b"x")
    by_worker(client, shard, 0)
    listed = [found.key for found in Store(client).list(DATA, "")]
    return tuple(sum(key.startswith(below) for key in listed) for below in ("peer/", shard.prefix))


@mock_aws
def main() -> None:
    """Print both comparisons."""
    children = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    ligands = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    client = boto3.client("s3")
    for bucket in (CONTROL, DATA):
        client.create_bucket(Bucket=bucket)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PATH"] = f"{tool(Path(folder))}{os.pathsep}{os.environ['PATH']}"
        theirs, ours = learn(children)
        objects, left = leave(ligands)
    told = ours.below("runs/")
    beside = ours.beside("in/", "assets/")
    (whole,) = theirs.all
    bytes_told = sum(size for _, _, size in told)
    rows = [
        ("the whole list", f"{whole[2]:,}", "1", ""),
        ("ours", f"{bytes_told:,}", f"{len(told)}", f"{len(beside)} of {len(ours.all)}"),
    ]
    table(("way to learn", "bytes", "requests", "all beside its data"), rows)
    table(
        ("", "request of ours", "about"),
        [("" if each in beside else "its data", *each[:2]) for each in ours.all],
    )
    table(
        ("ligands", "way", "objects"),
        [
            (f"{ligands:,}", "an object a ligand", f"{objects:,}"),
            (f"{ligands:,}", "ours", f"{left}"),
        ],
    )
    Figure(
        f"bytes that one of {children:,} children reads to learn its work",
        f"{whole[2]:,} (the whole list)",
        f"{bytes_told:,}",
        ratio(bytes_told, whole[2]),
        "<= 8,192",
        bytes_told <= 8 * KIB,
    ).tell()
    told_requests = (f"{len(beside)}", "", "<= 6", len(beside) <= 6)
    Figure(
        "its requests beside the data it reads and writes", "1 (the list)", *told_requests
    ).tell()
    Figure(
        f"result objects of {ligands:,} ligands",
        f"{objects:,} (one a ligand)",
        f"{left}",
        ratio(left, objects),
        "<= 4",
        left <= 4,
    ).tell()


if __name__ == "__main__":
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    main()
