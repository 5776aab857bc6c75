"""What stands before moto's S3: one writer per key, the mirror, and the "Object Created" events.

moto checks `If-None-Match` and `If-Match` and then writes, which two threads can do at once; S3
promises that one of them wins. So requests that write wait here for each other, key by key.
"""

import logging
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from local import moto_backends
from local.bucket_policies import BucketPolicies
from local.events import Emit, aws_event
from local.http import Answer, call, s3_refusal, signature_of, take_body
from local.names import ACCOUNT
from local.s3_mirror import S3Mirror

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_LOG = logging.getLogger(__name__)
_STRIPES = 64


class S3Front:
    """A WSGI application around moto's, for the S3 requests alone."""

    def __init__(
        self, moto: "WSGIApplication", mirror: S3Mirror, *, emit: Emit, region: str
    ) -> None:
        self._moto = moto
        self._mirror = mirror
        self._emit = emit
        self._region = region
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        self._sequence = _Sequence()
        self._policies = BucketPolicies()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one S3 request; what it wrote is in the mirror before the answer leaves."""
        _make_path_style(environ)
        if "policy" in _query(environ):
            bucket, _ = _bucket_and_key(environ)
            answer = self._policies.answer(environ["REQUEST_METHOD"], bucket, take_body(environ))
            return answer.send(start_response)
        if environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS"):
            return self._moto(environ, start_response)
        try:
            answer = self._write(environ)
        except OSError as error:
            _LOG.exception("the directory did not take it")
            message = f"The embedded AWS could not write its directory: {error}"
            answer = s3_refusal("500 Internal Server Error", "InternalError", message)
        return answer.send(start_response)

    def _write(self, environ: "WSGIEnvironment") -> Answer:
        bucket, key = _bucket_and_key(environ)
        if key:
            return self._write_object(environ, bucket, key)
        if "delete" in _query(environ):
            return self._delete_objects(environ, bucket)
        return self._change_bucket(environ, bucket)

    def _write_object(self, environ: "WSGIEnvironment", bucket: str, key: str) -> Answer:
        take_body(environ)  # before the lock: a slow sender holds up nobody
        if _begins_object(environ) and self._policies.deny_put(bucket, key, environ):
            return _denied_put(environ, bucket, key)
        with self._only_writer(bucket, [key]):
            answer = call(self._moto, environ)
            if answer.ok and not _is_part(environ):
                self._mirror_object(bucket, key)
        reason = _reason(environ)
        if answer.ok and reason and moto_backends.s3_bucket_sends_events(bucket):
            self._emit_created(environ, bucket, key, reason)
        return answer

    def _delete_objects(self, environ: "WSGIEnvironment", bucket: str) -> Answer:
        keys = list(_keys_to_delete(take_body(environ)))
        with self._only_writer(bucket, keys):
            answer = call(self._moto, environ)
            for key in keys if answer.ok else ():
                self._mirror_object(bucket, key)
        return answer

    def _change_bucket(self, environ: "WSGIEnvironment", bucket: str) -> Answer:
        answer = call(self._moto, environ)
        if answer.ok and not _query(environ):
            if environ["REQUEST_METHOD"] == "PUT":
                self._mirror.add_bucket(bucket)
            elif environ["REQUEST_METHOD"] == "DELETE":
                self._mirror.remove_bucket(bucket)
                self._policies.forget(bucket)
        return answer

    def _mirror_object(self, bucket: str, key: str) -> None:
        """Make the directory say what moto says, whatever the request was."""
        current = moto_backends.s3_object(bucket, key)
        if current is None:
            self._mirror.remove(bucket, key)
        else:
            self._mirror.write(bucket, key, *current)

    def _emit_created(self, environ: "WSGIEnvironment", bucket: str, key: str, reason: str) -> None:
        """Amazon S3 user guide, "EventBridge event message structure"; the key is not encoded."""
        current = moto_backends.s3_object(bucket, key)
        if current is None:
            return  # gone again already
        body, facts = current
        signature = signature_of(environ)
        detail = {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {
                "key": key,
                "size": len(body),
                "etag": facts.etag,
                "sequencer": self._sequence.next(),
            },
            "request-id": uuid.uuid4().hex[:16].upper(),
            "requester": signature.access_key if signature else ACCOUNT,
            "source-ip-address": environ.get("REMOTE_ADDR", "127.0.0.1"),
            "reason": reason,
        }
        resources = [f"arn:aws:s3:::{bucket}"]
        self._emit(
            aws_event("aws.s3", "Object Created", detail, region=self._region, resources=resources)
        )

    @contextmanager
    def _only_writer(self, bucket: str, keys: Iterable[str]) -> Iterator[None]:
        """Hold the keys' locks, always taken in the same order."""
        with ExitStack() as held:
            for stripe in sorted({hash((bucket, key)) % _STRIPES for key in keys}):
                held.enter_context(self._stripes[stripe])
            yield


class _Sequence:
    """Hexadecimal numbers that only grow, from one start of the embedded AWS to the next too."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        with self._lock:
            self._last = max(time.time_ns(), self._last + 1)
            return f"{self._last:016X}"


def _make_path_style(environ: "WSGIEnvironment") -> None:
    """Turn bucket.localhost/key into localhost/bucket/key: clients of `localhost` write the former.

    Amazon S3 user guide, "Virtual hosting of buckets".
    """
    bucket, is_virtual, port = environ.get("HTTP_HOST", "").partition(".localhost")
    if is_virtual:
        environ["HTTP_HOST"] = f"localhost{port}"
        for name in ("PATH_INFO", "REQUEST_URI", "RAW_URI"):
            environ[name] = f"/{bucket}{environ[name]}"


def _bucket_and_key(environ: "WSGIEnvironment") -> tuple[str, str]:
    """Path style: /bucket/key. The raw URI, for WSGI's PATH_INFO has lost what was escaped."""
    path = environ["REQUEST_URI"].partition("?")[0]
    if "://" in path:
        path = "/" + path.split("/", 3)[3]
    bucket, _, key = path[1:].partition("/")
    return bucket, urllib.parse.unquote(key)


def _query(environ: "WSGIEnvironment") -> dict[str, list[str]]:
    query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    return {name: value for name, value in query.items() if name != "x-id"}


def _is_part(environ: "WSGIEnvironment") -> bool:
    """Whether the request only begins, feeds or gives up a multipart upload."""
    query, method = _query(environ), environ["REQUEST_METHOD"]
    return "uploads" in query or ("uploadId" in query and method != "POST")


def _begins_object(environ: "WSGIEnvironment") -> bool:
    """Whether the request says how an object is to be encrypted: a whole one, or its first part."""
    method, query = environ["REQUEST_METHOD"], _query(environ)
    return (method == "PUT" and not query) or (method == "POST" and "uploads" in query)


def _denied_put(environ: "WSGIEnvironment", bucket: str, key: str) -> Answer:
    """What S3 answers to a caller of the same account; from others it is "Access Denied" alone."""
    signature = signature_of(environ)
    user = f"arn:aws:iam::{ACCOUNT}:user/{signature.access_key if signature else 'nobody'}"
    message = (
        f"User: {user} is not authorized to perform: s3:PutObject on resource: "
        f'"arn:aws:s3:::{bucket}/{key}" with an explicit deny in a resource-based policy'
    )
    return s3_refusal("403 Forbidden", "AccessDenied", message)


def _reason(environ: "WSGIEnvironment") -> str | None:
    """The API that created an object, as the event's `reason` names it; None when none did."""
    method, query = environ["REQUEST_METHOD"], _query(environ)
    if method == "POST":
        return "CompleteMultipartUpload" if "uploadId" in query else None
    if method != "PUT" or set(query) & {"uploadId", "tagging", "acl", "retention", "legal-hold"}:
        return None
    return "CopyObject" if "HTTP_X_AMZ_COPY_SOURCE" in environ else "PutObject"


def _keys_to_delete(body: bytes) -> Iterator[str]:
    """The keys of a DeleteObjects request; none of a body that is no XML: moto refuses it."""
    try:
        root = ET.fromstring(body)  # noqa: S314 - it comes from this machine
    except ET.ParseError:
        return
    for element in root.iter():
        if element.tag.rpartition("}")[2] == "Key":
            yield element.text or ""
