"""The buckets' own policies, as far as they deny objects for how these are encrypted.

Who may do what is not evaluated in the embedded AWS. A bucket that takes encrypted objects alone is
common, though, and what drydock says of one has to be seen. moto's own evaluation knows no
conditions, and would deny everything: so it is not shown the policies.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingServerSideEncryption.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from local.http import Answer, s3_refusal

_KEYS = {
    "s3:x-amz-server-side-encryption": "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION",
    "s3:x-amz-server-side-encryption-aws-kms-key-id": (
        "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_AWS_KMS_KEY_ID"
    ),
}


class BucketPolicies:
    """Answers PutBucketPolicy, GetBucketPolicy and DeleteBucketPolicy."""

    def __init__(self) -> None:
        self._policies: dict[str, bytes] = {}

    def answer(self, method: str, bucket: str, body: bytes) -> Answer:
        """Do what a request about the bucket's policy asks for."""
        if method == "PUT":
            try:
                json.loads(body)["Statement"]
            except (ValueError, KeyError, TypeError):
                message = "Policies must be valid JSON and the first byte must be '{'"
                return s3_refusal("400 Bad Request", "MalformedPolicy", message)
            self._policies[bucket] = body
        elif method == "DELETE":
            self.forget(bucket)
        elif bucket not in self._policies:
            message = "The bucket policy does not exist"
            return s3_refusal("404 Not Found", "NoSuchBucketPolicy", message)
        else:
            found = self._policies[bucket]
            headers = [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(found))),
            ]
            return Answer("200 OK", headers, found)
        return Answer("204 No Content", [("Content-Length", "0")], b"")

    def forget(self, bucket: str) -> None:
        """The bucket, or its policy, is gone."""
        self._policies.pop(bucket, None)

    def deny_put(self, bucket: str, key: str, environ: Mapping[str, Any]) -> bool:
        """Whether the bucket's policy denies everybody to put this object with these headers."""
        policy = self._policies.get(bucket)
        return policy is not None and denies_put(policy, bucket, key, environ)


def denies_put(policy: bytes | str, bucket: str, key: str, environ: Mapping[str, Any]) -> bool:
    """Whether a policy denies everybody to put this object with these headers.

    A statement with a condition of another kind is left out.
    """
    arn = f"arn:aws:s3:::{bucket}/{key}"
    return any(_denies(each, arn, environ) for each in _list(json.loads(policy)["Statement"]))


def _denies(statement: Mapping[str, Any], arn: str, environ: Mapping[str, Any]) -> bool:
    if statement["Effect"] != "Deny" or statement.get("Principal") not in ("*", {"AWS": "*"}):
        return False
    actions = [each.lower() for each in _list(statement.get("Action", []))]
    resources = _list(statement.get("Resource", []))
    lines = [
        (operator, name.lower(), [str(each) for each in _list(expected)])
        for operator, keys in statement.get("Condition", {}).items()
        for name, expected in keys.items()
    ]
    return (
        any(fnmatchcase("s3:putobject", each) for each in actions)
        and any(fnmatchcase(arn, each) for each in resources)
        and bool(lines)
        and all(line[1] in _KEYS and _holds(line, environ) for line in lines)
    )


def _holds(line: tuple[str, str, list[str]], environ: Mapping[str, Any]) -> bool:
    operator, name, expected = line
    given = environ.get(_KEYS[name])
    if operator == "Null":
        return (given is None) == (expected[0].lower() == "true")
    plain = operator.removesuffix("IfExists")
    if given is None:  # a missing key fails a comparison and passes its negation
        return plain != operator or plain.startswith("StringNot")
    matches = any(fnmatchcase(given, each) for each in expected)
    return {
        "StringEquals": given in expected,
        "StringNotEquals": given not in expected,
        "StringLike": matches,
        "StringNotLike": not matches,
    }.get(plain, False)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
