"""EnumerateInputs: uploads, refusals, and a manifest that is the same however it is written."""

import json

import boto3
import pytest

from drydock.checking import check_references
from drydock.definitions import Container
from drydock.enumeration import enumerate_inputs
from drydock.errors import Conflict, RequestRejected, RunSuperseded
from drydock.keys import RunKeys
from drydock.markers import parse_skipped
from drydock.request import references
from drydock.stopping import stop_run
from drydock.store import Listed
from drydock.tasks import parse_tasks
from local.images import digest_of
from tests.steps.stand_ins import Killed
from tests.steps.world import CONTROL, DATA, ECR, EXECUTION, INTAKE, WORKER, World

ELSEWHERE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/lab/vina:2"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lab/license-AbCdEf"
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/lab/code"


def manifest(world, prefix="out/"):
    return {key: world.get(DATA, key) for key in world.keys(DATA, prefix + "manifest/")}


def items(world, prefix="out/"):
    return world.json(DATA, prefix + "manifest/shards.json")


def uris(world, run_id, shard=0):
    return [record.uri.rpartition("/")[2] for record in world.records(run_id, shard)]


def refused(world, event, execution="one"):
    with pytest.raises(RequestRejected) as caught:
        world.enumerate(event, execution)
    return caught.value.problems


def put_list(world, text, key="lists/inputs.txt"):
    world.put(DATA, key, text if isinstance(text, bytes) else text.encode())
    return f"s3://{DATA}/{key}"


# -- a manifest


def test_a_prefix_becomes_shards_of_its_inputs_in_key_order(world):
    world.inputs(10)
    answer = world.enumerate(world.request())
    run_id = answer["run_id"]
    assert answer == {
        "status": "ready",
        "run_id": run_id,
        "owner": EXECUTION + "one",
        "epoch": 1,
        "image": f"{ECR}/drydock@{digest_of('the worker')}",
        "bucket": DATA,
        "items": {"phase": "shards", "key": "out/manifest/shards.json", "verdict": None},
        "max_concurrency": 40,
        "reconcile_seconds": 21600,
        "cursor": None,
        "duplicate_of": None,
        "warnings": [],
    }
    assert items(world) == [
        {"shard": 0, "inputs": 4},
        {"shard": 1, "inputs": 4},
        {"shard": 2, "inputs": 2},
    ]
    records = [record for shard in range(3) for record in world.records(run_id, shard)]
    assert [record.index for record in records] == list(range(10))
    assert [record.place for record in records] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert records[9].uri == "s3://drydock-data/input/009.pdbqt"
    assert records[9].etag == world.store.head(DATA, "input/009.pdbqt").etag
    text = world.get(DATA, "out/manifest/000002.txt").decode()
    assert text == "s3://drydock-data/input/008.pdbqt\ns3://drydock-data/input/009.pdbqt\n"


def test_the_source_s_own_listing_has_h27_at_index_2(world):
    for name in ("H27.db2.tgz", "H25.db2.tgz", "H26.db2.tgz"):
        world.put(DATA, f"zinc/{name}")
    for stray in ("zinc/", "zinc/old/H24.db2.tgz", "zinc/old/", "zinc.txt", "zincs/H00.db2.tgz"):
        world.put(DATA, stray)
    for given in (f"s3://{DATA}/zinc/", f"s3://{DATA}/zinc"):
        output = f"s3://{DATA}/out{len(given)}/"
        run_id = world.start(str(len(given)), input=given, output=output)
        assert uris(world, run_id) == ["H25.db2.tgz", "H26.db2.tgz", "H27.db2.tgz"]
        assert world.records(run_id)[2].index == 2


def test_everything_below_is_taken_when_asked_for(world):
    for key in ("input/b", "input/a/1", "input/a/", "input/a/2/x"):
        world.put(DATA, key)
    options = world.request()["options"] | {"recursive": True}
    run_id = world.start(options=options)
    found = [record.uri for record in world.records(run_id)]
    assert found == [f"s3://{DATA}/input/{name}" for name in ("a/1", "a/2/x", "b")]


def test_a_list_becomes_shards_and_what_is_named_twice_is_skipped(world):
    names = ["a", "b", "a", "c", "b", "d", "a"]
    text = "# inputs\r\n\r\n" + "\r\n".join(f"s3://{DATA}/x/{name}" for name in names)
    run_id = world.start(input=put_list(world, text))
    assert uris(world, run_id, 0) == ["a", "b", "a", "c"]
    keys = RunKeys(run_id, "out/")
    skipped = [keys.skipped_marker(0, 2), keys.skipped_marker(1, 0), keys.skipped_marker(1, 2)]
    assert world.keys(DATA, "out/markers/") == skipped
    assert [parse_skipped(world.get(DATA, key)) for key in skipped] == [(2, 0), (4, 1), (6, 0)]
    assert world.detect(run_id, 1) == {"remains": 1, "done": 0, "failed": 0, "skipped": 2}
    assert [r.duplicate_of for r in world.records(run_id, 1)] == [1, None, 0]


def test_a_list_in_the_intake_bucket_is_read_too(world):
    world.put(INTAKE, "mine.txt", f"s3://{DATA}/x/a\n".encode())
    assert uris(world, world.start(input=f"s3://{INTAKE}/mine.txt")) == ["a"]


# -- cut short and gone on with


def test_what_there_is_no_time_for_goes_on_with_a_cursor(world):
    world.inputs(10)
    whole = world.start("whole", output=f"s3://{DATA}/whole/")
    event, cursor, turns = world.request(), None, 0
    while True:
        answer = world.enumerate(event, cursor=cursor, remaining_s=lambda: 59.0)
        turns, cursor = turns + 1, answer["cursor"]
        if cursor is None:
            break
        assert answer["status"] == "more"
        assert len(json.dumps(cursor)) < 200
    assert (turns, answer["status"]) == (4, "ready")
    assert items(world) == items(world, "whole/")
    for shard in range(3):
        assert world.records(answer["run_id"], shard) == world.records(whole, shard)


@pytest.mark.parametrize("source", ["prefix", "list"])
def test_killed_after_any_write_and_started_again_the_manifest_is_the_same(source):
    world = World(SHARD_SIZE="3")
    world.inputs(7)
    text = "".join(f"s3://{DATA}/input/{n:03d}.pdbqt\n" for n in (0, 1, 1, 2, 3, 0, 6))
    given = f"s3://{DATA}/input/" if source == "prefix" else put_list(world, text)
    world.faults.arm(None)
    run_id = world.start("whole", input=given, output=f"s3://{DATA}/whole/")
    count = world.faults.count
    expected = {key.removeprefix("whole/"): body for key, body in manifest(world, "whole/").items()}
    skips = [key.rpartition("/")[2] for key in world.keys(DATA, f"whole/markers/{run_id}/")]
    assert count > 8
    for at in range(count):
        request = world.request(input=given, output=f"s3://{DATA}/o{at}/")
        world.batch.registered.clear()
        world.faults.arm(at)
        with pytest.raises(Killed):
            world.enumerate(request, f"run-{at}")
        world.faults.arm(None)
        answer = world.enumerate(request, f"run-{at}")
        assert answer["status"] == "ready"
        written = manifest(world, f"o{at}/")
        assert {key.removeprefix(f"o{at}/"): body for key, body in written.items()} == expected
        markers = world.keys(DATA, f"o{at}/markers/{answer['run_id']}/")
        assert [key.rpartition("/")[2] for key in markers] == skips
        assert answer["epoch"] == 1


def test_keys_that_appear_behind_the_last_shard_are_not_part_of_the_run(world):
    world.inputs(6)
    answer = world.enumerate(
        world.request(), remaining_s=lambda: 900.0 if len(manifest(world)) < 3 else 0
    )
    assert answer["status"] == "more"
    world.put(DATA, "input/999.pdbqt")
    answer = world.enumerate(world.request(), cursor=answer["cursor"])
    assert items(world) == [{"shard": 0, "inputs": 4}, {"shard": 1, "inputs": 2}]
    assert uris(world, answer["run_id"], 1) == ["004.pdbqt", "005.pdbqt"]


def test_the_stack_s_new_shard_size_does_not_cut_a_manifest_in_two_ways(world):
    world.inputs(10)
    answer = world.enumerate(world.request(), remaining_s=lambda: 0.0)
    object.__setattr__(world.services.settings, "shard_size", 3)
    world.enumerate(world.request(), cursor=answer["cursor"])
    assert [item["inputs"] for item in items(world)] == [4, 4, 2]
    indices = [r.index for shard in range(3) for r in world.records(answer["run_id"], shard)]
    assert indices == list(range(10))


def test_two_enumerations_at_once_write_one_manifest(world):
    world.inputs(10)

    def overtake(key):
        if key.endswith("000001.tasks"):
            world.store.before_put = None
            world.enumerate(world.request())

    world.store.before_put = overtake
    answer = world.enumerate(world.request())
    assert answer["status"] == "ready"
    assert [item["inputs"] for item in items(world)] == [4, 4, 2]


def test_two_enumerations_that_see_different_prefixes_do_not_mix(world):
    world.inputs(10)

    def overtake(key):
        if key.endswith("000001.tasks"):
            world.store.before_put = None
            world.put(DATA, "input/005a.pdbqt")
            world.enumerate(world.request())

    world.store.before_put = overtake
    with pytest.raises(Conflict):
        world.enumerate(world.request())
    answer = world.enumerate(world.request())
    found = [r for shard in range(3) for r in world.records(answer["run_id"], shard)]
    assert [r.index for r in found] == list(range(11))
    assert len({r.uri for r in found}) == 11


def test_a_cursor_is_for_the_owner_alone(world):
    world.inputs(10)
    cursor = world.enumerate(world.request(), remaining_s=lambda: 0.0)["cursor"]
    with pytest.raises(RunSuperseded):
        world.enumerate(world.request(), "other", cursor=cursor)


# -- uploads


def upload(world, key="run.json", sequencer="1", **changes):
    return world.upload(key, json.dumps(world.request(**changes)).encode(), sequencer)


def test_an_upload_starts_a_run(world):
    world.inputs(1)
    assert world.enumerate(upload(world))["status"] == "ready"
    assert world.keys(INTAKE) == ["run.json"]


def test_the_same_upload_told_twice_starts_one_run(world):
    world.inputs(1)
    event = upload(world)
    first = world.enumerate(event, "one")
    again = world.enumerate(event, "two")
    assert (again["status"], again["duplicate_of"]) == ("duplicate", EXECUTION + "one")
    assert again.keys() == first.keys()
    assert world.run(first["run_id"]).epoch == 1
    assert world.enumerate(event, "one") == first


def test_another_upload_of_the_same_key_is_another_start(world):
    world.inputs(1)
    run_id = world.enumerate(upload(world), "one")["run_id"]
    world.executions.running.clear()
    again = world.enumerate(upload(world, sequencer="2"), "two")
    assert (again["run_id"], again["epoch"]) == (run_id, 2)


def test_a_refused_upload_is_told_beside_it_and_to_people(world):
    world.inputs(1)
    problems = refused(world, upload(world, tool="dock", name=""))
    told = world.json(INTAKE, "run.json.rejected.json")
    assert told == {"rejected": f"s3://{INTAKE}/run.json", "problems": problems}
    assert len(problems) == 2
    subject, text = world.told()[0]
    assert subject == "drydock refused run.json"
    assert text == "\n".join(problems)
    assert world.batch.jobs == {}
    assert world.keys(DATA, "out/") == []


def test_everything_wrong_is_told_at_once_what_only_aws_can_tell_too(world):
    request = world.request(
        name="",
        input=f"s3://{DATA}/nothing/here/",
        output="no uri",
        assets={"receptor": f"s3://{DATA}/gone.pdbqt", "other": 7},
        image="elsewhere/image:1",
        resources={"gpus": 2},
    )
    problems = refused(world, request)
    assert sorted(problem.partition(":")[0] for problem in problems) == [
        "assets.other",
        "assets.receptor",
        "image",
        "input",
        "name",
        "output",
        "resources.gpus",  # neither the tool
        "resources.gpus",  # nor the stack has a use for any
    ]


def test_an_upload_that_is_accepted_takes_back_what_was_refused(world):
    refused(world, upload(world, tool="dock"))
    world.inputs(1)
    assert world.enumerate(upload(world, sequencer="2"), "two")["status"] == "ready"
    assert world.keys(INTAKE) == ["run.json"]


@pytest.mark.parametrize("key", ["ligands.sdf", "run.yaml", "json", "a/b/", "run.JSON"])
def test_a_file_of_another_kind_is_told_beside_it(world, key):
    (problem,) = refused(world, world.upload(key, b"x"))
    assert ".json" in problem
    assert world.json(INTAKE, key + ".rejected.json")["problems"] == [problem]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"x"',
        b"null",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"x" * 300_000,
    ],
    ids=["empty", "cut", "binary", "list", "text", "null", "deep", "deeper", "large"],
)
def test_what_is_no_request_at_all_is_refused(world, body):
    problems = refused(world, world.upload("run.json", body))
    assert problems
    assert all(len(problem) < 400 for problem in problems)
    assert world.json(INTAKE, "run.json.rejected.json")["problems"] == problems


def test_an_upload_that_was_removed_is_refused(world):
    event = upload(world)
    world.remove(INTAKE, "run.json")
    assert "removed" in refused(world, event)[0]


def test_an_event_that_names_no_object_is_refused(world):
    assert refused(world, {"detail-type": "Object Created", "detail": {}})


def test_a_list_is_run_with_the_stack_s_default_request(world):
    default = world.request(output=f"s3://{DATA}/lists/")
    world = World(DEFAULT_REQUEST=json.dumps(default))
    event = world.upload("day/mine.txt", f"s3://{DATA}/x/a\n".encode())
    run_id = world.enumerate(event)["run_id"]
    run = world.run(run_id)
    assert run.current.request["name"] == "mine"
    assert run.output_prefix == "lists/mine/"
    assert uris(world, run_id) == ["a"]


@pytest.mark.parametrize("default", ["", "{", "[]", "7", '{"output": 3}'])
def test_a_list_without_a_whole_default_request_is_refused(default):
    world = World(DEFAULT_REQUEST=default)
    assert refused(world, world.upload("mine.txt", b"s3://drydock-data/x/a\n"))


# -- what only S3 can tell


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


# -- whose prefix it is


def test_an_output_prefix_that_holds_another_run_is_refused_and_names_it(world):
    world.inputs(2)
    run_id = world.start()
    world.executions.running.clear()
    options = world.request()["options"] | {"seed": 9}
    (problem,) = refused(world, world.request(name="b", options=options), "two")
    assert f"it holds run 'a-run' ({run_id})" in problem
    assert '"seed": 1' in problem
    assert world.run(run_id).epoch == 1


def test_an_output_prefix_with_somebody_else_s_run_json_is_refused(world):
    world.inputs(1)
    for body in (b"{}", b"no JSON", b"[]", b'{"run_id": 1, "identity": 3, "name": "x"}'):
        world.put(DATA, "out/run.json", body)
        assert "not drydock's" in refused(world, world.request())[0]


def test_a_run_that_goes_on_is_refused_and_left_alone(world):
    world.inputs(1)
    run_id = world.start()
    event = upload(world)
    (problem,) = refused(world, event, "two")
    assert f"run {run_id} is RUNNING as {EXECUTION}one" in problem
    assert world.json(INTAKE, "run.json.rejected.json")["problems"] == [problem]
    assert world.owner(run_id) == EXECUTION + "one"


def test_of_two_that_open_a_run_at_once_one_owns_it(world):
    world.inputs(1)

    def overtake(key):
        if key.startswith("runs/") and key.endswith("/run.json"):
            world.store.before_put = None
            world.enumerate(world.request(), "two")

    world.store.before_put = overtake
    with pytest.raises(RequestRejected, match="RUNNING"):
        world.enumerate(world.request(), "one")


def test_what_may_change_does_and_is_kept_by_epoch(world):
    world.inputs(1)
    run_id = world.start()
    world.executions.running.clear()
    world.start("two", keep_top=7, retry_failed=["unreadable"], resources={"memory_mib": 4000})
    run = world.run(run_id)
    assert [epoch.request["keep_top"] for epoch in run.epochs] == [1000, 7]
    assert run.reopened == {"unreadable": 2}


def test_a_deleted_prefix_is_a_new_run(world):
    world.inputs(1)
    first = world.start()
    world.executions.running.clear()
    for key in world.keys(DATA, "out/"):
        world.remove(DATA, key)
    assert world.start("two") != first


def test_another_image_runs_by_a_definition_of_its_own(world):
    world.inputs(1)
    world.push(f"{ECR}/lab/vina:2", "vina 2")
    run = world.run(world.start(image=f"{ECR}/lab/vina:2"))
    assert run.current.image == f"{ECR}/lab/vina@{digest_of('vina 2')}"
    assert world.batch.registered == {
        run.current.job_definition_arn: Container(run.current.image, 64, {})
    }
    world.submit(run.run_id)
    (job,) = world.batch.live()
    assert job.request.definition_arn == run.current.job_definition_arn


def test_a_tag_that_is_moved_means_another_image_to_the_next_epoch_alone(world):
    world.inputs(1)
    run_id = world.start()
    world.push(WORKER, "a new worker")
    again = world.enumerate(world.request(), "one")
    assert again["image"] == f"{ECR}/drydock@{digest_of('the worker')}"
    world.executions.running.clear()
    world.start("two")
    images = [epoch.image for epoch in world.run(run_id).epochs]
    contents = ("the worker", "a new worker")
    assert images == [f"{ECR}/drydock@{digest_of(content)}" for content in contents]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (f"{ECR}/lab/vina:3", "repository lab/vina has no image 3"),
        (f"{ECR}/lab/vina@sha256:{'0' * 64}", "repository lab/vina has no image sha256:0000"),
        (f"{ECR}/lab/gnina:1", "there is no repository lab/gnina"),
        (f"{ECR}/other:1", f"this stack may run {WORKER}, {ECR}/lab/, quay.io/lab"),
        (f"{ECR}/drydock:2", "this stack may run"),
        ("quay.io/lab/vina:2", "give it by its digest (quay.io/lab/vina@sha256:…)"),
        (ELSEWHERE, "outside of this account's ECR in us-east-1 nobody can be asked"),
    ],
)
def test_what_cannot_be_known_to_run_is_refused(image, said):
    world = World(ALLOWED_IMAGES=f"{ECR}/lab/,quay.io/lab,{ELSEWHERE}")
    world.push(f"{ECR}/lab/vina:2", "vina 2")
    world.inputs(1)
    (problem,) = refused(world, world.request(image=image))
    assert problem.startswith(f"image: {image!r} was given: ")
    assert said in problem


def test_an_image_from_elsewhere_runs_by_its_digest():
    world = World(ALLOWED_IMAGES="quay.io/lab")
    world.inputs(1)
    digest = "sha256:" + "a" * 64
    run = world.run(world.start(image=f"quay.io/lab/vina:2@{digest}"))
    assert run.current.image == f"quay.io/lab/vina@{digest}"


def test_the_stack_s_own_image_is_told_by_its_parameter_when_it_is_gone():
    world = World(WORKER_IMAGE=f"{ECR}/drydock:9")
    world.inputs(1)
    (problem,) = refused(world, world.request())
    assert problem == f"WorkerImage is '{ECR}/drydock:9': repository drydock has no image 9"


def test_shared_memory_and_secrets_are_of_the_definition():
    world = World(SECRET_ARNS=f"{SECRET},{PARAMETER}")
    world.inputs(1)
    secrets = {"LICENSE_KEY": f"{SECRET}:key::", "CODE": PARAMETER}
    run = world.run(world.start(secrets=secrets, resources={"shm_mib": 512}))
    (container,) = world.batch.registered.values()
    assert container == Container(run.current.image, 512, secrets)
    world.submit(run.run_id)
    (job,) = world.batch.live()
    document, _ = world.child(job, 0)
    assert document.variables == ("CODE", "LICENSE_KEY")
    assert not secrets.keys() & job.request.environment.keys()


@pytest.mark.parametrize(
    ("known", "said"), [("", "none, as its parameter SecretArns is empty"), (PARAMETER, PARAMETER)]
)
def test_a_secret_that_the_stack_was_not_given_is_refused(known, said):
    world = World(SECRET_ARNS=known)
    world.inputs(1)
    assert refused(world, world.request(secrets={"KEY": SECRET})) == [
        f"secrets.KEY: {SECRET!r} was given: this stack may read {said}"
    ]


def test_gpus_have_queues_of_their_own():
    world = World(GPU_SPOT_QUEUE_ARN="gpu-spot", GPU_ON_DEMAND_QUEUE_ARN="gpu-on-demand")
    world.inputs(1)
    run_id = world.start(tool="openmm", options={"steps": 10}, resources={"gpus": 1})
    world.submit(run_id)
    (job,) = world.batch.live()
    assert (job.request.queue_arn, job.request.gpus) == ("gpu-spot", 1)
    world.executions.running.clear()
    swept = stop_run(world.services, {"detail-type": "Scheduled Event"})
    assert swept.terminated == 1


def test_nothing_secret_is_written_anywhere(world):
    world.inputs(1)
    request = world.request(environment={"MY_PASSWORD": "hunter2"}, secrets={"token": "hunter2"})
    problems = refused(world, world.upload("run.json", json.dumps(request).encode()))
    told = (
        json.dumps([problems, world.told()]) + world.get(INTAKE, "run.json.rejected.json").decode()
    )
    assert "hunter2" not in told
    assert "MY_PASSWORD" in told


def test_claims_and_documents_lie_in_the_control_bucket(world):
    world.inputs(1)
    run_id = world.start()
    world.submit(run_id)
    folders = {key.partition("/")[0] for key in world.keys(CONTROL)}
    assert folders == {"owners", "runs", "tokens"}
    assert "token" not in "".join(world.keys(DATA))


def test_the_call_is_the_function_s(world):
    world.inputs(1)
    world.executions.running.add(EXECUTION + "one")
    answer = enumerate_inputs(
        world.services, world.request(), EXECUTION + "one", None, lambda: 900.0
    )
    assert len(parse_tasks(world.get(DATA, "out/manifest/000000.tasks"))) == 1
    assert answer["status"] == "ready"
