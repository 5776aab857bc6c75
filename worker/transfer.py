"""Fetching what the attempt needs into scratch: inputs and assets, pinned by ETag."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from drydock.errors import Changed, InvalidUri, NotFound
from drydock.parts import OutputObject
from drydock.store import Store
from drydock.task_document import PinnedAsset, PinnedObject
from drydock.tasks import Record
from drydock.uris import S3Uri, parse_s3_uri
from worker.download import PIECE_BYTES, Wanted, copy_object, download
from worker.endings import InputFailed, Misconfigured, ScratchFull
from worker.parallel import each
from worker.scratch import remove, require_room
from worker.stop_signals import Stop
from worker.tools import FetchedInput

# Small objects at once; a large one comes over several connections by itself.
_AT_ONCE = 16


def fetch_input(store: Store, record: Record, folder: Path, stop: Stop) -> FetchedInput:
    """Fetch an input, or its slice.

    Raises:
        InputFailed: it is gone (``input_missing``), another object than the pinned one
            (``input_changed``), larger than the whole scratch (``scratch_full``), or its address
            is none (``bad_input``).
        ScratchFull: there is no room for it now.
        StoreUnavailable: S3 does not give it, or not as it says it is.
        Interrupted: a stop was asked for.
    """
    try:
        uri = parse_s3_uri(record.uri)
    except InvalidUri as error:
        raise InputFailed("bad_input", str(error)) from error
    target = folder / _safe_name(uri.key)
    wanted = Wanted(uri, record.etag, record.first_byte, record.last_byte)
    try:
        etag = download(store, wanted, target, stop)
    except NotFound as error:
        raise InputFailed("input_missing", f"{record.uri} is gone") from error
    except Changed as error:
        raise InputFailed(
            "input_changed", f"{record.uri} is not the object that the manifest names any more"
        ) from error
    except ScratchFull as error:
        if not error.never:
            raise
        raise InputFailed("scratch_full", str(error)) from error
    return FetchedInput(target, record.index, record.uri, etag, record.first_byte)


class _AssetFile(NamedTuple):
    asset: str
    pinned: PinnedObject
    uri: S3Uri
    target: Path


def fetch_assets(
    store: Store, assets: Mapping[str, PinnedAsset], folder: Path, stop: Stop
) -> dict[str, Path]:
    """Fetch all assets; each becomes a file, or a folder when its URI is a prefix.

    Raises:
        Misconfigured: one is gone or changed since the run began, its keys are no paths, or the
            whole scratch is too small for all.
        ScratchFull: there is no room for all now.
        StoreUnavailable: S3 does not give one, or not as it says it is.
        Interrupted: a stop was asked for.
    """
    files = [file for name, asset in assets.items() for file in _files(name, asset, folder / name)]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        require_room(folder, sum(file.pinned.size for file in files), "the assets need")
        for place in {file.target.parent for file in files} | {folder / name for name in assets}:
            place.mkdir(parents=True, exist_ok=True)
        small = [file for file in files if file.pinned.size <= PIECE_BYTES]
        each(lambda file: _fetch_asset_file(store, file, stop), small, _AT_ONCE, stop)
        large = [file for file in files if file.pinned.size > PIECE_BYTES]
        each(lambda file: _fetch_asset_file(store, file, stop), large, 1, stop)
    except ScratchFull as error:
        remove(folder)
        if not error.never:
            raise
        raise Misconfigured(str(error)) from error
    return {name: _place(name, asset, folder / name) for name, asset in assets.items()}


def fetch_output(store: Store, bucket: str, output: OutputObject, target: Path, stop: Stop) -> None:
    """Fetch what an earlier part left, as its record pins it.

    Raises:
        NotFound, Changed: it is not there any more as it was written.
        ScratchFull: there is no room for it now.
        StoreUnavailable: S3 does not give it, or not as it says it is.
        Interrupted: a stop was asked for.
    """
    uri = S3Uri(bucket, output.key)
    download(store, Wanted(uri, output.etag), target, stop)
    if target.stat().st_size != output.size:
        raise Changed(f"{uri} has {target.stat().st_size} bytes and was {output.size}")


def _files(name: str, asset: PinnedAsset, folder: Path) -> list[_AssetFile]:
    root = parse_s3_uri(asset.uri)
    files = []
    for pinned in asset.objects:
        uri = parse_s3_uri(pinned.uri)
        relative = uri.key.removeprefix(root.key)
        if _is_single(asset):
            relative = PurePosixPath(uri.key).name
        relative = relative.lstrip("/")
        if relative and not relative.endswith("/"):  # else a folder's placeholder
            files.append(_AssetFile(name, pinned, uri, _inside(folder, relative, name)))
    return files


def _is_single(asset: PinnedAsset) -> bool:
    return len(asset.objects) == 1 and asset.objects[0].uri == asset.uri


def _place(name: str, asset: PinnedAsset, folder: Path) -> Path:
    files = _files(name, asset, folder)
    return files[0].target if _is_single(asset) and files else folder


def _fetch_asset_file(store: Store, file: _AssetFile, stop: Stop) -> None:
    try:
        copy_object(store, Wanted(file.uri, file.pinned.etag), file.target, stop)
    except NotFound as error:
        raise Misconfigured(f"asset {file.asset}: {file.uri} is gone; put it back") from error
    except Changed as error:
        raise Misconfigured(
            f"asset {file.asset}: {file.uri} changed since the run began (it was "
            f"{file.pinned.etag}); put the object back or start a new run"
        ) from error


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
