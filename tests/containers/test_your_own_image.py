"""docs/your_own_image.md: what the page shows is built from the wheel alone, and runs by hand."""

import re

import pytest

from tests.containers.engine import ROOT, build, docker
from tests.worker.support import DATA

PAGE = (ROOT / "docs" / "your_own_image.md").read_text(encoding="utf-8")


def block(language):
    """The page's only block of that language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture(scope="module")
def own_image(tmp_path_factory):
    """Made in a folder that holds the page's three files and the wheel."""
    folder = tmp_path_factory.mktemp("lab-gc")
    stage = "drydock-wheel:test"
    recipe = str(ROOT / "worker" / "Dockerfile")
    docker("build", "--quiet", "--target", "wheel", "--tag", stage, "--file", recipe, str(ROOT))
    made = docker("create", stage).strip()
    try:
        docker("cp", f"{made}:/build/dist/.", str(folder))
    finally:
        docker("rm", made)
    (folder / "lab_gc.py").write_text(block("python"))
    (folder / "pyproject.toml").write_text(block("toml"))
    (folder / "Dockerfile").write_text(block("dockerfile"))
    return build(folder, "drydock-test-lab-gc")


def test_the_pages_image_is_built_and_runs(own_image, store, start):
    store.put(DATA, "fasta/a.fa", b">one\nGCGC\n>two\nACGT\n")
    environment = {
        "TOOL": "gc",
        "S3_INPUT_LOCATION": f"s3://{DATA}/fasta/",
        "S3_OUTPUT_LOCATION": f"s3://{DATA}/gc/",
    }
    container = start(own_image, environment=environment)
    assert container.wait() == 0, container.logs()
    assert store.get(DATA, "gc/0/gc.tsv.0").body == b"one\t1.0000\ntwo\t0.5000\n"
