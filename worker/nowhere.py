"""S3 for a script that was started by hand without S3_OUTPUT_LOCATION: what it leaves is gone."""

from collections.abc import Iterator, Sequence
from typing import IO, Self

from drydock.store import Listed, Store

# The output bucket of such a job; no bucket is named so.
NOWHERE = ""


class KeepingNothing(Store):
    """Everything is as in S3 but for :data:`NOWHERE`, which keeps nothing."""

    @classmethod
    def over(cls, store: Store) -> Self:
        """Where nothing is kept, of that S3."""
        return cls(store._client)  # noqa: SLF001 - it is a store itself, of the same client

    def encrypting_with(self, kms_key_id: str | None) -> Store:  # noqa: ARG002 - nothing is written
        """The same store."""
        return self

    def list_pages(
        self,
        bucket: str,
        prefix: str,
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
        page_size: int = 1000,
    ) -> Iterator[Sequence[Listed]]:
        """Nothing, of what was never kept."""
        if bucket != NOWHERE:
            yield from super().list_pages(
                bucket, prefix, start_after=start_after, delimiter=delimiter, page_size=page_size
            )

    def _put(
        self,
        bucket: str,
        key: str,
        body: bytes | IO[bytes],
        content_type: str | None,
        condition: dict[str, str],
    ) -> str:
        if bucket != NOWHERE:
            return super()._put(bucket, key, body, content_type, condition)
        return "0" * 32
