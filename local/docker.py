"""Docker, by its command line: the little that the embedded AWS wants of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess

# How a container names the machine that it runs on, everywhere where Docker runs.
HOST = "host.docker.internal"
ADD_HOST = f"{HOST}:host-gateway"


# Where ECS's agent is asked for credentials: besides the loopback's, the one address that SDKs ask.
_AGENT = "169.254.170.2"
_AGENT_NETWORK = ("drydock-agent", "--subnet", "169.254.170.0/30", "--gateway", _AGENT)


def container_url(endpoint_url: str, address: str = HOST) -> str:
    """An address on this machine as containers have it."""
    return endpoint_url.replace("127.0.0.1", address)


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


def agent_address() -> str | None:
    """The address of ECS's agent, where containers reach this machine by it.

    Docker gives it to this machine with a network, which is made when there is none and stays: each
    embedded AWS takes a port of its own there. None with Docker Desktop, whose networks are in
    another machine, and on ECS, where the address has another owner.
    """
    if "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in os.environ:
        return None
    with contextlib.suppress(DockerError):
        if _AGENT_NETWORK[0] not in docker("network", "ls", "--format", "{{.Name}}").split():
            docker("network", "create", *_AGENT_NETWORK)
    return _AGENT if _is_ours(_AGENT) else None


def _is_ours(address: str) -> bool:
    with socket.socket(socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
