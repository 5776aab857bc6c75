"""Docker, by its command line: the little that the embedded AWS wants of it."""

from __future__ import annotations

import shutil
import socket
import subprocess

# How a container names the machine that it runs on, everywhere where Docker runs.
HOST = "host.docker.internal"
ADD_HOST = f"{HOST}:host-gateway"


def container_url(endpoint_url: str) -> str:
    """An address on this machine as containers have it."""
    return endpoint_url.replace("127.0.0.1", HOST)


class DockerError(Exception):
    """Docker refused, or there is none; the text is what it said."""


def docker(*words: str) -> str:
    """What Docker answers on stdout. Raises DockerError."""
    if shutil.which("docker") is None:
        raise DockerError("there is no docker on PATH")
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DockerError(done.stderr.strip() or f"docker {words[0]} ended with {done.returncode}")
    return done.stdout


def check_engine() -> None:
    """Raises DockerError when no engine answers."""
    docker("version", "--format", "{{.Server.Version}}")


def bridge_addresses() -> list[str]:
    """The addresses of this machine that containers reach, and nobody else.

    On Linux it is that of Docker's bridge. Docker Desktop takes what containers send to the host to
    its loopback address, and the bridge is in another machine: then there is none.
    """
    form = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
    gateways = docker("network", "inspect", "bridge", "--format", form).split()
    return [address for address in gateways if _is_ours(address)]


def _is_ours(address: str) -> bool:
    with socket.socket(socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
