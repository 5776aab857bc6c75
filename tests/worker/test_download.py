"""Downloads: in pieces, pinned, checked, gone on with where they broke off, and ended at once."""

import errno
import io
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import worker.download as module
from drydock.errors import Changed, NotFound, StoreUnavailable
from drydock.store import Store
from drydock.uris import S3Uri
from tests.worker.support import DATA
from worker.download import Wanted, download
from worker.endings import Interrupted, ScratchFull
from worker.stop_signals import Stop

BODY = bytes(range(256)) * 40  # 10 pieces of the size below


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(module, "PIECE_BYTES", 1024)
    monkeypatch.setattr(module, "_CHUNK_BYTES", 256)
    monkeypatch.setattr(module, "_PAUSE_S", 0)


class Faulty(Store):
    """S3 whose answers go through ``fault(body, request's number)``."""

    def __init__(self, client, fault=lambda body, _number: body):
        super().__init__(client)
        self.fault = fault
        self.asked = []
        self._counting = threading.Lock()

    def get_stream(self, bucket, key, **asked):
        with self._counting:
            number = len(self.asked)
            self.asked.append(asked)
        found = super().get_stream(bucket, key, **asked)
        body = self.fault(found.body, number)
        return type(found)(body, found.etag, found.size, found.checksum)


class Broken(io.RawIOBase):
    """A body that breaks off after some bytes."""

    def __init__(self, body, after):
        self._body, self._left = body, after

    def read(self, size=-1):
        if self._left <= 0:
            raise ConnectionResetError("broken off")
        chunk = self._body.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk


class Spoilt(io.RawIOBase):
    """A body with another byte in it."""

    def __init__(self, body):
        self._body = io.BytesIO(bytes([body.read(1)[0] ^ 1]) + body.read())

    def read(self, size=-1):
        return self._body.read(size)


@pytest.fixture
def put(store):
    def put(body, key="in/a"):
        return Wanted(S3Uri(DATA, key), store.put(DATA, key, body))

    return put


@pytest.mark.parametrize("size", [0, 1, 255, 1023, 1024, 1025, 2048, 5000, len(BODY)])
def test_every_size_comes_whole(store, put, tmp_path, size):
    wanted = put(BODY[:size])
    assert download(store, wanted, tmp_path / "a", Stop()) == wanted.etag
    assert (tmp_path / "a").read_bytes() == BODY[:size]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(0, len(BODY) - 1), length=st.integers(1, len(BODY)))
def test_a_range_is_what_was_asked_for(store, put, tmp_path, first, length):
    last = min(first + length, len(BODY)) - 1
    wanted = put(BODY)
    ranged = Wanted(wanted.uri, wanted.etag, first, last)
    download(store, ranged, tmp_path / "a", Stop())
    assert (tmp_path / "a").read_bytes() == BODY[first : last + 1]


def test_a_range_without_end_goes_to_the_objects_end(store, put, tmp_path):
    wanted = put(BODY)
    download(store, Wanted(wanted.uri, None, 100, None), tmp_path / "a", Stop())
    assert (tmp_path / "a").read_bytes() == BODY[100:]


def test_every_piece_is_pinned_and_asked_for_once(client, put, tmp_path):
    store, wanted = Faulty(client), put(BODY)
    unpinned = Wanted(wanted.uri)
    download(store, unpinned, tmp_path / "a", Stop())
    first, *others = store.asked
    assert first == {"first_byte": None, "last_byte": None, "etag": None}
    assert {asked["etag"] for asked in others} == {wanted.etag}
    ranges = sorted((asked["first_byte"], asked["last_byte"]) for asked in others)
    assert ranges == [(start, start + 1023) for start in range(1024, len(BODY), 1024)]


def test_a_small_object_costs_one_request(client, put, tmp_path):
    store, wanted = Faulty(client), put(BODY[:1024])
    download(store, wanted, tmp_path / "a", Stop())
    assert len(store.asked) == 1


@pytest.mark.parametrize("size", [1000, len(BODY)])
def test_an_answer_that_breaks_off_is_gone_on_with(client, put, tmp_path, size):
    store = Faulty(client, lambda body, number: Broken(body, 300) if number % 2 == 0 else body)
    wanted = put(BODY[:size])
    download(store, wanted, tmp_path / "a", Stop())
    assert (tmp_path / "a").read_bytes() == BODY[:size]
    # What had come is not asked for again.
    assert any(asked["first_byte"] and asked["first_byte"] % 1024 == 300 for asked in store.asked)


@pytest.mark.parametrize("size", [1000, len(BODY)])
def test_answers_that_never_bring_anything_are_an_outage(client, put, tmp_path, size):
    store, wanted = Faulty(client, lambda body, _number: Broken(body, 0)), put(BODY[:size])
    with pytest.raises(StoreUnavailable, match="bytes came: reading broke off: broken off"):
        download(store, wanted, tmp_path / "a", Stop())
    pieces = -(-size // 1024)
    assert len(store.asked) <= 5 * pieces


def test_slow_progress_is_progress(client, put, tmp_path):
    """More breaks than there are tries, each after a few bytes."""
    store, wanted = Faulty(client, lambda body, _number: Broken(body, 50)), put(BODY[:1000])
    download(store, wanted, tmp_path / "a", Stop())
    assert (tmp_path / "a").read_bytes() == BODY[:1000]
    assert len(store.asked) == 20


@pytest.mark.parametrize("size", [1000, len(BODY)])
def test_what_came_spoilt_is_fetched_again(client, put, tmp_path, size):
    store = Faulty(client, lambda body, number: body if number else Spoilt(body))
    wanted = put(BODY[:size])
    download(store, wanted, tmp_path / "a", Stop())
    assert (tmp_path / "a").read_bytes() == BODY[:size]


@pytest.mark.parametrize("size", [1000, len(BODY)])
def test_what_always_comes_spoilt_is_an_error(client, put, tmp_path, size):
    def spoil(body, _number):
        return Spoilt(body)

    with pytest.raises(StoreUnavailable, match="another CRC32 than S3 has of it"):
        download(Faulty(client, spoil), put(BODY[:size]), tmp_path / "a", Stop())


def test_an_object_without_checksum_is_compared_with_its_etag(client, store, put, tmp_path):
    def without(body, _number):
        return Spoilt(body)

    class Old(Faulty):
        def get_stream(self, bucket, key, **asked):
            found = super().get_stream(bucket, key, **asked)
            answer = {"ETag": f'"{found.etag}"'}
            checksum = module_of_answer(bucket, answer) if found.checksum else None
            return type(found)(found.body, found.etag, found.size, checksum)

    from drydock.checksums import of_answer as module_of_answer

    wanted = put(BODY)
    download(Old(client), wanted, tmp_path / "a", Stop())
    with pytest.raises(StoreUnavailable, match="another MD5 than S3 has of it"):
        download(Old(client, without), wanted, tmp_path / "b", Stop())


def test_an_object_that_changes_on_the_way_is_noticed(client, put, tmp_path):
    wanted = put(BODY)

    def replaced(body, number):
        if number == 0:
            put(BODY[::-1])
        return body

    with pytest.raises(Changed):
        download(Faulty(client, replaced), wanted, tmp_path / "a", Stop())


def test_what_is_not_there_or_another_is_told(store, put, tmp_path):
    wanted = put(BODY)
    with pytest.raises(Changed):
        download(store, Wanted(wanted.uri, "0" * 32), tmp_path / "a", Stop())
    with pytest.raises(NotFound):
        download(store, Wanted(S3Uri(DATA, "nothing")), tmp_path / "a", Stop())


class Hanging(io.RawIOBase):
    """A body that does not come."""

    def __init__(self, stop, release):
        self._stop, self._release = stop, release

    def read(self, _size=-1):
        self._stop.ask("signal", "SIGTERM")
        self._release.wait()
        return b""


def test_a_stop_waits_for_no_answer(client, put, tmp_path):
    stop, release = Stop(), threading.Event()
    store = Faulty(client, lambda body, n: Hanging(stop, release) if n else body)
    try:
        with pytest.raises(Interrupted, match="SIGTERM"):
            download(store, put(BODY), tmp_path / "a", stop)
        assert not release.is_set()
    finally:
        release.set()


def test_a_stop_waits_for_no_first_answer_either(client, put, tmp_path):
    stop, release = Stop(), threading.Event()

    class Silent(Store):
        def get_stream(self, *given, **asked):
            stop.ask("spot", "Spot notice")
            release.wait()
            return super().get_stream(*given, **asked)

    try:
        with pytest.raises(Interrupted, match="Spot notice"):
            download(Silent(client), put(BODY[:10]), tmp_path / "a", stop)
        assert not release.is_set()
    finally:
        release.set()


@pytest.mark.parametrize("size", [1000, len(BODY)])
def test_a_stop_ends_the_waiting_between_tries(client, put, tmp_path, size, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE_S", 3600)
    stop = Stop()

    def fault(body, number):
        if number > 1:
            stop.ask("signal", "SIGTERM")
        return Broken(body, 10 if number < 2 else 0)

    timer = threading.Timer(0.3, stop.ask, ("signal", "SIGTERM"))
    timer.start()
    with pytest.raises((Interrupted, StoreUnavailable)):
        download(Faulty(client, fault), put(BODY[:size]), tmp_path / "a", stop)
    timer.join()


def test_a_full_disk_is_told_with_its_bytes(store, put, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "posix_fallocate", full)
    with pytest.raises(ScratchFull, match=r"needs more room, .* free on "):
        download(store, put(BODY), tmp_path / "a", Stop())


def test_a_file_system_that_cannot_allocate_is_no_matter(store, put, tmp_path, monkeypatch):
    def cannot(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(module.os, "posix_fallocate", cannot)
    download(store, put(BODY), tmp_path / "a", Stop())
    monkeypatch.delattr(module.os, "posix_fallocate")
    download(store, put(BODY), tmp_path / "b", Stop())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == BODY


def test_a_shorter_object_leaves_nothing_of_a_longer_one(store, put, tmp_path):
    download(store, put(BODY), tmp_path / "a", Stop())
    download(store, put(b"short"), tmp_path / "a", Stop())
    assert (tmp_path / "a").read_bytes() == b"short"


def test_other_errors_of_the_disk_are_what_they_are(store, put, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        download(store, put(BODY), tmp_path / "a", Stop())
