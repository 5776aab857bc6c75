"""ECS's agent as containers know it: the keys of their role, and what they are.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from local.principals import credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from local.batch.model import Job

_LIFETIME = timedelta(hours=6)


class Agent:
    """A WSGI app to be mounted at `<endpoint>/ecs`; it knows the containers that are told to it.

    Containers are known by a word that only they have, so that none gets another's keys.
    """

    def __init__(self) -> None:
        self._containers: dict[str, dict[str, Any]] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        return self._answer(Request(environ))(environ, start_response)

    def variables(self, word: str, job: Job, url: str) -> dict[str, str]:
        """From now on the container of that word is answered; where it has to ask, on `url`.

        A job without a role has no keys, as on AWS.
        """
        role = job.spec.container.get("jobRoleArn", "")
        log = {"awslogs-stream": job.container.get("logStreamName", "")}
        self._containers[word] = {
            "role": role,
            "metadata": {"Image": job.spec.container["image"], "LogOptions": log},
        }
        at = {"ECS_CONTAINER_METADATA_URI_V4": f"{url}/ecs/v4/{word}"}
        if role:
            at["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{url}/ecs/credentials/{word}"
        return at

    def created(self, word: str, container_id: str, image_id: str) -> None:
        """What Docker calls the container and the image that it is made from."""
        metadata = self._containers[word]["metadata"]
        metadata |= {"DockerId": container_id, "ImageID": image_id}

    def forget(self, word: str) -> None:
        """The container has ended."""
        self._containers.pop(word, None)

    def _answer(self, request: Request) -> Response:
        kind, _, word = request.path.strip("/").partition("/")
        container = self._containers.get(word)
        if container is None or request.method != "GET":
            return Response(status=404)
        if kind == "v4":
            return _json(container["metadata"])
        if kind == "credentials" and container["role"]:
            return _json(_keys(container["role"]))
        return Response(status=404)


def new_word() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(24)


def _keys(role_arn: str) -> dict[str, str]:
    keys = credentials(role_arn)
    return {
        "RoleArn": role_arn,
        "AccessKeyId": keys["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": keys["AWS_SECRET_ACCESS_KEY"],
        "Token": "embedded",
        "Expiration": (datetime.now(UTC) + _LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _json(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value), mimetype="application/json")
