"""The machines' start, run as root in a container; what belongs to a machine is played by stubs.

A stub notes how it was called: arguments are what other processes of a machine could read.
"""

import json
import shlex
import subprocess

import pytest

from tests.architecture.user_data import script
from tests.containers.engine import BASE

SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:docker-hub-AbCdEf"
PASSWORD = "dckr_pat_\"quotes\" and 'more' = $HOME \\ ü"
SETTINGS = [
    "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true",
    "ECS_CONTAINER_STOP_TIMEOUT=90s",
    "ECS_IMAGE_PULL_BEHAVIOR=prefer-cached",
    "ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE=true",
]
ON_A_FOLDER = "it is a folder of the system's volume"

# What Batch's own part may have written before.
BEFORE = "ECS_CLUSTER=AWSBatch-spot\n"
STUB = """#!/bin/sh
echo "${0##*/} $*" >> /calls
env >> /environments
"""
TOLD = """
import json, os, pathlib
text = lambda path: pathlib.Path(path).read_text() if os.path.exists(path) else ""
print(json.dumps({
    "config": text("/etc/ecs/ecs.config"), "calls": text("/calls").splitlines(),
    "said": text("/out") + text("/err"), "environments": text("/environments"),
    "config_mode": oct(os.stat("/etc/ecs/ecs.config").st_mode & 0o7777),
    "scratch_mode": oct(os.stat("/scratch").st_mode & 0o7777),
}))
"""


def written(path, text):
    return f"printf %s {shlex.quote(text)} > {path}"


def start(*, disks=(), stubs=None, **parameters):
    """What the script left of a machine with these links to disks, as a dict."""
    played = {
        "udevadm": "",
        "findmnt": "echo /dev/nvme0n1p1",
        "blkid": "exit 2",
        "mkfs.xfs": "",
        "mount": "",
        "mdadm": "",
        "aws": "exit 255",
        "python3": 'exec /usr/local/bin/python3 "$@"',
        **(stubs or {}),
    }
    lines = ["set -e", "mkdir -p /stubs /etc/ecs /dev/disk/by-id"]
    lines += [written("/etc/ecs/ecs.config", BEFORE), "chmod 0644 /etc/ecs/ecs.config"]
    for link, disk in disks:
        lines += [f"touch {disk}", f"ln -s {disk} {link}"]
    for name, does in played.items():
        if does is not None:
            lines += [written(f"/stubs/{name}", STUB + does + "\n"), f"chmod +x /stubs/{name}"]
    lines += [
        written("/user-data", script(**parameters)),
        "chmod +x /user-data",
        "env -i PATH=/stubs:/usr/sbin:/usr/bin:/sbin:/bin /user-data > /out 2> /err",
        f"/usr/local/bin/python3 -c {shlex.quote(TOLD)}",
    ]
    done = subprocess.run(
        ["docker", "run", "--rm", "--interactive", "--network", "none", BASE, "bash", "-s"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_id(model, number, disk):
    return f"/dev/disk/by-id/nvme-{model}_vol{number}", disk


def ebs(number, disk):
    return by_id("Amazon_Elastic_Block_Store", number, disk)


def own(number, disk):
    return by_id("Amazon_EC2_NVMe_Instance_Storage", number, disk)


SYSTEM = [ebs("0", "/dev/nvme0n1"), ebs("0-part1", "/dev/nvme0n1p1")]
LINKED = [("/dev/sdf", "/dev/nvme1n1")]


def mounted(device):
    return f"mount -o noatime,nodev,nosuid {device} /scratch"


@pytest.mark.parametrize(
    ("disks", "device"),
    [
        ([*SYSTEM, *LINKED], "/dev/nvme1n1"),
        ([*SYSTEM, ebs("1", "/dev/nvme2n1")], "/dev/nvme2n1"),
        ([*SYSTEM, ("/dev/xvdf", "/dev/xen")], "/dev/xen"),
    ],
    ids=["linked", "not linked", "not NVMe"],
)
def test_the_scratch_volume_is_formatted_and_mounted(disks, device):
    told = start(disks=disks)
    assert told["calls"][-3:] == [f"blkid {device}", f"mkfs.xfs -q {device}", mounted(device)]
    assert told["scratch_mode"] == "0o1777"
    assert told["said"] == ""


def test_a_scratch_volume_that_has_a_file_system_keeps_it():
    told = start(disks=LINKED, stubs={"blkid": "echo xfs"})
    assert told["calls"][-2:] == ["blkid /dev/nvme1n1", mounted("/dev/nvme1n1")]


@pytest.mark.parametrize(
    ("stubs", "complaint"),
    [({"mkfs.xfs": "exit 1"}, "cannot be mounted"), ({"mount": "exit 32"}, "cannot be mounted")],
)
def test_a_scratch_that_cannot_be_mounted_is_a_folder_and_it_is_said(stubs, complaint):
    told = start(disks=LINKED, stubs=stubs)
    assert complaint in told["said"]
    assert told["scratch_mode"] == "0o1777"
    assert told["config"].splitlines()[1:] == SETTINGS


def test_a_machines_own_disk_is_the_scratch():
    disks = [*SYSTEM, own("1", "/dev/nvme1n1"), own("1-ns-1", "/dev/nvme1n1")]
    told = start(disks=disks, ScratchKind="INSTANCE_STORE", InstanceTypes="m5d")
    assert told["calls"][-1] == mounted("/dev/nvme1n1")
    assert [call for call in told["calls"] if call.startswith("mdadm")] == []


TWO = [*SYSTEM, own("1", "/dev/nvme1n1"), own("2", "/dev/nvme2n1")]
STRIPED = "mdadm --create /dev/md0 --level=0 --run --raid-devices=2 /dev/nvme1n1 /dev/nvme2n1"


def test_several_disks_of_a_machine_are_one_scratch():
    told = start(disks=TWO, ScratchKind="INSTANCE_STORE", InstanceTypes="m5d")
    assert STRIPED in told["calls"]
    assert told["calls"][-1] == mounted("/dev/md0")


def installs(name, does):
    """A stub of dnf that puts a program on the PATH."""
    path = f"/stubs/{name}"
    return f"{written(path, STUB + does)}; chmod +x {path}; echo done"


def test_what_makes_disks_one_is_installed_where_it_is_not():
    stubs = {"mdadm": None, "dnf": installs("mdadm", "")}
    told = start(disks=TWO, stubs=stubs, ScratchKind="INSTANCE_STORE", InstanceTypes="m5d")
    assert "dnf install --quiet --assumeyes mdadm" in told["calls"]
    assert told["calls"][-1] == mounted("/dev/md0")


def test_disks_that_cannot_be_made_one_leave_the_first():
    stubs = {"mdadm": "exit 1"}
    told = start(disks=TWO, stubs=stubs, ScratchKind="INSTANCE_STORE", InstanceTypes="m5d")
    assert told["calls"][-1] == mounted("/dev/nvme1n1")
    assert "2 disks could not be made one" in told["said"]


@pytest.mark.parametrize(
    ("disks", "kind"), [(SYSTEM, "INSTANCE_STORE"), (SYSTEM, "EBS"), ([], "EBS")]
)
def test_a_machine_without_a_disk_for_it_says_so_and_works(disks, kind):
    told = start(disks=disks, ScratchKind=kind, InstanceTypes="m6i")
    assert ON_A_FOLDER in told["said"]
    assert told["scratch_mode"] == "0o1777"
    assert [call for call in told["calls"] if call.split()[0] in {"mkfs.xfs", "mount"}] == []
    assert told["config"].splitlines()[1:] == SETTINGS


def test_the_agent_is_told_what_it_is_not_told_by_itself():
    told = start(disks=LINKED)
    assert told["config"] == BEFORE + "\n".join(SETTINGS) + "\n"
    assert told["config_mode"] == "0o600"
    assert [call for call in told["calls"] if call.startswith("aws")] == []


def answers(secret):
    return f"printf '%s\\n' {shlex.quote(secret)}"


SECRET = json.dumps({"username": "lab", "password": PASSWORD})


def secrets_in(told):
    """Where the password, or a part of it, can be read by others than root."""
    seen = told["said"] + told["environments"] + "\n".join(told["calls"])
    return [part for part in (PASSWORD, "dckr_pat_", json.dumps(PASSWORD)) if part in seen]


def test_the_secret_is_what_the_agent_logs_in_with():
    told = start(disks=LINKED, stubs={"aws": answers(SECRET)}, DockerHubSecretArn=SECRET_ARN)
    *others, kind, data = told["config"].splitlines()
    assert others == [BEFORE.strip(), *SETTINGS]
    assert kind == "ECS_ENGINE_AUTH_TYPE=docker"
    name, _, value = data.partition("=")
    assert name == "ECS_ENGINE_AUTH_DATA"
    user = {"username": "lab", "password": PASSWORD}
    assert json.loads(value) == {"https://index.docker.io/v1/": user}
    assert value.startswith('{"https://index.docker.io/v1/":{')  # as ECS writes it, without blanks
    assert told["config_mode"] == "0o600"
    assert secrets_in(told) == []
    assert told["said"] == ""


def test_the_secret_is_asked_for_by_its_arn_and_region():
    told = start(disks=LINKED, stubs={"aws": answers(SECRET)}, DockerHubSecretArn=SECRET_ARN)
    [call] = [call for call in told["calls"] if call.startswith("aws")]
    assert call == (
        f"aws secretsmanager get-secret-value --region us-east-1 --secret-id {SECRET_ARN} "
        "--query SecretString --output text"
    )


def test_the_cli_is_installed_where_it_is_not():
    stubs = {"aws": None, "dnf": installs("aws", answers(SECRET))}
    told = start(disks=LINKED, stubs=stubs, DockerHubSecretArn=SECRET_ARN)
    assert "dnf install --quiet --assumeyes awscli-2" in told["calls"]
    assert "ECS_ENGINE_AUTH_TYPE=docker" in told["config"]


@pytest.mark.parametrize(
    "aws",
    [
        "echo 'An error occurred (AccessDeniedException)' >&2; exit 254",
        answers("dckr_pat_no_json"),
        answers('{"username": "lab", "pass": "dckr_pat_"}'),
        answers('["dckr_pat_"]'),
        answers('{"username": "lab", "password": "dckr_pat_" and more'),
        None,
    ],
    ids=["denied", "no JSON", "other names", "a list", "half a document", "no CLI"],
)
def test_a_secret_that_cannot_be_read_is_said_and_the_machine_works_without(aws):
    stubs = {"aws": aws, "dnf": "exit 1"}
    told = start(disks=LINKED, stubs=stubs, DockerHubSecretArn=SECRET_ARN)
    assert "pulled from Docker Hub without a name" in told["said"]
    assert told["config"] == BEFORE + "\n".join(SETTINGS) + "\n"
    assert secrets_in(told) == []
    assert told["calls"].count(mounted("/dev/nvme1n1")) == 1
