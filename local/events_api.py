"""EventBridge's PutEvents over HTTP (EventBridge API reference, "PutEvents")."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from local.events import Emit, aws_event
from local.http import Answer, json_answer, refusal, take_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_ENTRIES = 10


class EventsApi:
    """A WSGI application: PutEvents; rules come from the template alone."""

    def __init__(self, emit: Emit, *, region: str) -> None:
        self._emit = emit
        self._region = region

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one EventBridge request."""
        return self._answer(environ).send(start_response)

    def _answer(self, environ: "WSGIEnvironment") -> Answer:
        if environ.get("HTTP_X_AMZ_TARGET") != "AWSEvents.PutEvents":
            message = "The embedded AWS answers no other EventBridge request than PutEvents."
            return refusal("501 Not Implemented", "UnknownOperationException", message)
        entries = json.loads(take_body(environ)).get("Entries", [])
        if not 1 <= len(entries) <= _ENTRIES:
            message = f"1 to {_ENTRIES} entries are allowed, {len(entries)} were given"
            return refusal("400 Bad Request", "ValidationException", message)
        results = [self._put(entry) for entry in entries]
        failed = sum("ErrorCode" in result for result in results)
        return json_answer("200 OK", {"FailedEntryCount": failed, "Entries": results})

    def _put(self, entry: Mapping[str, Any]) -> dict[str, str]:
        source = entry.get("Source", "")
        if source.startswith("aws."):
            message = "Not authorized for the source."
            return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": message}
        try:
            detail = json.loads(entry.get("Detail", ""))
        except ValueError as error:
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": f"Detail is malformed: {error}"}
        if not source or not entry.get("DetailType") or not isinstance(detail, dict):
            message = "Source, DetailType and a Detail that is an object are needed."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": message}
        event = aws_event(
            source,
            entry["DetailType"],
            detail,
            region=self._region,
            resources=entry.get("Resources", ()),
        )
        self._emit(event)
        return {"EventId": event["id"]}
