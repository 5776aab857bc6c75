"""CloudFormation's DescribeStacks: what is deployed, for whoever looks for a stack's outputs.

CloudFormation API reference, "DescribeStacks", "Making API requests" (the Query protocol).
"""

import urllib.parse
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from local.http import Answer, take_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"


class StacksApi:
    """A WSGI application: DescribeStacks, and nothing else of CloudFormation."""

    def __init__(self) -> None:
        self._stacks: dict[str, str] = {}

    def tell(self, stack_id: str, outputs: Mapping[str, str]) -> None:
        """Have a stack known from now on, by its name and by its id."""
        name = stack_id.rpartition(":stack/")[2].partition("/")[0]
        described = _stack(stack_id, name, outputs)
        self._stacks |= {name: described, stack_id: described}

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one CloudFormation request."""
        request = urllib.parse.parse_qs(take_body(environ).decode())
        return self._answer(request).send(start_response)

    def _answer(self, request: Mapping[str, list[str]]) -> Answer:
        if request.get("Action") != ["DescribeStacks"]:
            message = (
                "The embedded AWS answers no other CloudFormation request than DescribeStacks."
            )
            return _refusal("501 Not Implemented", "UnknownOperationException", message)
        [name] = request.get("StackName", [""])
        if name and name not in self._stacks:
            message = f"Stack with id {name} does not exist"
            return _refusal("400 Bad Request", "ValidationError", message)
        found = [self._stacks[name]] if name else sorted(set(self._stacks.values()))
        return _answer(
            "200 OK",
            f'<DescribeStacksResponse xmlns="{_NAMESPACE}"><DescribeStacksResult><Stacks>'
            f"{''.join(found)}</Stacks></DescribeStacksResult>"
            f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
            "</DescribeStacksResponse>",
        )


def _stack(stack_id: str, name: str, outputs: Mapping[str, str]) -> str:
    members = "".join(
        f"<member><OutputKey>{escape(key)}</OutputKey>"
        f"<OutputValue>{escape(value)}</OutputValue></member>"
        for key, value in outputs.items()
    )
    made = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (
        f"<member><StackId>{stack_id}</StackId><StackName>{name}</StackName>"
        f"<CreationTime>{made}</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>"
        f"<Outputs>{members}</Outputs></member>"
    )


def _refusal(status: str, code: str, message: str) -> Answer:
    return _answer(
        status,
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error>"
        f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>",
    )


def _answer(status: str, document: str) -> Answer:
    body = document.encode()
    headers = [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))]
    return Answer(status, headers, body)
