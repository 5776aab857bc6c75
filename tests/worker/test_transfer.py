"""Fetching inputs and assets."""

import os
import shutil
import threading
from pathlib import Path

import pytest

import worker.download
import worker.scratch
import worker.transfer
from drydock.errors import StoreUnavailable
from drydock.task_document import PinnedAsset, PinnedObject
from drydock.tasks import Record
from tests.worker.support import DATA
from worker.endings import InputFailed, Interrupted, Misconfigured, ScratchFull
from worker.stop_signals import Stop
from worker.transfer import fetch_assets, fetch_input


@pytest.fixture
def stored(store):
    """Puts an object and pins it."""

    def put(key, body):
        return PinnedObject(f"s3://{DATA}/{key}", store.put(DATA, key, body), len(body))

    return put


def test_a_slice_is_fetched_by_its_range_alone(store, stored, tmp_path):
    pinned = stored("in/many.smi", b"0123456789")
    record = Record(0, 0, pinned.uri, pinned.etag, pinned.size, first_byte=2, last_byte=4)
    assert fetch_input(store, record, tmp_path, Stop()).path.read_bytes() == b"234"


@pytest.mark.parametrize(
    ("key", "name"),
    [("a/b.pdbqt", "b.pdbqt"), ("a/" + "ä" * 150 + ".pdbqt", None), ("a/..", "input")],
)
def test_any_key_becomes_a_file_inside_the_folder(store, stored, tmp_path, key, name):
    pinned = stored(key, b"x")
    fetched = fetch_input(store, Record(0, 0, pinned.uri), tmp_path, Stop())
    assert fetched.path.parent == tmp_path
    assert name in (None, fetched.path.name)
    assert fetched.etag == pinned.etag


@pytest.mark.parametrize("uri", ["no uri", "s3://", "https://a/b"])
def test_an_address_that_is_none_is_bad_input(store, tmp_path, uri):
    with pytest.raises(InputFailed, match="bad_input"):
        fetch_input(store, Record(0, 0, uri), tmp_path, Stop())


@pytest.fixture
def disk(monkeypatch):
    """Makes disks of some free and total bytes."""
    real = shutil.disk_usage

    def make(free, total, elsewhere=0):
        def usage(path):
            ours = Path(path).is_relative_to("/dev/shm")
            return type(real("/"))(total, total - free, free if not ours else elsewhere)

        monkeypatch.setattr(worker.scratch.shutil, "disk_usage", usage)

    return make


def test_an_input_that_does_not_fit_now_says_what_is_needed(store, stored, tmp_path, disk):
    pinned = stored("in/a", b"1" * 2_000_000)
    disk(free=1_400_000, total=9_000_000)
    with pytest.raises(ScratchFull) as caught:
        fetch_input(store, Record(0, 0, pinned.uri), tmp_path, Stop())
    assert f"{pinned.uri} needs 2 MB, 1 MB free on /" in str(caught.value)
    assert (caught.value.needed_bytes, caught.value.free_bytes) == (2_000_000, 1_400_000)


def test_an_input_that_can_never_fit_is_failed(store, stored, tmp_path, disk):
    pinned = stored("in/a", b"12345")
    disk(free=4, total=4)
    with pytest.raises(InputFailed, match=r"scratch_full.* needs 5 bytes, 4 bytes free on /"):
        fetch_input(store, Record(0, 0, pinned.uri), tmp_path, Stop())


def test_a_folder_that_has_room_is_named(store, stored, tmp_path, disk):
    pinned = stored("in/a", b"12345")
    disk(free=4, total=9, elsewhere=100)
    with pytest.raises(ScratchFull, match=": use SHRTCACHE=/dev/shm"):
        fetch_input(store, Record(0, 0, pinned.uri), tmp_path, Stop())
    disk(free=4, total=9, elsewhere=4)
    with pytest.raises(ScratchFull, match=": give the machine more disk, or SHRTCACHE a folder"):
        fetch_input(store, Record(0, 0, pinned.uri), tmp_path, Stop())


def test_assets_are_measured_together(store, stored, tmp_path, disk):
    assets = {n: PinnedAsset(p.uri, (p,)) for n in "ab" for p in [stored(n, b"123")]}
    disk(free=5, total=6)
    with pytest.raises(ScratchFull, match=r"the assets need 6 bytes, 5 bytes free"):
        fetch_assets(store, assets, tmp_path / "assets", Stop())
    assert not (tmp_path / "assets").exists()
    disk(free=5, total=5)
    with pytest.raises(Misconfigured, match="6 bytes, 5 bytes free"):
        fetch_assets(store, assets, tmp_path / "assets", Stop())


def test_a_stop_ends_a_fetch(store, stored, tmp_path):
    pinned = stored("in/a", b"12345")
    stop = Stop()
    stop.ask("signal", "SIGTERM")
    with pytest.raises(Interrupted):
        fetch_input(store, Record(0, 0, pinned.uri), tmp_path, stop)


def test_an_object_that_comes_cut_is_an_outage(store, stored, tmp_path, monkeypatch):
    pinned = stored("in/a", b"12345")
    plain = store.get_stream

    def cut(*given, **named):
        stream = plain(*given, **named)
        return type(stream)(stream.body, stream.etag, stream.size + 1)

    monkeypatch.setattr(worker.download, "_PAUSE_S", 0)
    monkeypatch.setattr(store, "get_stream", cut)
    with pytest.raises(StoreUnavailable, match="5 of 6 bytes"):
        fetch_input(store, Record(0, 0, pinned.uri), tmp_path, Stop())


def test_a_prefix_becomes_a_folder(store, stored, tmp_path):
    objects = (stored("dock/", b""), stored("dock/INDOCK", b"1"), stored("dock/grids/a", b"2"))
    asset = PinnedAsset(f"s3://{DATA}/dock/", objects)
    found = fetch_assets(store, {"dockfiles": asset}, tmp_path / "assets", Stop())
    files = {
        str(path.relative_to(found["dockfiles"])): path.read_text()
        for path in found["dockfiles"].rglob("*")
        if path.is_file()
    }
    assert files == {"INDOCK": "1", os.path.join("grids", "a"): "2"}  # noqa: PTH118 - a name


def test_a_key_that_leads_out_is_refused(store, stored, tmp_path):
    objects = (stored("dock/../../out", b"1"), stored("dock/a", b"1"))
    asset = PinnedAsset(f"s3://{DATA}/dock/", objects)
    with pytest.raises(Misconfigured, match="no path below"):
        fetch_assets(store, {"dockfiles": asset}, tmp_path / "assets", Stop())


def test_an_asset_that_is_gone_is_a_misconfiguration(store, stored, tmp_path):
    pinned = stored("receptor", b"1")
    store.delete(DATA, "receptor")
    with pytest.raises(Misconfigured, match="is gone"):
        fetch_assets(store, {"r": PinnedAsset(pinned.uri, (pinned,))}, tmp_path / "a", Stop())


def test_hundreds_of_small_objects_come_many_at_once(store, stored, tmp_path, monkeypatch):
    bodies = {f"dock/grids/{number}": b"%d" % number for number in range(60)}
    objects = tuple(stored(key, body) for key, body in bodies.items())
    meeting = threading.Barrier(16, timeout=60)
    plain, met = store.get_stream, []

    def together(*given, **named):
        if len(met) < 16:
            met.append(given)
            meeting.wait()
        return plain(*given, **named)

    monkeypatch.setattr(store, "get_stream", together)
    asset = PinnedAsset(f"s3://{DATA}/dock/", objects)
    found = fetch_assets(store, {"dockfiles": asset}, tmp_path / "assets", Stop())["dockfiles"]
    assert {f"dock/grids/{p.name}": p.read_bytes() for p in found.rglob("[0-9]*")} == bodies


def test_a_large_asset_comes_beside_small_ones(store, stored, tmp_path, monkeypatch):
    monkeypatch.setattr(worker.transfer, "PIECE_BYTES", 10)
    objects = (stored("d/large", b"1" * 100), stored("d/small", b"2"))
    asset = PinnedAsset(f"s3://{DATA}/d/", objects)
    folder = fetch_assets(store, {"d": asset}, tmp_path / "assets", Stop())["d"]
    assert (folder / "large").read_bytes() == b"1" * 100
    assert (folder / "small").read_bytes() == b"2"


def test_an_asset_that_changed_is_a_misconfiguration(store, stored, tmp_path):
    pinned = stored("receptor", b"1")
    stored("receptor", b"2")
    with pytest.raises(Misconfigured, match=r"asset r: .* changed since the run began"):
        fetch_assets(store, {"r": PinnedAsset(pinned.uri, (pinned,))}, tmp_path / "a", Stop())
