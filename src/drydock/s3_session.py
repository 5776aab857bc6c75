"""botocore for S3 alone: a child of an array starts often, and what botocore has for its other
services takes as long to load as what it has for S3.

What is asked of S3, and how, is the same (tests/adapters/test_s3_session.py compares).
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, cast

import botocore.session
from botocore.handlers import BUILTIN_HANDLERS, REGISTER_FIRST, REGISTER_LAST
from botocore.hooks import HierarchicalEmitter
from botocore.loaders import JSONFileLoader, Loader

# Of botocore's models of S3 what is asked here (scripts/s3_model.py); it looks there first.
MODELS = Path(__file__).with_name("botocore_models")
# S3, and what botocore asks for keys: STS and IAM Identity Center.
_SERVICES = ("s3", "sts", "sso", "sso-oidc", "signin")
_HOSTNAME = "{service}.{region}.{dnsSuffix}"


class S3Session(botocore.session.Session):
    """A session whose clients are those of S3."""

    def __init__(self) -> None:
        events = HierarchicalEmitter()
        super().__init__(event_hooks=events, include_builtin_handlers=False)
        # Events go to it straight: no other name of an event is one of these services'.
        self.register_component("event_emitter", events)
        ways = {REGISTER_FIRST: events.register_first, REGISTER_LAST: events.register_last}
        for name, handler, *where in BUILTIN_HANDLERS:
            if concerns_s3(name):
                ways.get(where[0] if where else None, events.register)(name, handler)
        self.register_component("data_loader", _S3Loader([str(MODELS)]))
        # Moments stay as S3 writes them: to read one takes as long as all else of a small answer.
        self.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)


def concerns_s3(event: str) -> bool:
    """Whether an event may come of S3: its name is ``event.service.operation``, or shorter."""
    what, _, rest = event.partition(".")
    service = rest.partition(".")[0]
    return what != "docs" and service in ("", "*", *_SERVICES)


class _PlainJson(JSONFileLoader):
    """Reads models without calling Python for each object of theirs; dicts keep their order too."""

    def load_file(self, file_path: str) -> Any:
        """See botocore; ``file_path`` is without its ending."""
        if (plain := Path(f"{file_path}.json")).is_file():
            return json.loads(plain.read_bytes())
        packed = Path(f"{file_path}.json.gz")
        return json.loads(gzip.decompress(packed.read_bytes())) if packed.is_file() else None


class _S3Loader(Loader):
    """Finds models without looking through the folders of all services.

    S3's host names come of its rules and of the partitions; of botocore's megabyte of older
    endpoints only what the signature is made with is of use, which is the same in every Region.
    """

    FILE_LOADER_CLASS = _PlainJson

    def list_available_services(self, type_name: str) -> list[str]:
        """See botocore; ``type_name`` is a kind of model."""
        del type_name
        return list(_SERVICES)

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """See botocore; ``name`` is a file's without its ending."""
        if name != "endpoints":
            return cast("tuple[Any, str]", super().load_data_with_path(name))
        data, path = super().load_data_with_path("partitions")
        return {"version": 3, "partitions": [*map(_endpoints, data["partitions"])]}, path


def _endpoints(partition: dict[str, Any]) -> dict[str, Any]:
    """A partition as botocore's endpoints.json has it, with S3 and STS as its only services."""
    outputs = partition["outputs"]
    suffix, dual_stack = outputs["dnsSuffix"], outputs["dualStackDnsSuffix"]
    fips = _HOSTNAME.replace(".", "-fips.", 1)
    variants = [
        {"dnsSuffix": suffix, "hostname": fips, "tags": ["fips"]},
        {"dnsSuffix": dual_stack, "hostname": fips, "tags": ["dualstack", "fips"]},
        {"dnsSuffix": dual_stack, "hostname": _HOSTNAME, "tags": ["dualstack"]},
    ]
    # What both services are asked by without a Region; of other partitions nobody is.
    scope = {"credentialScope": {"region": outputs["implicitGlobalRegion"]}}
    s3 = {
        "defaults": {"signatureVersions": ["s3v4"]},
        "endpoints": {"aws-global": scope},
        "partitionEndpoint": "aws-global",
    }
    sts = {
        "endpoints": {"aws-global": scope | {"hostname": f"sts.{suffix}"}},
        "partitionEndpoint": "aws-global",
    }
    return {
        "partition": partition["id"],
        "dnsSuffix": suffix,
        "regionRegex": partition["regionRegex"],
        "regions": partition["regions"],
        "defaults": {
            "hostname": _HOSTNAME,
            "signatureVersions": ["v4"],
            "variants": variants,
        },
        "services": {"s3": s3, "sts": sts},
    }
