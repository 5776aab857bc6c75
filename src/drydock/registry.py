"""The only door to Amazon ECR."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from drydock.errors import NotFound
from drydock.outages import named_outages

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef

    from drydock.images import Image

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
_ABSENT = {
    "RepositoryNotFoundException": "there is no repository {repository}",
    "ImageNotFoundException": "repository {repository} has no image {which}",
}


class Registry:
    """The account's own registry; without a client it connects at the first use."""

    def __init__(self, client: ECRClient | None = None) -> None:
        self._given = client

    @functools.cached_property
    def _client(self) -> ECRClient:
        config = Config(retries={"mode": "standard", "max_attempts": 6})
        return self._given or boto3.client("ecr", config=config)

    @named_outages("Amazon ECR")
    def digest(self, image: Image) -> str:
        """The digest of the image that a tag names now, or the one that was asked for.

        Raises:
            NotFound: there is no such repository, or no such image in it.
        """
        which: ImageIdentifierTypeDef = (
            {"imageDigest": image.digest} if image.digest else {"imageTag": str(image.tag)}
        )
        try:
            found = self._client.describe_images(repositoryName=image.repository, imageIds=[which])
        except ClientError as error:
            told = _ABSENT.get(error.response["Error"]["Code"])
            if told is None:
                raise
            asked = image.digest or image.tag
            raise NotFound(told.format(repository=image.repository, which=asked)) from error
        return found["imageDetails"][0]["imageDigest"]
