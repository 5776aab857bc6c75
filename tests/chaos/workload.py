"""What a chaos run works on: many small inputs of a program with steps, and some ligands.

The program is deterministic to the byte, goes on from its checkpoints, and knows two kinds of bad
input: one that it names (exit 65) and one at which it dies, always at the same step.
"""

import random
import sys
from dataclasses import dataclass

from tests.embedded.run_support import QUICK, RECEPTOR, bundle

STEPS = 8
# Each line's digest goes into the next one's: a step that is lost, doubled or out of order shows.
PROGRAM = f"""#!{sys.executable}
import hashlib, json, os, signal, sys, time

stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
lines = open(os.environ["INPUT"]).read().split()
if lines[:1] == ["unreadable"]:
    sys.exit(65)
kept = os.path.join(os.environ["CHECKPOINT_DIR"], "done.txt")
done = open(kept).read().split() if os.path.exists(kept) else []
for line in lines[len(done):]:
    time.sleep(float(os.environ["PACE"]))
    if line == "poison":
        sys.exit("poison was met")
    done.append(hashlib.sha256((line + (done[-1] if done else "")).encode()).hexdigest())
    with open(kept + ".new", "w") as file:
        file.write("\\n".join(done))
    os.replace(kept + ".new", kept)
    if stopping:
        sys.exit(1)
with open(os.path.join(os.environ["OUTPUT_DIR"], "chain.txt"), "w") as file:
    for digest in done:
        file.write(digest * 40 + "\\n")
"""
LIGANDS = ("aspirin", "caffeine", "ibuprofen", "paracetamol")


@dataclass(frozen=True)
class Workload:
    """The requests of a run by name, and how its inputs must end: done, failed, skipped."""

    requests: dict[str, dict]
    expected: dict[str, dict[str, int]]
    inputs: int


def make(put, data: str, *, inputs: int, seed: str, pace_s: float, inputs_per_job: int) -> Workload:
    """Upload `inputs` inputs in all; `put(key, body)` puts an object into the bucket `data`.

    A step takes `pace_s`; that and `inputs_per_job` are no part of what must come out.
    """
    rng = random.Random(f"{seed} workload")
    ligands = max(3, inputs // 25)
    programs = inputs - ligands
    steps, failed, skipped = _steps(put, data, programs, rng, pace_s)
    return Workload(
        {
            name: request | {"inputs_per_job": inputs_per_job, "checkpoint_seconds": 1}
            for name, request in (("steps", steps), ("vina", _vina(put, data, ligands, rng)))
        },
        {
            "steps": {
                "done": programs - failed - skipped,
                "failed": failed,
                "skipped": skipped,
                "remaining": 0,
            },
            "vina": {"done": ligands, "failed": 0, "skipped": 0, "remaining": 0},
        },
        inputs,
    )


def _steps(put, data, count, rng, pace_s):
    """A list of inputs, with bad ones, one that is not there, and some named twice."""
    bad = max(1, count // 50)
    kinds = ["unreadable"] * bad + ["poison"] * bad + ["missing"] + ["again"] * bad
    kinds += ["good"] * (count - len(kinds) - 1)
    rng.shuffle(kinds)
    lines: list[str] = []
    for number, kind in enumerate(["good", *kinds]):
        key = f"steps/in/{number:05d}.txt"
        if kind == "again":
            lines.append(rng.choice([each for each in lines if "nowhere" not in each]))
            continue
        lines.append(f"s3://{data}/{'nowhere/' if kind == 'missing' else ''}{key}")
        if kind == "missing":
            continue
        words = [f"{rng.getrandbits(64):x}" for _ in range(rng.randint(STEPS // 2, STEPS))]
        if kind == "poison":
            words[rng.randrange(1, len(words))] = "poison"
        put(key, "\n".join(["unreadable"] if kind == "unreadable" else words).encode())
    put("steps/list.txt", "\n".join(lines).encode())
    put("steps/program.py", PROGRAM.encode())
    request = {
        "name": "steps",
        "input": f"s3://{data}/steps/list.txt",
        "output": f"s3://{data}/steps/out",
        "tool": "command",
        "options": {
            "command": [sys.executable, "{assets.program}"],
            "environment": {"PACE": f"{pace_s:.4f}"},
            "bad_input_codes": [65],
            "stop_seconds": 2,
        },
        "assets": {"program": f"s3://{data}/steps/program.py"},
    }
    return request, 2 * bad + 1, bad


def _vina(put, data, count, rng):
    put("vina/receptor.pdbqt", RECEPTOR.read_bytes())
    for number in range(count):
        put(f"vina/in/{number:03d}.pdbqt", bundle(*rng.choices(LIGANDS, k=4)))
    return {
        "name": "vina",
        "input": f"s3://{data}/vina/in/",
        "output": f"s3://{data}/vina/out",
        "tool": "vina",
        "options": QUICK | {"max_evals": 5_000},
        "assets": {"receptor": f"s3://{data}/vina/receptor.pdbqt"},
    }
