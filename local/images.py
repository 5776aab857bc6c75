"""The images of the embedded ECR: an entry for each, made of a text that stands for its content.

Nothing is pulled here, so that what an image holds need not be there. The same text makes the same
manifest and so the same digest, as the same layers do.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING

from drydock.images import parse_image

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"


def manifest_of(content: str) -> str:
    """An image's manifest, by OCI's image format.

    https://github.com/opencontainers/image-spec/blob/main/manifest.md
    """
    config = {
        "mediaType": _CONFIG,
        "digest": f"sha256:{hashlib.sha256(content.encode()).hexdigest()}",
        "size": len(content),
    }
    return json.dumps({"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": []})


def digest_of(content: str) -> str:
    """The digest of the image with that content."""
    return f"sha256:{hashlib.sha256(manifest_of(content).encode()).hexdigest()}"


def push(client: ECRClient, reference: str, content: str) -> None:
    """`docker push`: an image under the tag of `reference`, whose repository is made if need be."""
    image = parse_image(reference)
    known = client.describe_repositories()["repositories"]
    if image.repository not in (each["repositoryName"] for each in known):
        client.create_repository(repositoryName=image.repository)
    with contextlib.suppress(client.exceptions.ImageAlreadyExistsException):
        client.put_image(
            repositoryName=image.repository,
            imageManifest=manifest_of(content),
            imageManifestMediaType=_MANIFEST,
            imageDigest=digest_of(content),
            imageTag=str(image.tag),
        )
