"""Containers by the command line of Docker, held as tightly as a job definition can hold them."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASE = "python:3.13-slim-trixie"
WORKER = "drydock-worker:test"
# No privilege, nothing that can be written but scratch; the host's network, where the embedded AWS
# listens on the loopback address.
HELD = (
    *("--read-only", "--tmpfs", "/scratch:exec,size=256m,uid=10001,mode=0700"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "10001:10001"),
    *("--pids-limit", "256", "--cpus", "1", "--network", "host"),
)


def docker(*words, **variables):
    """What Docker answers on stdout; its complaint is the error's text."""
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, env=os.environ | variables, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
    return done.stdout


def build(context, tag):
    """An image as its user made it, before anybody thought of drydock."""
    docker("build", "--quiet", "--tag", tag, str(context))
    return tag


def make_image(tag, *words, **variables):
    """``make image`` with that tag."""
    done = subprocess.run(
        ["sh", str(ROOT / "scripts" / "image"), *words],
        capture_output=True,
        text=True,
        env=os.environ | {"TAG": tag} | variables,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return tag


def inspect(name):
    [found] = json.loads(docker("inspect", name))
    return found


@dataclass(frozen=True)
class Container:
    """One that runs or has run."""

    id: str

    def wait(self):
        """Its exit code."""
        return int(docker("wait", self.id))

    def stop(self):
        """As a reclaim does: SIGTERM, and SIGKILL 30 s later; returns the exit code."""
        docker("stop", "--time", "30", self.id)
        return self.wait()

    def logs(self):
        done = subprocess.run(
            ["docker", "logs", self.id], capture_output=True, text=True, check=True
        )
        return done.stdout, done.stderr

    def events(self):
        """What the worker wrote to its log."""
        return [json.loads(line) for line in self.logs()[0].splitlines()]

    @property
    def running(self):
        return inspect(self.id)["State"]["Running"]

    @property
    def killed_for_memory(self):
        return inspect(self.id)["State"]["OOMKilled"]
