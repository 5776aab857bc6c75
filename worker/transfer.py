"""Fetching what the attempt needs into scratch: inputs and assets, pinned by ETag."""

import contextlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from drydock.errors import Changed, InvalidUri, NotFound, StoreUnavailable
from drydock.parts import OutputObject
from drydock.store import Store
from drydock.task_document import PinnedAsset, PinnedObject
from drydock.tasks import Record
from drydock.uris import S3Uri, parse_s3_uri
from worker.endings import InputFailed, Interrupted, Misconfigured
from worker.scratch import free_bytes
from worker.stop_signals import Stop
from worker.tools import FetchedInput


class NoRoomError(Exception):
    """Raised when an object is larger than what is free in scratch."""


def fetch_input(store: Store, record: Record, folder: Path, stop: Stop) -> FetchedInput:
    """Fetch an input, or its slice.

    Raises:
        InputFailed: it is gone (``input_missing``), another object than the pinned one
            (``input_changed``), larger than the scratch (``scratch_full``), or its address is
            none (``bad_input``).
        Interrupted: a stop was asked for.
    """
    try:
        uri = parse_s3_uri(record.uri)
    except InvalidUri as error:
        raise InputFailed("bad_input", str(error)) from error
    target = folder / _safe_name(uri.key)
    try:
        etag = _fetch(store, uri, target, stop, record)
    except NotFound as error:
        raise InputFailed("input_missing", f"{record.uri} is gone") from error
    except Changed as error:
        raise InputFailed(
            "input_changed", f"{record.uri} is not the object that the manifest names any more"
        ) from error
    except NoRoomError as error:
        raise InputFailed("scratch_full", str(error)) from error
    return FetchedInput(target, record.index, record.uri, etag, record.first_byte)


def fetch_assets(
    store: Store, assets: Mapping[str, PinnedAsset], folder: Path, stop: Stop
) -> dict[str, Path]:
    """Fetch all assets; each becomes a file, or a folder when its URI is a prefix.

    Raises:
        Misconfigured: one is gone or changed since the run began, or its keys are no paths.
        Interrupted: a stop was asked for.
    """
    return {
        name: _fetch_asset(store, name, asset, folder / name, stop)
        for name, asset in assets.items()
    }


def fetch_output(store: Store, bucket: str, output: OutputObject, target: Path, stop: Stop) -> None:
    """Fetch what an earlier part left, as its record pins it.

    Raises:
        NotFound, Changed: it is not there any more as it was written.
        InputFailed: the scratch is full.
        Interrupted: a stop was asked for.
    """
    uri = S3Uri(bucket, output.key)
    record = Record(0, 0, str(uri), output.etag, output.size)
    try:
        _fetch(store, uri, target, stop, record)
    except NoRoomError as error:
        raise InputFailed("scratch_full", str(error)) from error
    if target.stat().st_size != output.size:
        raise Changed(f"{uri} has {target.stat().st_size} bytes and was {output.size}")


def _fetch_asset(store: Store, name: str, asset: PinnedAsset, folder: Path, stop: Stop) -> Path:
    folder.mkdir(parents=True)
    root = parse_s3_uri(asset.uri)
    single = len(asset.objects) == 1 and asset.objects[0].uri == asset.uri
    target = folder
    for pinned in asset.objects:
        uri = parse_s3_uri(pinned.uri)
        relative = PurePosixPath(uri.key).name if single else uri.key.removeprefix(root.key)
        relative = relative.lstrip("/")
        if not relative or relative.endswith("/"):  # a folder's placeholder
            continue
        target = _inside(folder, relative, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch_pinned(store, name, pinned, uri, target, stop)
    return target if single else folder


def _fetch_pinned(
    store: Store, name: str, pinned: PinnedObject, uri: S3Uri, target: Path, stop: Stop
) -> None:
    record = Record(0, 0, pinned.uri, pinned.etag, pinned.size)
    try:
        _fetch(store, uri, target, stop, record)
    except NotFound as error:
        raise Misconfigured(f"asset {name}: {pinned.uri} is gone; put it back") from error
    except Changed as error:
        raise Misconfigured(
            f"asset {name}: {pinned.uri} changed since the run began (it was {pinned.etag}); "
            "put the object back or start a new run"
        ) from error
    except NoRoomError as error:
        raise Misconfigured(f"asset {name}: {error}") from error


def _fetch(store: Store, uri: S3Uri, target: Path, stop: Stop, record: Record) -> str:
    """Copy an object or a slice of one to a file; returns the object's ETag."""
    stream = store.get_stream(
        uri.bucket,
        uri.key,
        first_byte=record.first_byte,
        last_byte=record.last_byte,
        etag=record.etag,
    )
    expected = stream.size
    if record.first_byte is not None:
        last = stream.size - 1 if record.last_byte is None else record.last_byte
        expected = last - record.first_byte + 1
    if expected > (free := free_bytes(target.parent)):
        stream.body.close()
        raise NoRoomError(
            f"{record.uri} needs {expected} bytes and {free} are free below SHRTCACHE: "
            "give more scratch or another SHRTCACHE"
        )
    received = 0
    with target.open("wb") as file, contextlib.closing(stream.chunks()) as chunks:
        for chunk in chunks:
            if stop.reason is not None:
                raise Interrupted(stop.reason.text)
            received += file.write(chunk)
    if received != expected:
        raise StoreUnavailable(f"{record.uri}: {received} of {expected} bytes came")
    return stream.etag


def _safe_name(key: str) -> str:
    """A file name for a key: its own last name where that can be one, for ids are made from it."""
    name = PurePosixPath(key).name.replace("\0", "_")
    while len(name.encode()) > 200:
        name = name[1:]
    return "input" if name in ("", ".", "..") else name


def _inside(folder: Path, relative: str, name: str) -> Path:
    parts = PurePosixPath(relative).parts
    if ".." in parts or "\0" in relative:
        raise Misconfigured(f"asset {name}: the key {relative!r} is no path below a folder")
    return folder.joinpath(*parts)
