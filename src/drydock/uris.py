"""S3 URIs: ``s3://bucket/key``."""

import re
from typing import NamedTuple

from drydock.errors import InvalidUri

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_KEY_BYTES = 1024


class S3Uri(NamedTuple):
    """A bucket and a key; the key is empty when the URI names a whole bucket."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def is_folder(self) -> bool:
        """Whether the text can only name a prefix."""
        return self.key == "" or self.key.endswith("/")

    def folder(self) -> "S3Uri":
        """The same place written as a prefix, with a slash at its end unless it is the bucket."""
        return self if self.is_folder else S3Uri(self.bucket, self.key + "/")


def parse_s3_uri(text: str) -> S3Uri:
    """Read ``s3://bucket/key``.

    Raises:
        InvalidUri: the text is no S3 URI, the bucket's name is none, or the key is too long.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme != "s3":
        raise InvalidUri(f"{text!r} is no S3 URI: it must begin with s3://")
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise InvalidUri(
            f"{text!r} names no valid bucket: {bucket!r} must be 3 to 63 of a-z, 0-9, '.', '-'"
        )
    if len(key.encode()) > MAX_KEY_BYTES:
        raise InvalidUri(f"{text[:80]!r}… has a key above {MAX_KEY_BYTES} bytes")
    return S3Uri(bucket, key)
