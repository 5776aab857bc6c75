"""S3 URIs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.errors import InvalidUri
from drydock.uris import MAX_KEY_BYTES, S3Uri, parse_s3_uri

buckets = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True)


@given(buckets, st.text(max_size=100))
def test_a_uri_is_read_as_it_is_written(bucket, key):
    uri = S3Uri(bucket, key)
    assert parse_s3_uri(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "key", "is_folder"),
    [
        ("s3://lab", "", True),
        ("s3://lab/", "", True),
        ("s3://lab/a/", "a/", True),
        ("s3://lab/a", "a", False),
        ("s3://lab//a", "/a", False),
        ("s3://lab/a?b#c d", "a?b#c d", False),
    ],
)
def test_a_key_is_all_that_follows(text, key, is_folder):
    uri = parse_s3_uri(text)
    assert (uri.bucket, uri.key, uri.is_folder) == ("lab", key, is_folder)
    assert uri.folder().is_folder
    assert str(uri.folder()).endswith("/")


@pytest.mark.parametrize(
    "text",
    ["", "lab/a", "/lab/a", "s3:/lab/a", "S3://lab/a", "https://lab/a", "s3://", "s3:///a",
     "s3://ab/a", "s3://Lab/a", "s3://-lab/a", "s3://lab-/a", "s3://la_b/a", " s3://lab/a",
     "s3://" + "a" * 64 + "/k", "\ufeffs3://lab/a", "s3://lab\n/a"],
)  # fmt: skip
def test_anything_else_is_none(text):
    with pytest.raises(InvalidUri):
        parse_s3_uri(text)


def test_a_key_has_1024_bytes_at_most_and_not_characters():
    parse_s3_uri("s3://lab/" + "é" * (MAX_KEY_BYTES // 2))
    with pytest.raises(InvalidUri, match="1024 bytes"):
        parse_s3_uri("s3://lab/" + "é" * (MAX_KEY_BYTES // 2) + "x")
