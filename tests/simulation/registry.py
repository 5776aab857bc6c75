"""Amazon ECR: the digest that the one tag names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.kernel import Kernel

DIGEST = "sha256:" + "d" * 64


class Client:
    """The call of boto3's client that :class:`drydock.registry.Registry` makes."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def describe_images(self, *, repositoryName: str, imageIds: Any) -> dict[str, Any]:
        def found() -> dict[str, Any]:
            return {"imageDetails": [{"imageDigest": DIGEST}]}

        about = f"ecr DescribeImages {repositoryName}"
        return self._kernel.effect(about, found, writes=False)
