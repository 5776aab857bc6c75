"""The worker started by hand, as DOCK 3.8 users start their image: no run, no manifest.

The index'th input is found in a list or below a prefix; outputs go below ``<output>/<index>/``,
markers and parts below the output as in a run.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from drydock.errors import InvalidUri, Malformed, NotFound
from drydock.markers import Failure, parse_marker, parse_marker_name
from drydock.parts import parse_part_record
from drydock.planning import is_input_key
from drydock.store import AccessDenied, Listed, Store
from drydock.task_document import PinnedAsset, PinnedObject
from drydock.tasks import Record
from drydock.uris import S3Uri, parse_s3_uri
from worker.contract import Contract, HandLocations
from worker.endings import Misconfigured
from worker.fetch_and_run import FetchAndRun
from worker.nowhere import NOWHERE
from worker.places import by_hand
from worker.work import Work

_BOX_NUMBERS = {"seed": int, "exhaustiveness": int, "num_modes": int, "max_evals": int}


def learn_by_hand(store: Store, contract: Contract) -> Work:
    """What the environment's locations hold for this index.

    Raises:
        Misconfigured: there is no such input, or the locations do not fit together.
    """
    locations = contract.by_hand
    if locations is None:
        raise Misconfigured("neither a task nor locations were given")
    record = _record(store, locations, contract.child)
    with _named("S3_OUTPUT_LOCATION", locations.output):
        if locations.output is not None:
            next(store.list_pages(locations.output.bucket, locations.output.key, page_size=1))
    assets: dict[str, PinnedAsset] = {}
    with _named("S3_DOCKFILES_LOCATION", locations.dockfiles):
        dockfiles = None if locations.dockfiles is None else _pin(store, locations.dockfiles)
        tool = locations.tool or _recognise(dockfiles)
        options = _options(store, locations, dockfiles, tool)
    if dockfiles is not None:
        assets["dockfiles"] = dockfiles
    if locations.script is not None:
        with _named("BATCH_FILE_S3_URL", locations.script.script):
            assets["script"] = _pin_object(store, locations.script.script)
    if locations.dockexec is not None:
        with _named("S3_DOCKEXEC_LOCATION", locations.dockexec):
            assets["dockexec"] = _pin_object(store, locations.dockexec)
    return Work(
        records=(record,),
        places=by_hand("" if locations.output is None else locations.output.key),
        output_bucket=NOWHERE if locations.output is None else locations.output.bucket,
        tool=tool,
        options=options,
        assets=assets,
        vcpus=locations.vcpus,
        attempt_seconds=contract.attempt_seconds,
        checkpoint_seconds=contract.checkpoint_seconds or 0,
        variables=() if locations.script is None else locations.script.variables,
        job=None if locations.script is None else _job(locations.script, assets["script"]),
    )


def _job(script: FetchAndRun, pinned: PinnedAsset) -> str:
    """The same for the same script with the same arguments only."""
    name = script.name if script.kind == "zip" else None
    told = json.dumps([pinned.objects[0].etag, script.kind, name, script.arguments])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def refuse_another_job(store: Store, work: Work, record: Record, key: str) -> None:
    """Refuse an output location where another job settled what has this one's place.

    Raises:
        Misconfigured: the marker tells of another input, or of another script or arguments.
    """
    told = _told_by(store, work, record.place, key)
    etag = None if told is None else record.etag or _etag(store, record.uri)
    # Scripts' markers that tell an ETag alone are of workers that did not tell jobs apart.
    if etag is None or told in (etag, work.told(etag)):
        return
    others = "input" if work.job is None else "input, script or arguments"
    raise Misconfigured(
        f"S3_OUTPUT_LOCATION: s3://{work.output_bucket}/{key} is the end of another job, with "
        f"another {others}: choose another S3_OUTPUT_LOCATION"
    )


def _told_by(store: Store, work: Work, place: int, key: str) -> str | None:
    """What a marker tells of its input; None where it does not, or is none."""
    bucket, places = work.output_bucket, work.places
    name = parse_marker_name(key.removeprefix(places.markers_folder()))
    try:
        content = parse_marker(store.get(bucket, key).body, name)
        if isinstance(content, Failure) and content.parts:
            record = places.part_record(place, content.parts[-1])
            return parse_part_record(store.get(bucket, record).body).input_etag
    except (Malformed, NotFound):
        return None
    summaries = content if isinstance(content, list) else []
    return next((each.input_etag for each in summaries if each.place == place), None)


def _etag(store: Store, uri: str) -> str | None:
    """An input's ETag; None when it is gone, or out of sight."""
    try:
        parsed = parse_s3_uri(uri)
        return store.head(parsed.bucket, parsed.key).etag
    except (InvalidUri, NotFound, AccessDenied):
        return None


@contextlib.contextmanager
def _named(variable: str, location: S3Uri | None) -> Iterator[None]:
    """Name the variable whose location is not there."""
    try:
        yield
    except NotFound as error:
        raise Misconfigured(f"{variable}: {location} does not exist: {error}") from error


def _record(store: Store, locations: HandLocations, index: int) -> Record:
    """The index'th input; without a location a script is its own."""
    if locations.input is not None:
        with _named("S3_INPUT_LOCATION", locations.input):
            return find_input(store, locations.input, index)
    if locations.script is None:
        raise Misconfigured("S3_INPUT_LOCATION is not set")
    return Record(place=index, index=index, uri=str(locations.script.script))


def find_input(store: Store, location: S3Uri, index: int) -> Record:
    """The index'th input: a line of a list when the location is an object, else a direct child.

    Raises:
        Misconfigured: there is no such line or child, or the line is blank or a comment.
    """
    if not location.is_folder:
        try:
            text = store.get(location.bucket, location.key).body
        except NotFound:
            pass  # no object of that key: it is meant as a prefix
        else:
            return _line_of_list(text, location, index)
    return _child_of_prefix(store, location.folder(), index)


def _line_of_list(text: bytes, location: S3Uri, index: int) -> Record:
    lines = text.decode("utf-8-sig", errors="replace").splitlines()
    if index >= len(lines):
        raise Misconfigured(f"{location} has {len(lines)} lines: there is no index {index}")
    line = lines[index].strip()
    if not line or line.startswith("#"):
        kind = "a comment" if line else "blank"
        raise Misconfigured(f"{location}: line {index + 1} (index {index}) is {kind}")
    return Record(place=index, index=index, uri=line)


def _child_of_prefix(store: Store, folder: S3Uri, index: int) -> Record:
    place = 0
    for found in store.list(folder.bucket, folder.key, delimiter="/"):
        if not is_input_key(found.key, folder.key, recursive=False):
            continue
        if place == index:
            uri = f"s3://{folder.bucket}/{found.key}"
            return Record(place=index, index=index, uri=uri, etag=found.etag, size=found.size)
        place += 1
    raise Misconfigured(f"{folder} has {place} objects: there is no index {index}")


def _pin(store: Store, folder: S3Uri) -> PinnedAsset:
    def pinned(found: Listed) -> PinnedObject:
        return PinnedObject(f"s3://{folder.bucket}/{found.key}", found.etag, found.size)

    objects = tuple(pinned(found) for found in store.list(folder.bucket, folder.key))
    if not objects:
        raise Misconfigured(f"S3_DOCKFILES_LOCATION: there is nothing below {folder}")
    return PinnedAsset(str(folder), objects)


def _pin_object(store: Store, uri: S3Uri) -> PinnedAsset:
    found = store.head(uri.bucket, uri.key)
    return PinnedAsset(str(uri), (PinnedObject(str(uri), found.etag, found.size),))


def _names(dockfiles: PinnedAsset | None) -> set[str]:
    if dockfiles is None:
        return set()
    return {found.uri.removeprefix(dockfiles.uri) for found in dockfiles.objects}


def _recognise(dockfiles: PinnedAsset | None) -> str:
    """The tool that the dockfiles are made for; DOCK's is the contract's own."""
    return "vina" if "receptor.pdbqt" in _names(dockfiles) else "dock38"


def _options(
    store: Store, locations: HandLocations, dockfiles: PinnedAsset | None, tool: str
) -> dict[str, Any]:
    """The tool's options: options.json among the dockfiles, as in a request.

    Vina's may be box.txt, its own configuration. A script's arguments are the container's, and it
    has the container's credentials unless its options say otherwise.
    """
    names = _names(dockfiles)
    if tool == "vina" and not names & {"options.json", "box.txt"}:
        raise Misconfigured("vina needs options.json or box.txt in S3_DOCKFILES_LOCATION")
    options: dict[str, Any] = {}
    folder = locations.dockfiles
    if folder is not None and "options.json" in names:
        options = _read_options(store, S3Uri(folder.bucket, f"{folder.key}options.json"))
    elif folder is not None and tool == "vina":
        options = _read_options(store, S3Uri(folder.bucket, f"{folder.key}box.txt"))
    if locations.script is not None:
        options = {"allow_aws": True} | options | locations.script.options()
    return options


def _read_options(store: Store, uri: S3Uri) -> dict[str, Any]:
    text = store.get(uri.bucket, uri.key).body.decode(errors="replace")
    try:
        options = json.loads(text) if uri.key.endswith(".json") else parse_box(text)
    except (ValueError, Malformed) as error:
        raise Misconfigured(f"{uri}: {error}") from error
    if not isinstance(options, dict):
        raise Misconfigured(f"{uri} is no JSON object")
    return options


def parse_box(text: str) -> dict[str, Any]:
    """Read vina's configuration file: ``key = value`` lines, ``#`` begins a comment.

    Raises:
        Malformed: a line is no setting, or one that cannot be given this way.
    """
    found: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        setting = line.partition("#")[0].strip()
        if not setting:
            continue
        key, separator, value = (part.strip() for part in setting.partition("="))
        try:
            _take_setting(found, key if separator else "", value)
        except ValueError as error:
            raise Malformed(f"line {number}, {setting!r}: {error}") from error
    missing = [name for name in ("center", "size") if set(found.get(name, {})) != set("xyz")]
    if missing:
        raise Malformed(f"{' and '.join(missing)} must be given for x, y and z")
    for name in ("center", "size"):
        found[name] = [found[name][axis] for axis in "xyz"]
    return found


def _take_setting(found: dict[str, Any], key: str, value: str) -> None:
    name, _, axis = key.partition("_")
    if name in ("center", "size") and axis in ("x", "y", "z"):
        found.setdefault(name, {})[axis] = float(value)
    elif key in _BOX_NUMBERS:
        found[key] = _BOX_NUMBERS[key](value)
    elif key == "energy_range":
        found[key] = float(value)
    elif key == "scoring":
        found[key] = value
    else:
        raise ValueError("unknown setting")
