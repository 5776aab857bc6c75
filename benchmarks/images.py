"""Sizes of the images, and seconds to build them from nothing: python benchmarks/images.py

Needs Docker and what the images are made from; `make bench` leaves it out. The baseline is the
base with Python that the images are made on.
"""

import json
import os
import subprocess
import time
from pathlib import Path

BASE = "python:3.13-slim-trixie"
ROOT = Path(__file__).parents[1]
LEAN = ("--build-arg", "TOOLS=worker", "--build-arg", "PROGRAMS=")
# Of each: what it is, arguments, variables of `make image`.
BUILDS = (
    ("the worker alone", LEAN, {}),
    ("with vina, OpenMM, RDKit and Meeko", (), {}),
    ("the base, wrapped", (), {"FROM": BASE}),
)
# The layers of the worker and of what it imports, by their commands.
OWN = ("/requirements/worker.txt", "/tmp/wheel", " in /opt/drydock", "TOOLS=worker")


def docker(*words: str) -> str:
    """What Docker answers."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


def size_mb(image: str) -> float:
    """Unpacked, as `docker images` tells it."""
    return int(docker("image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def build(tag: str, arguments: tuple[str, ...], variables: dict[str, str]) -> float:
    """Seconds from nothing."""
    began = time.monotonic()
    subprocess.run(
        ["sh", f"{ROOT}/scripts/image", "--no-cache", *arguments],
        check=True,
        capture_output=True,
        env=os.environ | variables | {"TAG": tag},
    )
    return time.monotonic() - began


def own_mb(image: str) -> float:
    """What the worker with all that it imports is of it."""
    listed = docker("history", "--no-trunc", "--human=false", "--format", "{{json .}}", image)
    layers = [json.loads(line) for line in listed.splitlines()]
    commands = ("pip --python", "COPY")
    return (
        sum(
            int(layer["Size"])
            for layer in layers
            if any(word in layer["CreatedBy"] for word in commands)
            and any(mark in layer["CreatedBy"] for mark in OWN)
        )
        / 1e6
    )


def main() -> None:
    """Print the table."""
    base = size_mb(BASE)
    print(f"{'image':36}{'s':>6}{'MB':>7}{'more than the base':>20}{'the worker':>12}")
    print(f"{BASE:36}{'':>6}{base:7.0f}")
    for number, (what, arguments, variables) in enumerate(BUILDS):
        tag = f"drydock-measured:{number}"
        seconds = build(tag, arguments, variables)
        size = size_mb(tag)
        print(f"{what:36}{seconds:6.0f}{size:7.0f}{size - base:20.0f}{own_mb(tag):12.1f}")
        docker("rmi", tag)


if __name__ == "__main__":
    main()
