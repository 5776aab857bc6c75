"""Preloaded by the fork server: botocore's models are read there, once for all its processes.

Making a client costs mostly the parsing of these JSON files (the service's model, its endpoint
rules); a process that starts, makes a client and works for a second should not pay it again.
"""

from typing import Any

import boto3.s3.inject  # noqa: F401 - boto3 imports it with its first client
import botocore.auth
import botocore.endpoint
import botocore.handlers
import botocore.session
from botocore.loaders import JSONFileLoader

SERVICES = ("s3", "batch", "stepfunctions", "sqs", "sns")

_known: dict[str, Any] = {}
_read_file = JSONFileLoader.load_file


def _load_file(loader: JSONFileLoader, file_path: str) -> Any:
    """As JSONFileLoader.load_file; botocore itself keeps and shares what it gives, per session."""
    if file_path not in _known:
        content = _read_file(loader, file_path)
        if content is None:  # no such file, so far
            return None
        _known[file_path] = content
    return _known[file_path]


def _read_ahead() -> None:
    loader = botocore.session.Session().get_component("data_loader")
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
    for service in SERVICES:
        for kind in ("service-2", "endpoint-rule-set-1"):
            loader.load_service_model(service, kind)


JSONFileLoader.load_file = _load_file  # type: ignore[assignment, method-assign]
_read_ahead()
