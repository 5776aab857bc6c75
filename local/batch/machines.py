"""The machines of the compute environment, and the instance metadata that they serve (IMDSv2)."""

import json
import re
import secrets
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_PATH = re.compile(r"(?:/imds)?/(i-[0-9a-f]+)/latest/(.*)")
_MAX_TTL_S = 21_600


@dataclass(eq=False)
class Machine:
    """A Spot instance with `vcpus` slots; `directory` is its disk."""

    vcpus: int
    directory: Path
    id: str = field(default_factory=lambda: f"i-0{secrets.token_hex(8)}")
    # vCPUs in use, by the container's key.
    used: dict[str, int] = field(default_factory=dict)
    # When it will be taken away, in seconds since the epoch, once that is announced.
    notice_at: float | None = None
    tokens: dict[str, float] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """The vCPUs that new containers may have: none once a notice is out."""
        return 0 if self.notice_at is not None else self.vcpus - sum(self.used.values())

    def volume(self, name: str) -> Path:
        """The directory of a job definition's volume on this machine, made when first wanted."""
        path = self.directory / self.id / re.sub(r"[^A-Za-z0-9_.-]", "-", name)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def wipe(self) -> None:
        """Its disk is gone with it."""
        shutil.rmtree(self.directory / self.id, ignore_errors=True)


class Fleet:
    """The machines there are: always the same number of them."""

    def __init__(self, directory: Path, *, machines: int, vcpus: int) -> None:
        self._directory = directory
        self._vcpus = vcpus
        self.machines = [Machine(vcpus, directory) for _ in range(machines)]

    def place(self, vcpus: int, gpus: int) -> Machine | None:
        """The machine with the most room that can take such a container now."""
        fitting = [machine for machine in self.machines if not gpus and machine.free >= vcpus]
        return max(fitting, key=lambda machine: machine.free, default=None)

    def could_place(self, vcpus: int, gpus: int) -> bool:
        """Whether such a container fits an empty machine; there are no GPUs."""
        return not gpus and vcpus <= self._vcpus

    def find(self, machine_id: str) -> Machine | None:
        """The machine of that id, unless it is gone."""
        return next((machine for machine in self.machines if machine.id == machine_id), None)

    def replace(self, machine: Machine) -> None:
        """Spot capacity comes back as another instance; nothing when that has happened already."""
        if machine in self.machines:
            self.machines[self.machines.index(machine)] = Machine(self._vcpus, self._directory)


class Imds:
    """A WSGI app: the metadata of each machine below `/<machine id>/latest`, tokens required.

    Source: the EC2 user guide, "Use the Instance Metadata Service" and "Spot Instance
    interruption notices".
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answers one request."""
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        found = _PATH.fullmatch(request.path)
        machine = self._fleet.find(found[1]) if found else None
        if found is None or machine is None:
            return Response(status=404)
        if found[2] == "api/token":
            return self._token(machine, request)
        given = request.headers.get("X-aws-ec2-metadata-token", "")
        if request.method != "GET" or machine.tokens.get(given, 0) < time.monotonic():
            return Response(status=401)
        value = self._metadata(machine).get(found[2])
        return Response(status=404) if value is None else Response(value, mimetype="text/plain")

    def _token(self, machine: Machine, request: Request) -> Response:
        ttl_s = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if request.method != "PUT":
            return Response(status=405)
        if not ttl_s.isdecimal() or not 1 <= int(ttl_s) <= _MAX_TTL_S:
            return Response(status=400)
        token = secrets.token_urlsafe(40)
        machine.tokens[token] = time.monotonic() + int(ttl_s)
        return Response(
            token,
            mimetype="text/plain",
            headers={"X-aws-ec2-metadata-token-ttl-seconds": ttl_s},
        )

    def _metadata(self, machine: Machine) -> dict[str, str]:
        data = {
            "meta-data/instance-id": machine.id,
            "meta-data/instance-life-cycle": "spot",
        }
        if machine.notice_at is not None:
            at = datetime.fromtimestamp(machine.notice_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            action = {"action": "terminate", "time": at}
            data["meta-data/spot/instance-action"] = json.dumps(action)
        return data
