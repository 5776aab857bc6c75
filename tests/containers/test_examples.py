"""The images of the examples, made on the worker's, and the requests that lie beside them."""

import json

import pytest

from drydock.task_document import PinnedAsset
from drydock.uris import parse_s3_uri
from tests.containers.engine import ROOT, docker
from tests.containers.jobs import pinned
from tests.worker.programs.conftest import ProgramShard

EXAMPLES = ROOT / "examples"
# Of each: a request, and the ends of what it makes of the first input.
RUNS = {
    "baked_in": ("run.json", {".csv"}),
    "fetch_and_run": ("run.json", {".csv"}),
    "genomics": ("run.json", {".bam", ".bai"}),
    "genomics-align": ("align.json", {".sam"}),
    "genomics-import": ("import.json", {".bam"}),
}


@pytest.fixture(scope="session")
def built(worker_image):
    """Builds an example's image, once."""
    found = {}

    def build(name):
        if name not in found:
            tag = f"drydock-example-{name}:test"
            argument = f"WORKER_IMAGE={worker_image}"
            folder = str(EXAMPLES / name)
            docker("build", "--quiet", "--build-arg", argument, "--tag", tag, folder)
            found[name] = tag
        return found[name]

    return build


def assets(store, folder, request):
    """What the request names, as a run pins it."""
    made = {}
    for name, uri in request.get("assets", {}).items():
        key = parse_s3_uri(uri).key
        path = folder / key.partition(f"{folder.name}/")[2]
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        prefix = key if path.is_dir() else key.rpartition("/")[0] + "/"
        objects = tuple(pinned(store, prefix + file.name, file.read_bytes()) for file in files)
        made[name] = PinnedAsset(uri, objects)
    return made


@pytest.mark.parametrize("run", RUNS)
def test_an_example_runs_in_its_image(run, built, store, start):
    folder = EXAMPLES / run.partition("-")[0]
    file, ends = RUNS[run]
    request = json.loads((folder / file).read_text())
    first = min((folder / "inputs").iterdir())
    shard = ProgramShard(
        store,
        [(f"in/{first.name}", first.read_bytes())],
        tool=request["tool"],
        options=request["options"],
        more_assets=assets(store, folder, request),
        receptor=b"x",
    )
    memory = f"{request['resources']['memory_mib']}m"
    environment = shard.environment("/scratch")
    # The command of the job definition, whatever the image's own is.
    container = start(built(folder.name), "drydock-worker", environment=environment, memory=memory)
    assert container.wait() == 0, container.logs()
    (files,) = shard.results().values()
    assert {name[name.rindex(".") :] for name in files} == ends
    assert all(files.values())
