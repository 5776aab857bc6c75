"""EnumerateInputs: what only S3 can tell of a request."""

import boto3
import pytest

from drydock.checking import check_references
from drydock.errors import RequestRejected
from drydock.request import references
from drydock.store import Listed
from tests.steps.enumerating import put_list, refused
from tests.steps.world import DATA, World


def test_every_problem_is_told_at_once(world):
    problems = refused(
        world,
        world.request(
            input="s3://drydock-data/nothing/",
            output="s3://not-ours/out/",
            assets={"receptor": f"s3://{DATA}/none.pdbqt", "grid": f"s3://{DATA}/grids/"},
            image="docker.io/somebody/vina:1",
            resources={"gpus": 1},
        ),
    )
    fields = [problem.partition(":")[0] for problem in problems]
    assert fields == [
        "resources.gpus",
        "input",
        "output",
        "assets.receptor",
        "assets.grid",
        "image",
        "resources.gpus",
    ]
    assert world.keys(DATA, "out/") == []


def test_a_bucket_that_is_not_there_is_named():
    world = World(DATA_BUCKETS=f"{DATA},never-made")
    world.inputs(1)
    (problem,) = refused(world, world.request(output="s3://never-made/out/"))
    assert "there is no bucket 'never-made'" in problem


def test_a_bucket_in_another_region_is_named():
    world = World(DATA_BUCKETS=f"{DATA},far-away")
    boto3.client("s3", region_name="eu-west-1").create_bucket(
        Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    world.inputs(1)
    (problem,) = refused(world, world.request(output="s3://far-away/out/"))
    assert "lies in eu-west-1; this stack works in us-east-1" in problem


@pytest.mark.parametrize("stray", [None, "input/", "input/sub/1.pdbqt"])
def test_a_prefix_without_direct_children_is_refused(world, stray):
    if stray:
        world.put(DATA, stray)
    (problem,) = refused(world, world.request())
    assert "nothing lies below s3://drydock-data/input/" in problem


def test_an_empty_list_is_refused(world):
    assert "empty" in refused(world, world.request(input=put_list(world, "")))[0]
    problems = refused(world, world.request(input=put_list(world, "# nothing\n\n")))
    assert problems == ["input: the list names no input"]


def test_a_list_with_bad_lines_is_refused_with_their_numbers(world):
    text = f"s3://{DATA}/a\r\n\r\nhttps://x/y\n# fine\ns3://other/b\ns3://{DATA}/folder/\n"
    problems = refused(world, world.request(input=put_list(world, text)))
    assert [problem.split(":")[1] for problem in problems] == [" line 3", " line 5", " line 6"]
    assert world.keys(DATA, "out/manifest/") == []


def test_a_list_that_was_refused_may_be_mended(world):
    refused(world, world.request(input=put_list(world, "nonsense")))
    put_list(world, f"s3://{DATA}/a")
    world.executions.running.clear()
    assert (
        world.enumerate(world.request(input=f"s3://{DATA}/lists/inputs.txt"), "two")["status"]
        == "ready"
    )


def test_a_list_that_changes_while_it_is_enumerated_is_refused(world):
    given = put_list(world, "".join(f"s3://{DATA}/{n}\n" for n in range(10)))
    answer = world.enumerate(world.request(input=given), remaining_s=lambda: 0.0)
    put_list(world, "".join(f"s3://{DATA}/other-{n}\n" for n in range(10)))
    with pytest.raises(RequestRejected, match="changed while it was enumerated"):
        world.enumerate(world.request(input=given), cursor=answer["cursor"])


def test_a_list_that_changed_since_the_run_began_is_refused(world):
    given = put_list(world, f"s3://{DATA}/a\n")
    world.start(input=given)
    put_list(world, f"s3://{DATA}/a\ns3://{DATA}/b\n")
    world.executions.running.clear()
    (problem,) = refused(world, world.request(input=given), "two")
    assert "changed since the run began" in problem
    put_list(world, f"s3://{DATA}/a\n")
    world.executions.running.clear()
    assert world.start("three", input=given)


@pytest.mark.parametrize(
    ("output", "recursive", "is_refused"),
    [("input", False, True), ("input/", False, True), ("input/out", True, True), ("", True, False),
     ("input/out", False, False), ("inputs", True, False)],
)  # fmt: skip
def test_what_a_run_writes_is_not_among_what_it_reads(world, output, recursive, is_refused):
    world.inputs(1)
    options = world.request()["options"] | {"recursive": recursive}
    request = world.request(output=f"s3://{DATA}/{output}", options=options)
    if is_refused:
        assert "lies in the input" in refused(world, request)[0]
    else:
        assert world.enumerate(request)["status"] == "ready"


# -- dockfiles and assets


def test_dockfiles_without_a_receptor_are_refused(world):
    world.inputs(1)
    world.put(DATA, "dock/box.txt")
    request = world.request(assets={}, dockfiles=f"s3://{DATA}/dock")
    assert "holds no receptor.pdbqt" in refused(world, request)[0]
    world.put(DATA, "dock/receptor.pdbqt")
    assert world.enumerate(request)["status"] == "ready"


def test_dock38_needs_indock_among_its_dockfiles(world):
    world.inputs(1)
    world.put(DATA, "dock/receptor.pdbqt")
    request = world.request(tool="dock38", options={}, assets={}, dockfiles=f"s3://{DATA}/dock")
    assert "holds no INDOCK" in refused(world, request)[0]
    world.put(DATA, "dock/INDOCK")
    assert world.enumerate(request)["status"] == "ready"


class Sized:
    """A door to S3 whose listings show objects of any size: what is checked is the listing."""

    def __init__(self, store, sizes):
        self._store = store
        self._sizes = sizes

    def __getattr__(self, name):
        return getattr(self._store, name)

    def list(self, bucket, prefix, **how):
        for found in self._store.list(bucket, prefix, **how):
            yield Listed(found.key, self._sizes.get(found.key, found.size), found.etag)


@pytest.mark.parametrize(
    ("size", "warned", "is_refused"),
    [(99_999_999, False, False), (100_000_001, True, False), (2**30 + 1, False, True)],
)
def test_large_dockfiles_are_warned_of_and_those_beyond_the_scratch_refused(
    world, size, warned, is_refused
):
    world.inputs(1)
    world.put(DATA, "dock/receptor.pdbqt", b"")
    request = world.request(assets={}, dockfiles=f"s3://{DATA}/dock/")
    object.__setattr__(world.services, "store", Sized(world.store, {"dock/receptor.pdbqt": size}))
    checked = check_references(world.services, references(request))
    assert bool(checked.problems) == is_refused
    assert bool(checked.warnings) == warned
    if is_refused:
        assert "the scratch has 1 GiB" in checked.problems[0]
        return
    answer = world.enumerate(request)
    assert bool(answer["warnings"]) == warned
    if warned:
        assert "copied by each of up to 10,000 jobs" in world.told()[0][1]


def test_assets_that_changed_since_the_run_began_are_refused(world):
    world.inputs(1)
    world.start()
    world.executions.running.clear()
    world.put(DATA, "assets/receptor.pdbqt", b"another\n")
    (problem,) = refused(world, world.request(), "two")
    assert "assets/receptor.pdbqt has changed since the run began" in problem
