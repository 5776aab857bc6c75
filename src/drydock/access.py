"""With whose credentials S3 is used: the environment's or the role's, or keys kept as secrets.

DOCK users know the latter: two secrets of Secrets Manager hold an access key and its secret key,
which are used for S3 alone.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from drydock.errors import DrydockError, ServiceUnavailable
from drydock.store import Store

ACCESS_KEY, SECRET_KEY = "aws_access_key", "aws_secret_key"  # names of secrets, no secrets
_INSTEAD = "or set NO_ACCESS_KEY=T to use S3 with the role or the environment's own keys"
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
_SERVERS_FAULT = 500


class NoAccess(DrydockError):
    """Raised when S3 cannot be used as it was asked for; the message says what to change."""


class Access(NamedTuple):
    """S3, and a sentence on how it is used where that is worth one."""

    store: Store
    how: str | None = None


def connect(*, with_secrets: bool) -> Access:
    """S3 as the environment says, with the keys of the secrets if there are any and they are asked.

    Raises:
        NoAccess: the environment's settings of AWS are none, or the secrets are refused or no keys.
        ServiceUnavailable: Secrets Manager did not answer.
    """
    try:
        if not with_secrets:
            return Access(Store.connect())
        found = {name: _secret(name) for name in (ACCESS_KEY, SECRET_KEY)}
        missing = [name for name, value in found.items() if value is None]
        if len(missing) == len(found):
            return Access(
                Store.connect(),
                f"Secrets Manager has no {ACCESS_KEY}: S3 is used with the role or the "
                "environment's own keys",
            )
        if missing:
            raise NoAccess(f"Secrets Manager has no {missing[0]}: put it there, {_INSTEAD}")
        store = Store.connect(
            aws_access_key_id=str(found[ACCESS_KEY]), aws_secret_access_key=str(found[SECRET_KEY])
        )
        return Access(store, f"S3 is used with the keys of {ACCESS_KEY} and {SECRET_KEY}")
    except (ValueError, BotoCoreError) as error:
        raise NoAccess(f"AWS cannot be used as the environment says: {error}") from error


def _secret(name: str) -> str | None:
    """The secret of that name; None when there is none."""
    import boto3  # noqa: PLC0415 - slow, and only those who keep keys as secrets need it

    session = boto3.session.Session()
    if not session.region_name:
        raise NoAccess(f"Secrets Manager needs a Region: set AWS_DEFAULT_REGION, {_INSTEAD}")
    client = session.client("secretsmanager")
    try:
        text = client.get_secret_value(SecretId=name).get("SecretString", "")
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "ResourceNotFoundException":
            return None
        if status >= _SERVERS_FAULT or code == "ThrottlingException":
            raise ServiceUnavailable(f"Secrets Manager: {error}") from error
        raise NoAccess(f"Secrets Manager refuses {name}: {error}: allow it, {_INSTEAD}") from error
    except BotoCoreError as error:
        raise ServiceUnavailable(f"Secrets Manager: {error}") from error
    return _key_in(text, name)


def _key_in(text: str, name: str) -> str:
    """A secret's text: the key itself, or an object with it, which is what the console makes."""
    text = text.strip()
    if text.startswith("{"):
        try:
            fields = json.loads(text)
        except ValueError:
            fields = {}
        value = fields.get(name, next(iter(fields.values()), "") if len(fields) == 1 else "")
        text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise NoAccess(f"the secret {name} holds no key: mend it, {_INSTEAD}")
    return text
