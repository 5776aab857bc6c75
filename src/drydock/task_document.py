"""The round's document: all that a worker must know beside its own records.

It lies in the control bucket beside the round's task list, is written before the shard's document
names the round, and never again. A container learns its address from ``S3_TASK_LOCATION``.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from drydock.errors import Malformed


class PinnedObject(NamedTuple):
    """An object that every attempt must find unchanged."""

    uri: str
    etag: str
    size: int


class PinnedAsset(NamedTuple):
    """Reference data by name: one object, or everything below a prefix."""

    uri: str
    objects: tuple[PinnedObject, ...]


class TaskDocument(NamedTuple):
    """What the children of one round share. Durations in seconds.

    ``variables`` names those of the container's variables that are for the tool.
    """

    run_id: str
    shard: int
    epoch: int
    owner: str
    round: int
    tool: str
    options: dict[str, Any]
    assets: dict[str, PinnedAsset]
    dockfiles: PinnedAsset | None
    output_bucket: str
    output_prefix: str
    tasks_bucket: str
    tasks_key: str
    run_document_key: str
    inputs_per_job: int
    size: int
    vcpus: int
    gpus: int
    attempt_seconds: int
    checkpoint_seconds: int
    kms_key_id: str | None
    variables: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """The object's bytes."""
        pinned = _pinned(self.assets, self.dockfiles)
        return json.dumps(self._asdict() | pinned, separators=(",", ":")).encode()


def parse_task_document(body: bytes) -> TaskDocument:
    """Read a round's document.

    What it says beyond this version's fields is left out: a run keeps the image that it began with,
    and the functions that write its rounds may be newer.

    Raises:
        Malformed: the object is cut or is no task document.
    """
    try:
        said = json.loads(body)
        fields = {name: said[name] for name in TaskDocument._fields if name in said}
        assets = {name: _asset(asset) for name, asset in fields.pop("assets").items()}
        dockfiles = fields.pop("dockfiles")
        return TaskDocument(
            assets=assets,
            dockfiles=None if dockfiles is None else _asset(dockfiles),
            variables=tuple(fields.pop("variables", ())),
            **fields,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Malformed(f"no task document: {body[:80]!r}") from error


def encode_assets(assets: dict[str, PinnedAsset], dockfiles: PinnedAsset | None) -> bytes:
    """The object that pins a run's assets."""
    pinned = _pinned(dict(sorted(assets.items())), dockfiles)
    return json.dumps(pinned, separators=(",", ":")).encode()


def _pinned(assets: Mapping[str, PinnedAsset], dockfiles: PinnedAsset | None) -> dict[str, Any]:
    return {
        "assets": {name: _fields(asset) for name, asset in assets.items()},
        "dockfiles": None if dockfiles is None else _fields(dockfiles),
    }


def _fields(asset: PinnedAsset) -> dict[str, Any]:
    return {"uri": asset.uri, "objects": [found._asdict() for found in asset.objects]}


def parse_assets(fields: dict[str, Any]) -> tuple[dict[str, PinnedAsset], PinnedAsset | None]:
    """Read what :func:`encode_assets` wrote, as JSON already.

    Raises:
        Malformed: the object pins no assets.
    """
    try:
        dockfiles = fields["dockfiles"]
        assets = {name: _asset(asset) for name, asset in fields["assets"].items()}
        return assets, None if dockfiles is None else _asset(dockfiles)
    except (TypeError, KeyError, AttributeError) as error:
        raise Malformed(f"no pinned assets: {str(fields)[:80]!r}") from error


def _asset(fields: dict[str, Any]) -> PinnedAsset:
    return PinnedAsset(
        uri=fields["uri"], objects=tuple(PinnedObject(**found) for found in fields["objects"])
    )
