"""The images, built once (Docker keeps what did not change), and the embedded AWS on this host."""

import pytest

from drydock.store import Store
from local.docker import bridge_addresses
from local.embedded import EmbeddedAws
from tests.containers import images
from tests.containers.engine import BASE, HELD, WORKER, Container, build, docker, make_image
from tests.containers.registry import registry_in
from tests.worker.support import CONTROL, DATA


@pytest.fixture(scope="session")
def worker_image():
    return make_image(WORKER)


@pytest.fixture(scope="session")
def dock_image(worker_image, tmp_path_factory):
    """The worker with dock64 out of an image with other libraries."""
    user = build(images.dock(tmp_path_factory.mktemp("dock")), "drydock-test-dock")
    words = ("--build-arg", f"WORKER_IMAGE={worker_image}")
    return make_image("drydock-dock38:test", *words, DOCK=user)


@pytest.fixture(scope="session")
def samtools_image(tmp_path_factory):
    """An image of a user's with samtools and without Python, wrapped."""
    user = build(images.samtools(tmp_path_factory.mktemp("samtools")), "drydock-test-samtools")
    return make_image("samtools-drydock:test", FROM=user)


@pytest.fixture(scope="session")
def bare_image(tmp_path_factory):
    """An image of a user's with one program of another C library, and not even a shell."""
    return build(images.bare(tmp_path_factory.mktemp("bare")), "drydock-test-bare")


@pytest.fixture(scope="session")
def base_image():
    return BASE


@pytest.fixture(scope="session")
def aws(tmp_path_factory, worker_image):
    with EmbeddedAws(
        tmp_path_factory.mktemp("embedded"), also=bridge_addresses(), worker_image=worker_image
    ) as embedded:
        client = embedded.client("s3")
        for bucket in (CONTROL, DATA):
            client.create_bucket(Bucket=bucket)
        yield embedded


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """A private registry; its address."""
    with registry_in(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def store(aws):
    """S3, emptied afterwards."""
    store = Store(aws.client("s3"))
    yield store
    for bucket in (CONTROL, DATA):
        for found in store.list(bucket, ""):
            aws.client("s3").delete_object(Bucket=bucket, Key=found.key)


@pytest.fixture
def start(aws):
    """Starts containers, and removes them."""
    started = []

    def start(image, *command, environment=None, memory="768m", flags=HELD):
        variables = {
            "AWS_ENDPOINT_URL": aws.endpoint_url,
            "AWS_DEFAULT_REGION": aws.region,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_ACCESS_KEY": "1",
            **(environment or {}),
        }
        given = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
        bounds = ("--memory", memory, "--memory-swap", memory)
        container = Container(
            docker("run", "--detach", *flags, *bounds, *given, image, *command).strip()
        )
        started.append(container)
        return container

    yield start
    for each in started:
        docker("rm", "--force", "--volumes", each.id)
