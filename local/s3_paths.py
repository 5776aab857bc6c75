"""File names for S3 keys, so that a bucket on disk reads like the bucket.

A key is UTF-8 of up to 1,024 bytes in which anything may stand (Amazon S3 user guide, "Naming
Amazon S3 objects"); a path is not. An ordinary key is its own relative path. The rest is escaped,
and every escape starts with `%`, which in a key itself becomes `%25`:

    %XX   a byte that no file name should hold (`%`, control characters), or a dot of `.` and `..`
    %     alone: an empty segment (a key that ends in `/`, or holds `//`, or starts with `/`)
    …%-   at the end of a folder's name: the segment goes on in the next one (it was too long)
    …%    at the end of a file's name: the key is also a prefix of others, so its plain name is a
          folder
"""

import re

EMPTY = "%"
CONTINUED = "%-"
BESIDE_FOLDER = "%"

_SEGMENT_BYTES = 200  # file systems take 255; the marks above need some
_UNSAFE = re.compile(r"[%\x00-\x1f\x7f]")
_ESCAPE = re.compile(r"%([0-9A-F]{2})")


def relative_path(key: str) -> str:
    """The path below the bucket's folder under which `key` is stored."""
    return "/".join(_folder_names(segment) for segment in key.split("/"))


def beside_folder(path: str) -> str:
    """The path for a key whose `relative_path` is (or may become) a folder.

    An empty last segment is `%`, and `%%` stands beside a folder of that name.
    """
    return path + BESIDE_FOLDER


def key_of(path: str) -> str:
    """The key that `relative_path`, or `beside_folder` of it, made `path` from."""
    segments, begun = [], ""
    for name in _without_mark(path).split("/"):
        if name.endswith(CONTINUED):
            begun += _unescape(name[: -len(CONTINUED)])
        else:
            segments.append(begun + ("" if name == EMPTY else _unescape(name)))
            begun = ""
    return "/".join(segments)


def _folder_names(segment: str) -> str:
    if segment == "":
        return EMPTY
    if segment in (".", ".."):
        return segment.replace(".", "%2E")
    escaped = _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", segment)
    return "/".join(_pieces(escaped))


def _pieces(escaped: str) -> list[str]:
    """Cut a long name into names of at most `_SEGMENT_BYTES`, not inside a character or escape."""
    pieces, current, size = [], "", 0
    for token in re.findall(r"%[0-9A-F]{2}|[^%]", escaped, flags=re.DOTALL):
        token_bytes = len(token.encode())
        if size + token_bytes > _SEGMENT_BYTES:
            pieces.append(current + CONTINUED)
            current, size = "", 0
        current += token
        size += token_bytes
    return [*pieces, current]


def _without_mark(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    marked = name.endswith(BESIDE_FOLDER) and name != EMPTY
    return folder + slash + (name[: -len(BESIDE_FOLDER)] if marked else name)


def _unescape(name: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), name)
