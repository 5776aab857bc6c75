"""Seconds from the signal to the worker's end, for each tool, and what was saved in them.

Each worker is told to stop by SIGTERM while its tool is at work, as ECS does 30 s before SIGKILL;
one is told by a Spot notice. The longest of all repeats is shown. A tool is one entry of CASES.

usage: python benchmarks/stops.py [REPEATS] [NAME ...]      (3 by default, and all)
"""

import http.server
import importlib.util
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _measure import table
from _shard import DATA, ROOT, Shard, s3

from drydock.store import Store

AT_WORK_S = 5.0
LIMIT_S = 60.0
EXAMPLES = ROOT / "examples"
DOCK = ROOT / "tests" / "worker" / "dock38" / "stand_in.py"
BOX = {"center": [12.8, 95.1, 58.6], "size": [14, 14, 14], "exhaustiveness": 1, "seed": 1}
SAVES = """#!/bin/sh
trap 'sleep 1; date > "$CHECKPOINT_DIR/state"; exit 143' TERM
while :; do sleep 0.1; done
"""
DEAF = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]


@dataclass(frozen=True)
class Case:
    """One tool at work on one input. A module that is not installed leaves it out."""

    name: str
    tool: str
    options: Mapping[str, Any]
    input: Callable[[], tuple[str, bytes]]
    assets: Callable[[], Mapping[str, tuple[str, bytes]]] = dict
    dockfiles: Callable[[], Mapping[str, bytes]] | None = None
    needs: str | None = None
    spot: bool = False


def ligands() -> tuple[str, bytes]:
    """Small ligands, again and again."""
    text = (EXAMPLES / "vina" / "ligands" / "caffeine.pdbqt").read_bytes()
    return "many.pdbqt", (b"MODEL 1\n" + text + b"ENDMDL\n") * 500


def receptor() -> Mapping[str, tuple[str, bytes]]:
    """The example's."""
    body = (EXAMPLES / "vina" / "receptor.pdbqt").read_bytes()
    return {"receptor": ("receptor.pdbqt", body)}


def bundle() -> tuple[str, bytes]:
    """The example's first."""
    path = min((EXAMPLES / "dock38" / "inputs").iterdir())
    return path.name, path.read_bytes()


def stand_in() -> Mapping[str, tuple[str, bytes]]:
    """DOCK is not ours to bring: what the tests have in its place."""
    text = f'#!/bin/sh\nexec {sys.executable} {DOCK} "$@"\n'
    return {"dockexec": ("dock64", text.encode())}


def dockfiles() -> Mapping[str, bytes]:
    """The example's, with two seconds for a ligand."""
    folder = EXAMPLES / "dock38" / "dockfiles"
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    found["INDOCK"] += f"{'standin_seconds':30s}2\n".encode()
    return found


def water() -> tuple[str, bytes]:
    """A box of water that OpenMM brings."""
    folder = Path(importlib.util.find_spec("openmm").submodule_search_locations[0])
    return "water.pdb", (folder / "app" / "data" / "tip3p.pdb").read_bytes()


def text() -> tuple[str, bytes]:
    """Anything."""
    return "input.txt", b"x\n"


CASES = (
    Case("vina", "vina", BOX, ligands, receptor),
    Case("vina, Spot notice", "vina", BOX, ligands, receptor, spot=True),
    Case("dock38, a stand-in of 2 s a ligand", "dock38", {}, bundle, stand_in, dockfiles),
    Case(
        "openmm, 2,685 atoms",
        "openmm",
        {"steps": 1_000_000, "forcefield": ["tip3p.xml"], "report_steps": 10},
        water,
        needs="openmm",
    ),
    Case(
        "script that saves in 1 s",
        "script",
        {},
        text,
        lambda: {"script": ("saves.sh", SAVES.encode())},
    ),
    Case("command that heeds SIGTERM", "command", {"command": ["sleep", "600"]}, text),
    Case("command that ignores it", "command", {"command": DEAF}, text),
)


class Notices(http.server.BaseHTTPRequestHandler):
    """IMDSv2 of a machine that is taken away as soon as ``taken`` is set."""

    taken = threading.Event()

    def do_PUT(self) -> None:
        self._answer(200, b"token")

    def do_GET(self) -> None:
        notice = json.dumps({"action": "terminate", "time": "2026-11-20T23:00:00Z"})
        self._answer(*((200, notice.encode()) if self.taken.is_set() else (404, b"")))

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given: object) -> None:
        """Says nothing."""


def stop(case: Case, store: Store, number: int, notices: str) -> tuple[float, int, int]:
    """Seconds to the end, the exit code, and the progress that the part's record tells."""
    prefix = f"{CASES.index(case)}-{number}/"
    made = case.dockfiles() if case.dockfiles else None
    shard = Shard(store, prefix, case.tool, case.options, case.input(), case.assets(), made)
    Notices.taken.clear()
    with tempfile.TemporaryDirectory() as scratch:
        environment = shard.environment(Path(scratch))
        if case.spot:
            environment |= {
                "AWS_EC2_METADATA_DISABLED": "false",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": notices,
            }
        command = [sys.executable, "-m", "worker"]
        process = subprocess.Popen(
            command, cwd=scratch, env=environment, stdout=subprocess.PIPE, text=True
        )
        for line in process.stdout:
            if '"start"' in line:
                break
        threading.Thread(target=process.stdout.read, daemon=True).start()
        time.sleep(AT_WORK_S)
        if process.poll() is not None:
            raise SystemExit(f"{case.name}: ended with {process.returncode} before it was stopped")
        began = time.perf_counter()
        if case.spot:
            Notices.taken.set()
        else:
            process.send_signal(signal.SIGTERM)
        code = process.wait(LIMIT_S)
        seconds = time.perf_counter() - began
    records = [key for key in shard.names("parts") if key.endswith(".json")]
    saved = [json.loads(store.get(DATA, key).body)["progress"] for key in records]
    return seconds, code, max(saved, default=0)


def main() -> None:
    """Print a line a case."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    names = sys.argv[2:]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Notices)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    notices = f"http://127.0.0.1:{server.server_port}"
    rows = []
    with s3() as store:
        for case in CASES:
            if names and case.tool not in names:
                continue
            if case.needs and importlib.util.find_spec(case.needs) is None:
                rows.append((case.name, "not here", "", "", ""))
                continue
            found = [stop(case, store, number, notices) for number in range(repeats)]
            longest = max(seconds for seconds, _, _ in found)
            codes = " ".join(str(code) for code in sorted({code for _, code, _ in found}))
            saved = " ".join(str(progress) for _, _, progress in found)
            limit = "120" if case.spot else "30"
            rows.append((case.name, f"{longest:.2f}", limit, codes, saved))
    table(("tool", "s to the end", "of", "exit code", "progress saved"), rows)


if __name__ == "__main__":
    main()
