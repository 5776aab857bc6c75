"""EnumerateInputs over big files: slices of so many records, gone on with in the middle of one."""

import itertools
import json

import pytest

from drydock.errors import RequestRejected, StoreUnavailable
from drydock.keys import ControlKeys
from drydock.store import StoredStream
from tests.steps.stand_ins import Killed
from tests.steps.world import CONTROL, DATA, World

FILES = {"a.smi": 23, "b.sdf": 9, "c.pdbqt": 4, "d.fastq": 8, "e.smi": 1}
ONE = {
    "smi": "CC{} n{}\n",
    "sdf": "m{}\n{}\n$$$$\n",
    "pdbqt": "MODEL {}\nROOT\nTORSDOF {}\nENDMDL\n",
    "fastq": "@r{}\nAC\n+{}\nII\n",
}


def text(name, records):
    return "".join(ONE[name.rpartition(".")[2]].format(n, n) for n in range(records)).encode()


def put_files(world, files=FILES, folder="big/"):
    return {
        f"s3://{DATA}/{folder}{name}": (world.put(DATA, folder + name, body), body)[1]
        for name, records in files.items()
        if (body := text(name, records)) is not None
    }


def request(world, **changes):
    fields = {"input": f"s3://{DATA}/big/", "records_per_input": 3}
    return world.request(**(fields | changes))


def all_records(world, run_id, prefix="out/"):
    items = world.json(DATA, f"{prefix}manifest/shards.json")
    found = [record for item in items for record in world.records(run_id, item["shard"])]
    assert sum(item["inputs"] for item in items) == len(found)
    assert [record.index for record in found] == list(range(len(found)))
    return found


def joined(files, records):
    """The files as their slices make them."""
    made = {}
    for record in records:
        body = files[record.uri]
        assert record.size == len(body)
        first = 0 if record.first_byte is None else record.first_byte
        last = len(body) - 1 if record.last_byte is None else record.last_byte
        made[record.uri] = made.get(record.uri, b"") + body[first : last + 1]
    return made


def test_files_below_a_prefix_become_slices_that_fill_shards(world):
    files = put_files(world)
    run_id = world.enumerate(request(world))["run_id"]
    found = all_records(world, run_id)
    assert joined(files, found) == files
    slices = dict.fromkeys(FILES, 0)
    for record in found:
        slices[record.uri.rpartition("/")[2]] += 1
        assert record.etag == world.store.head(DATA, record.uri.partition(f"{DATA}/")[2]).etag
    assert slices == {"a.smi": 8, "b.sdf": 3, "c.pdbqt": 2, "d.fastq": 3, "e.smi": 1}
    inputs = [item["inputs"] for item in world.json(DATA, "out/manifest/shards.json")]
    assert inputs == [4, 4, 4, 4, 1]
    # A file that is one slice is an input as it is.
    assert (found[-1].first_byte, found[-1].last_byte) == (None, None)


def test_slices_are_told_in_a_table_for_a_list_cannot(world):
    files = put_files(world, {"b.sdf": 4, "e.smi": 1})
    world.enumerate(request(world))
    (b, b_body), (e, e_body) = files.items()
    cut = len(text("b.sdf", 3))
    assert world.get(DATA, "out/manifest/000000.tsv").decode().splitlines() == [
        f"{b}\t0\t{cut - 1}",
        f"{b}\t{cut}\t{len(b_body) - 1}",
        f"{e}\t0\t{len(e_body) - 1}",
    ]
    assert not [key for key in world.keys(DATA, "out/manifest/") if key.endswith(".txt")]


def test_the_files_of_a_list_are_cut_in_its_order(world):
    files = put_files(world)
    order = [*reversed(files)]
    world.put(DATA, "list.txt", ("# big\n\n" + "\r\n".join(order)).encode())
    answer = world.enumerate(request(world, input=f"s3://{DATA}/list.txt"))
    found = all_records(world, answer["run_id"])
    assert list(joined(files, found)) == order
    assert joined(files, found) == files


def test_one_file_is_an_input_too(world):
    files = put_files(world, {"b.sdf": 7})
    (uri,) = files
    found = all_records(world, world.enumerate(request(world, input=uri))["run_id"])
    assert len(found) == 3
    assert joined(files, found) == files


def test_what_is_empty_or_gone_is_an_input_as_without_slices(world):
    files = put_files(world, {"b.sdf": 2, "z.smi": 0})
    gone = f"s3://{DATA}/big/gone.smi"
    world.put(DATA, "list.txt", "\n".join([gone, *files]).encode())
    answer = world.enumerate(request(world, input=f"s3://{DATA}/list.txt"))
    found = all_records(world, answer["run_id"])
    assert [(each.uri, each.first_byte) for each in found] == [(u, None) for u in (gone, *files)]


# -- gone on with


def step_by_step(world, event, steps):
    """Enumerate with time for so many looks at the clock in each invocation."""
    cursor, invocations = None, 0
    while True:
        clock = itertools.chain(itertools.repeat(900.0, steps), itertools.repeat(0.0))
        answer = world.enumerate(event, cursor=cursor, remaining_s=clock.__next__)
        cursor, invocations = answer["cursor"], invocations + 1
        if answer["status"] == "ready":
            return answer["run_id"], invocations
        assert invocations < 100


@pytest.fixture
def small_chunks(monkeypatch):
    """S3's bodies come a few bytes at a time."""
    chunks = StoredStream.chunks
    monkeypatch.setattr(StoredStream, "chunks", lambda stream, size=7: chunks(stream, size))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("steps", [0, 1, 5, 20])
@pytest.mark.parametrize("source", ["prefix", "list", "file"])
def test_what_there_is_no_time_for_goes_on_in_the_middle_of_a_file(world, source, steps):
    files = put_files(world)
    given = {
        "prefix": f"s3://{DATA}/big/",
        "list": f"s3://{DATA}/list.txt",
        "file": f"s3://{DATA}/big/a.smi",
    }[source]
    world.put(DATA, "list.txt", "\n".join(files).encode())
    whole = world.enumerate(request(world, input=given, output=f"s3://{DATA}/whole/"), "whole")
    run_id, invocations = step_by_step(world, request(world, input=given), steps)
    expected = all_records(world, whole["run_id"], "whole/")
    assert all_records(world, run_id) == expected
    assert invocations > (7 if steps == 0 else 1)
    if source != "file":
        assert joined(files, expected) == files


@pytest.mark.usefixtures("small_chunks")
def test_no_file_is_read_from_its_beginning_again(world, monkeypatch):
    put_files(world, {"a.smi": 200})
    size, read = len(text("a.smi", 200)), []
    get_stream = world.store.get_stream

    def counting(bucket, key, **more):
        stream = get_stream(bucket, key, **more)
        if key == "big/a.smi":
            read.append(more["first_byte"])
        return stream

    monkeypatch.setattr(world.store, "get_stream", counting)
    _, invocations = step_by_step(world, request(world), 30)
    assert len(read) == invocations > 3
    # Each goes on where the last slice ended that the one before it wrote.
    assert read == sorted(read)
    assert len(set(read)) == len(read)
    assert size // 2 < read[-1] < size


def test_killed_after_any_write_and_started_again_the_manifest_is_the_same(monkeypatch):
    chunks = StoredStream.chunks
    monkeypatch.setattr(StoredStream, "chunks", lambda stream, size=7: chunks(stream, size))
    world = World(SHARD_SIZE="3")
    files = put_files(world, {"a.smi": 7, "b.sdf": 9})
    # The first start alone registers what the jobs run in.
    step_by_step(world, request(world, output=f"s3://{DATA}/before/"), 2)
    world.faults.arm(None)
    step_by_step(world, request(world, output=f"s3://{DATA}/whole/"), 2)
    count = world.faults.count
    expected = manifest(world, "whole/")
    assert any(".begun" in name for name in world.faults.names)
    for at in range(count):
        event = request(world, output=f"s3://{DATA}/o{at}/")
        world.faults.arm(at)
        with pytest.raises(Killed):
            step_by_step(world, event, 2)
        world.faults.arm(None)
        run_id, _ = step_by_step(world, event, 2)
        assert manifest(world, f"o{at}/") == expected
    assert joined(files, all_records(world, run_id, f"o{at}/")) == files


def manifest(world, prefix):
    found = world.keys(DATA, prefix + "manifest/")
    return {key.removeprefix(prefix): world.get(DATA, key) for key in found}


def test_a_connection_that_breaks_is_made_anew_where_it_broke(world, monkeypatch):
    files = put_files(world, {"a.smi": 100})
    chunks, opened = StoredStream.chunks, itertools.count()

    def breaking(stream, size=50):
        number = next(opened)
        for count, chunk in enumerate(chunks(stream, size)):
            if number < 6 and count == 1:
                raise StoreUnavailable("reading broke off")
            yield chunk

    monkeypatch.setattr(StoredStream, "chunks", breaking)
    found = all_records(world, world.enumerate(request(world))["run_id"])
    assert joined(files, found) == files


def test_a_connection_that_always_breaks_is_given_up(world, monkeypatch):
    put_files(world, {"a.smi": 100})

    def breaking(stream, size=50):
        raise StoreUnavailable("reading broke off")
        yield b""

    monkeypatch.setattr(StoredStream, "chunks", breaking)
    with pytest.raises(StoreUnavailable):
        world.enumerate(request(world))


# -- refused


def refused(world, event, **more):
    with pytest.raises(RequestRejected) as caught:
        world.enumerate(event, **more)
    return caught.value.problems


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("source", ["prefix", "list"])
def test_a_file_that_changes_while_it_is_cut_stops_it(world, source):
    put_files(world, {"a.smi": 50})
    world.put(DATA, "list.txt", b"s3://%s/big/a.smi\n" % DATA.encode())
    given = f"s3://{DATA}/" + {"prefix": "big/", "list": "list.txt"}[source]
    event = request(world, input=given)
    cursor = world.enumerate(event, remaining_s=lambda: 0.0)["cursor"]
    world.put(DATA, "big/a.smi", text("a.smi", 51))
    (problem,) = refused(world, event, cursor=cursor)
    assert "changed while it was cut" in problem
    assert "shards.json" not in "".join(world.keys(DATA, "out/"))


@pytest.mark.parametrize(
    ("name", "told"),
    [("a.sdf.gz", "compressed"), ("a.tgz", "compressed"), ("notes.txt", ".sdf"), ("a", ".sdf")],
)
def test_files_that_cannot_be_cut_are_refused_before_there_is_a_run(world, name, told):
    put_files(world, {"b.sdf": 1})
    world.put(DATA, f"big/{name}")
    (problem,) = refused(world, request(world))
    assert told in problem
    assert name in problem
    assert world.keys(DATA, "out/") == []


def test_one_compressed_file_is_not_taken_for_a_list(world):
    world.put(DATA, "big.sdf.gz", b"\x1f\x8b")
    (problem,) = refused(world, request(world, input=f"s3://{DATA}/big.sdf.gz"))
    assert "is compressed" in problem
    assert world.keys(DATA, "out/") == []


def test_files_of_a_list_that_cannot_be_cut_are_all_told(world):
    uris = [f"s3://{DATA}/x/{name}" for name in ("a.sdf", "b.gz", "c.tar", "a.sdf")]
    world.put(DATA, "list.txt", "\n".join(uris).encode())
    problems = refused(world, request(world, input=f"s3://{DATA}/list.txt"))
    assert len(problems) == 3
    assert "line 4" in problems[2]
    assert "line 1 already" in problems[2]
    assert manifest(world, "out/") == {}


def test_a_slice_that_no_scratch_could_hold_is_refused(world, monkeypatch):
    put_files(world, {"a.smi": 100})
    monkeypatch.setattr("drydock.slicing._MOST_SLICE_BYTES", 100)
    (problem,) = refused(world, request(world, records_per_input=50))
    assert "fewer records_per_input" in problem


@pytest.mark.parametrize("tool", ["dock38", "openmm"])
def test_tools_whose_inputs_have_no_records_are_refused(world, tool):
    put_files(world)
    event = json.loads(json.dumps(request(world, tool=tool)))
    assert any(problem.startswith("records_per_input") for problem in refused(world, event))


def test_the_number_of_records_makes_the_run_what_it_is(world):
    put_files(world)
    run_id = world.enumerate(request(world))["run_id"]
    world.executions.running.clear()
    (problem,) = refused(world, request(world, records_per_input=4), execution="two")
    assert "its records_per_input is 3, not 4" in problem
    again = world.enumerate(request(world), "two")
    assert (again["run_id"], again["epoch"]) == (run_id, 2)


def test_what_was_begun_is_not_part_of_the_manifest(world):
    put_files(world)
    answer = world.enumerate(request(world), remaining_s=lambda: 0.0)
    assert answer["status"] == "more"
    key = ControlKeys(answer["run_id"]).begun_shard(0)
    assert world.keys(CONTROL, f"runs/{answer['run_id']}/manifest/") in ([key], [])
    assert not any(key.endswith("begun") for key in world.keys(DATA))
