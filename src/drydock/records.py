"""Cutting a file of many records into slices, by byte offsets: pure and streaming.

What a record is, by the file's ending:

- ``.sdf``, ``.sd``: ends with the line that begins with ``$$$$``; the last one may lack it
  (CTfile formats, https://discover.3ds.com/ctfile-documentation-request-form)
- ``.smi``, ``.smiles``: a line that is not blank and does not begin with ``#``; a line of
  headings is a record like any other, for nothing tells it from a molecule
- ``.pdbqt``: a MODEL to its ENDMDL; outside of models what ends with TORSDOF, as ligands that were
  put one after another do
- ``.fastq``, ``.fq``: four lines; every record is looked at, and one whose sequence is wrapped over
  several lines is refused (https://doi.org/10.1093/nar/gkp1137)

Lines end with LF or CRLF; the last one may lack its end. What lies between two records belongs to
the later one, and what lies behind the last record to the last slice: slices put one after another
are the file.
"""

from collections.abc import Iterable, Iterator

from drydock.cutters import CUTTERS, NotCuttable

_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".z", ".tar", ".7z", ".lz4")
_COMPRESSED_BYTES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")
_ENDINGS = {
    "sdf": "sdf",
    "sd": "sdf",
    "smi": "smi",
    "smiles": "smi",
    "pdbqt": "pdbqt",
    "fastq": "fastq",
    "fq": "fastq",
}


def is_packed(key: str) -> bool:
    """Whether a name is that of a compressed file or an archive."""
    return key.lower().endswith(_COMPRESSED)


def kind_of(key: str) -> str:
    """The kind of records in a file, from its name: a key of :data:`CUTTERS`.

    Raises:
        NotCuttable: it is compressed, or its ending says nothing.
    """
    name = key.rpartition("/")[2].lower()
    if is_packed(key):
        raise NotCuttable(
            "is compressed, and only an uncompressed file can be cut: store it uncompressed, or "
            "leave records_per_input out"
        )
    ending = name.rpartition(".")[2] if "." in name else ""
    kind = _ENDINGS.get(ending)
    if kind is None:
        known = ", ".join(f".{each}" for each in _ENDINGS)
        raise NotCuttable(f"has no records that records_per_input knows: it cuts {known}")
    return kind


def cut(
    chunks: Iterable[bytes], kind: str, records: int, *, start: int = 0, most_bytes: int
) -> Iterator[tuple[int, int]]:
    """First and last byte (inclusive) of each slice, in order; together they are the file.

    ``start`` is where the first chunk begins in the file, which is where a slice begins. No slice
    comes of no bytes. A file without a record is one slice.

    Raises:
        NotCuttable: a slice would be longer than ``most_bytes``, a record is too long, or the file
            is not what its ending says.
    """
    cutter = CUTTERS[kind](records)
    first, end, size = start, None, start
    for chunk in chunks:
        if size == 0 and chunk.startswith(_COMPRESSED_BYTES):
            raise NotCuttable("is compressed although its name does not say so")
        size += len(chunk)
        for found in cutter.feed(chunk):
            # Held back until another follows: what lies behind the last record is its slice's.
            if end is not None:
                yield first, end - 1
                first = end
            end = _bounded(first, start + found, records, most_bytes)
        _bounded(first if end is None else end, size, records, most_bytes)
    ends, has_more = cutter.finish()
    for found in ends:
        if end is not None:
            yield first, end - 1
            first = end
        end = start + found
    if end is not None and has_more:
        yield first, end - 1
        first = end
    if size > first:
        _bounded(first, size, records, most_bytes)
        yield first, size - 1


def _bounded(first: int, end: int, records: int, most_bytes: int) -> int:
    if end - first > most_bytes:
        raise NotCuttable(
            f"has a slice of {records} records from byte {first} on that is longer than "
            f"{most_bytes} bytes: choose fewer records_per_input"
        )
    return end
