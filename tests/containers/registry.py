"""A registry of one's own on this machine: the reference implementation, with one user."""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from shutil import which

from tests.containers.engine import docker

USER = "someone"
PASSWORD = "a made-up password"
# bcrypt of it, the one way in which a registry keeps them.
USERS = "someone:$2a$04$opTCGfVvfWDcOwL1e.nh6O.tvmF2ZDZGU2ax6rRjAVADWHNrTmIg2\n"
CONFIGURATION = """version: 0.1
storage:
  filesystem:
    rootdirectory: {folder}/data
http:
  addr: 127.0.0.1:{port}
auth:
  htpasswd:
    realm: test
    path: {folder}/users
"""


@contextmanager
def registry_in(folder):
    """One that keeps its images in that folder, for as long as it is wanted; its address."""
    program = which("docker-registry") or which("registry")
    assert program, "there is no docker-registry on PATH: apt-get install docker-registry"
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    (folder / "users").write_text(USERS)
    (folder / "registry.yml").write_text(CONFIGURATION.format(folder=folder, port=port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", folder / "registry.yml"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/", process, folder / "log")
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()
        forget(f"localhost:{port}/")


def forget(prefix):
    """Take away the names of its images that Docker has meanwhile; the images stay."""
    names = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    for name in names:
        if name.startswith(prefix):
            docker("rmi", "--no-prune", name)


def wait_for(url, process, log):
    while True:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url)
        except urllib.error.HTTPError:
            return  # it wants a login
        except OSError:
            time.sleep(0.05)
