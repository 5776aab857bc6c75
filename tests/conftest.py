"""No test may reach an account: credentials are made up, and nothing but loopback is reachable."""

import ipaddress
import os
import signal
import socket
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, not whether something holds.
settings.register_profile("drydock", deadline=None)
settings.load_profile("drydock")

# Set on import, before any test module is: clients read them when they are made.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_SESSION_TOKEN="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    POWERTOOLS_TRACE_DISABLED="1",
)
for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
    os.environ.pop(name, None)

# Whoever starts the tests in the background leaves SIGINT ignored, which programs inherit; those
# that tests start and interrupt are to heed it, whoever started the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Folders whose files take longest: begun first, they do not keep one process alone at the end.
_LONGEST = ("chaos", "embedded", "worker", "least_privilege", "simulation")


def pytest_collection_modifyitems(items):
    """Put the folders that take longest first; what is of one file stays together and in order."""

    def place(item):
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return _LONGEST.index(folder) if folder in _LONGEST else len(_LONGEST)

    items.sort(key=place)


class NetworkReached(AssertionError):
    """Raised when a test opens a connection to anything but this machine."""


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch):
    """Let connections go to this machine alone."""
    connect = socket.socket.connect

    def checked(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise NetworkReached(f"a test wanted to connect to {address!r}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", checked)


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
