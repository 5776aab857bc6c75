"""Fetching inputs and assets."""

import os

import pytest

import worker.transfer
from drydock.errors import StoreUnavailable
from drydock.task_document import PinnedAsset, PinnedObject
from drydock.tasks import Record
from tests.worker.support import DATA
from worker.endings import InputFailed, Interrupted, Misconfigured
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


def test_an_input_larger_than_the_scratch_says_how_much_is_needed(
    store, stored, tmp_path, monkeypatch
):
    pinned = stored("in/a", b"12345")
    monkeypatch.setattr(worker.transfer, "free_bytes", lambda _folder: 4)
    with pytest.raises(InputFailed, match="needs 5 bytes and 4 are free"):
        fetch_input(store, Record(0, 0, pinned.uri), tmp_path, Stop())


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
