"""Write src/drydock/botocore_models: of botocore's model of S3, what drydock asks of S3.

usage: python scripts/s3_model.py

The whole model would be read whenever a client is made, and take two thirds of the time of that.
Left out are operations that drydock does not use, the shapes of them alone, and all documentation.
"""

from __future__ import annotations

import gzip
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "src/drydock/botocore_models"
API = "s3/2006-03-01"
OPERATIONS = {
    *("GetObject", "HeadObject", "ListObjectsV2", "PutObject", "DeleteObject"),
    *("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload"),
    # botocore itself asks where a bucket lies, and for keys to directory buckets.
    *("HeadBucket", "CreateSession"),
}


def models() -> dict[str, str]:
    """The files' texts by their names below the folder, of the botocore that is installed."""
    service = _read("service-2")
    operations = {name: service["operations"][name] for name in sorted(OPERATIONS)}
    shapes = _shapes_of(list(operations.values()), service["shapes"])
    found = {
        "service-2": service | {"operations": operations, "shapes": shapes},
        "endpoint-rule-set-1": _read("endpoint-rule-set-1"),
    }
    return {
        f"{API}/{name}.json": json.dumps(_undocumented(model), separators=(",", ":"))
        for name, model in found.items()
    }


def _read(name: str) -> dict[str, Any]:
    packed = files("botocore").joinpath(f"data/{API}/{name}.json.gz").read_bytes()
    model: dict[str, Any] = json.loads(gzip.decompress(packed))
    return model


def _shapes_of(operations: list[dict[str, Any]], shapes: dict[str, Any]) -> dict[str, Any]:
    """The shapes that operations name, and those that these name, in the order of their names."""
    wanted: set[str] = set()
    beyond = [*operations]
    while beyond:
        for name in _named_in(beyond.pop()) - wanted:
            wanted.add(name)
            beyond.append(shapes[name])
    return {name: shapes[name] for name in sorted(wanted)}


def _named_in(model: Any) -> set[str]:
    if isinstance(model, list):
        return set().union(*map(_named_in, model))
    if not isinstance(model, dict):
        return set()
    named = {model["shape"]} if isinstance(model.get("shape"), str) else set()
    return named.union(*map(_named_in, model.values()))


def _undocumented(model: Any) -> Any:
    if isinstance(model, list):
        return [*map(_undocumented, model)]
    if not isinstance(model, dict):
        return model
    # Some of it must be there; and a member of a shape may be called so, which is no text.
    return {
        key: "" if key == "documentation" and isinstance(value, str) else _undocumented(value)
        for key, value in model.items()
    }


def main() -> None:
    """Write the files."""
    for name, text in models().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
