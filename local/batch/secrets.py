"""What ECS's agent does before it starts a container: it fetches the values of its secrets.

With the execution role, and never kept: a job shows from where its secrets come and no more.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specifying-sensitive-data.html
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.batch.launching import StartError
from local.principals import credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS = ("json-key", "version-stage", "version-id")


def secret_variables(
    container: Mapping[str, Any], endpoint_url: str, region: str
) -> dict[str, str]:
    """The variables that a container's secrets become. Raises StartError."""
    role = container.get("executionRoleArn", "")
    found = {}
    for secret in container.get("secrets", []):
        arn = secret["valueFrom"]
        service = "ssm" if ":ssm:" in arn or ":" not in arn else "secretsmanager"
        client = _client(service, role, endpoint_url, region)
        found[secret["name"]] = (_parameter if service == "ssm" else _secret)(client, arn, region)
    return found


def _secret(client: Any, arn: str, region: str) -> str:
    """The whole secret, or the field of it that the three last parts of the ARN name."""
    whole = ":".join(arn.split(":")[:7])
    key, stage, version = (*arn.split(":")[7:], "", "", "")[: len(_FIELDS)]
    which = {"VersionStage": stage, "VersionId": version}
    told = f"Fetching secret data from AWS Secrets Manager in region {region}: secret {whole}"
    try:
        answer = client.get_secret_value(
            SecretId=whole, **{name: value for name, value in which.items() if value}
        )
    except ClientError as error:
        raise StartError(f"{told}: {_said(error)}") from error
    text = str(answer["SecretString"])
    if not key:
        return text
    try:
        return str(json.loads(text)[key])
    except (ValueError, KeyError, TypeError) as error:
        raise StartError(f"{told}: retrieved secret did not contain json key {key}") from error


def _parameter(client: Any, arn: str, region: str) -> str:
    told = f"Fetching secret data from SSM Parameter Store in {region}"
    try:
        answer = client.get_parameters(Names=[arn], WithDecryption=True)
    except ClientError as error:
        raise StartError(f"{told}: {_said(error)}") from error
    if not answer["Parameters"]:
        raise StartError(f"{told}: invalid parameters: {arn.rpartition(':parameter')[2]}")
    return str(answer["Parameters"][0]["Value"])


def _said(error: ClientError) -> str:
    return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"


@functools.lru_cache(maxsize=32)
def _client(service: Any, role: str, endpoint_url: str, region: str) -> Any:
    keys = credentials(role)
    return boto3.client(
        service,
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 2}),
    )
