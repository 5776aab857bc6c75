"""What a request's input is in S3: an exact object is a list, anything else a prefix."""

from collections.abc import Iterator

from drydock.errors import NotFound
from drydock.planning import ListedInput, is_input_key
from drydock.store import Listed, Store
from drydock.uris import S3Uri


def list_object(store: Store, uri: S3Uri) -> Listed | None:
    """The list that the URI names exactly; None when it names a prefix."""
    if uri.is_folder:
        return None
    try:
        return store.head(uri.bucket, uri.key)
    except NotFound:
        return None


def list_inputs(
    store: Store, folder: S3Uri, *, recursive: bool, start_after: str | None = None
) -> Iterator[ListedInput]:
    """The inputs below a prefix in key order: direct children, or everything when recursive."""
    delimiter = None if recursive else "/"
    for found in store.list(
        folder.bucket, folder.key, start_after=start_after, delimiter=delimiter
    ):
        if is_input_key(found.key, folder.key, recursive=recursive):
            yield ListedInput(found.key, found.size, found.etag)
