"""What started an execution: an upload to the intake bucket, or a request given as the input."""

import json
from dataclasses import dataclass

from drydock.errors import AlreadyExists, NotFound, RequestRejected
from drydock.keys import INTAKE_REJECTED_SUFFIX, start_claim
from drydock.request import parse_json
from drydock.services import Services

_MAX_REQUEST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """An object put into the intake bucket. ``sequencer`` tells two uploads of a key apart."""

    bucket: str
    key: str
    sequencer: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def upload_of(event: object) -> Upload | None:
    """The upload that an S3 event tells of; None when the input is no S3 event.

    Raises:
        RequestRejected: the event does not say which object was uploaded.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    if not isinstance(event, dict) or event.get("detail-type") != "Object Created":
        return None
    try:
        detail = event["detail"]
        found = detail["object"]
        return Upload(detail["bucket"]["name"], found["key"], found.get("sequencer", ""))
    except (KeyError, TypeError, AttributeError) as error:
        raise RequestRejected([f"the S3 event lacks {error}"]) from error


def claim_upload(services: Services, upload: Upload, execution: str) -> str | None:
    """Claim an upload for an execution; the execution that has it already, or None.

    The same event delivered twice, whenever, starts one execution that does anything.
    """
    bucket = services.settings.control_bucket
    key = start_claim(upload.bucket, upload.key, upload.sequencer)
    try:
        services.store.put_once(bucket, key, json.dumps({"execution": execution}).encode())
    except AlreadyExists:
        holder = str(json.loads(services.store.get(bucket, key).body)["execution"])
        return None if holder == execution else holder
    return None


def read_document(services: Services, event: object, upload: Upload | None) -> object:
    """The document that an event carries or points to, which is to be a request.

    Raises:
        RequestRejected: it is no JSON, or a file of another kind was uploaded.
    """
    if upload is None:
        return event
    if upload.key.endswith(".json"):
        return parse_json(_read(services, upload))
    if upload.key.endswith(".txt"):
        return _default_request(services, upload)
    raise RequestRejected(
        [f"{upload}: a file of this kind starts nothing; upload a request (.json) or a list (.txt)"]
    )


def _read(services: Services, upload: Upload) -> bytes:
    try:
        stream = services.store.get_stream(upload.bucket, upload.key)
    except NotFound as error:
        raise RequestRejected([f"{upload}: it was removed before it could be read"]) from error
    if stream.size > _MAX_REQUEST_BYTES:
        stream.body.close()
        raise RequestRejected(
            [f"{upload}: {stream.size} bytes are no request; {_MAX_REQUEST_BYTES} are allowed"]
        )
    return b"".join(stream.chunks())


def _default_request(services: Services, upload: Upload) -> object:
    """The stack's default request, run over an uploaded list."""
    text = services.settings.default_request
    if not text:
        raise RequestRejected(
            [f"{upload}: a list needs the stack's parameter DefaultRequest, which is empty"]
        )
    try:
        document = json.loads(text)
    except ValueError as error:
        raise RequestRejected([f"the stack's DefaultRequest is no JSON: {error}"]) from error
    if not isinstance(document, dict):
        raise RequestRejected(["the stack's DefaultRequest is no JSON object"])
    stem = upload.key.rpartition("/")[2].removesuffix(".txt")
    output = str(document.get("output", "")).rstrip("/")
    return document | {"input": str(upload), "output": f"{output}/{stem}", "name": stem}


def reject(services: Services, upload: Upload | None, problems: list[str]) -> None:
    """Tell an uploader, who has no console, why nothing started: in S3 and by notice."""
    subject = "drydock refused a request"
    if upload is not None:
        subject = f"drydock refused {upload.key}"
        body = json.dumps({"rejected": str(upload), "problems": problems}, indent=2).encode()
        services.store.put(
            upload.bucket,
            upload.key + INTAKE_REJECTED_SUFFIX,
            body,
            content_type="application/json",
        )
    services.messages.notify(subject, "\n".join(problems))


def accept(services: Services, upload: Upload | None) -> None:
    """Take back what an earlier upload of the same key was told: it is not so any more."""
    if upload is not None:
        services.store.delete(upload.bucket, upload.key + INTAKE_REJECTED_SUFFIX)
