"""Bundles: all hierarchies in order, and nothing of what is cut, broken or hostile."""

import gzip
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

import worker.archives
import worker.tools.db2 as module
from tests.worker.dock38.bundles import bundle, db2, member, tar, tgz
from worker.archives import ArchiveError
from worker.tools.db2 import hierarchies, split

NAMES = [f"ZINC{number:012d}" for number in range(7)]


def read(folder, name, body):
    path = folder / name
    path.write_bytes(body)
    pieces = list(hierarchies(path))
    assert all(piece.endswith(b"E\n") for piece, _ in pieces)
    return b"".join(piece for piece, _ in pieces), [name for _, found in pieces for name in found]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.db2", db2(*NAMES)),
        ("a.db2.gz", gzip.compress(db2(*NAMES))),
        ("two.db2.gz", gzip.compress(db2(*NAMES[:3])) + gzip.compress(db2(*NAMES[3:]))),
        ("a.db2.tgz", bundle(*NAMES)),
        ("a.tar.gz", bundle(*NAMES)),
        ("A.DB2.TGZ", bundle(*NAMES)),
        ("a.tar", gzip.decompress(bundle(*NAMES))),
    ],
)
@pytest.mark.parametrize("chunk", [1 << 18, 37, 1])
def test_every_form_gives_the_same_text_in_order(tmp_path, name, body, chunk, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_BYTES", chunk)
    assert read(tmp_path, name, body) == (db2(*NAMES), NAMES)


def test_a_piece_is_split_into_its_hierarchies(tmp_path):
    path = tmp_path / "a.db2"
    path.write_bytes(
        b"T of all\n" + db2(*NAMES).replace(b"\nE\n", b"\nE of it\n") + b"T\n" + db2("z")
    )
    ((piece, names),) = hierarchies(path)
    found = split(piece)
    assert b"".join(found) == piece
    assert len(found) == len(names) == len(NAMES) + 1
    assert all(name.encode() in text for name, text in zip(names, found, strict=True))


def test_members_that_end_without_a_newline_are_not_joined(tmp_path):
    body = tgz(member("a.db2", db2("a").rstrip()), member("b.db2", db2("b") + b"\n \n"))
    assert read(tmp_path, "a.tgz", body) == (db2("a", "b"), ["a", "b"])


def test_other_members_are_passed_over(tmp_path):
    body = tgz(member("a.txt", b"E\nE\n"), member("b.db2", db2("b")), member("c.db2", b""))
    assert read(tmp_path, "a.tgz", body) == (db2("b"), ["b"])


HOSTILE = [
    (member("ln.db2", kind=tarfile.SYMTYPE, link="/etc/passwd"), "'ln.db2' is a link"),
    (member("hard.db2", kind=tarfile.LNKTYPE, link="a.db2"), "'hard.db2' is a link"),
    (member("null", kind=tarfile.CHRTYPE), "'null' is neither"),
    (member("fifo.db2", kind=tarfile.FIFOTYPE), "'fifo.db2' is neither"),
    (member("/etc/x.db2", db2("a")), "'/etc/x.db2' leads out"),
    (member("a/../../x.db2", db2("a")), "'a/../../x.db2' leads out"),
]


@pytest.mark.parametrize(("hostile", "said"), HOSTILE)
def test_a_hostile_member_is_refused_by_its_name(tmp_path, hostile, said):
    with pytest.raises(ArchiveError, match=said):
        read(tmp_path, "a.db2.tgz", tgz(member("good.db2", db2("a")), hostile))


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(worker.archives, "MAX_MEMBERS", 3)
    with pytest.raises(ArchiveError, match="more than 3 members"):
        read(tmp_path, "a.tgz", tgz(*(member(f"{number}.db2") for number in range(4))))


@pytest.mark.parametrize("name", ["bomb.db2", "bomb.txt", "bomb.db2.gz"])
def test_a_bomb_is_refused_by_its_name(tmp_path, monkeypatch, name):
    monkeypatch.setattr(worker.archives, "MAX_FREE_BYTES", 1 << 20)
    monkeypatch.setattr(worker.archives, "MAX_GROWTH", 10)
    text = db2("a") + bytes(8 << 20)
    with pytest.raises(ArchiveError, match=r"unpacks to more than|no end of a hierarchy"):
        read(tmp_path, "a.tgz", tgz(member(name, gzip.compress(text) if "gz" in name else text)))


def test_a_hierarchy_without_end_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_HIERARCHY_BYTES", 1 << 20)
    with pytest.raises(ArchiveError, match=r"'a\.db2' has no end of a hierarchy"):
        read(tmp_path, "a.db2", b"M a\n" + b"A 1\n" * (1 << 19))


def test_a_header_that_claims_a_huge_name_is_refused(tmp_path):
    info, body = member("a.db2", db2("a"))
    info.name = "x" * (2 << 20) + ".db2"
    with pytest.raises(ArchiveError, match="has a header of"):
        read(tmp_path, "a.tgz", tgz((info, body)))


def test_a_line_e_without_hierarchy_is_broken(tmp_path):
    with pytest.raises(ArchiveError, match="ends no hierarchy"):
        read(tmp_path, "a.db2", db2("a") + b"E\n" + db2("b"))


def test_another_name_is_no_bundle(tmp_path):
    with pytest.raises(ArchiveError, match=r"must end with one of \.db2"):
        read(tmp_path, "a.sdf", b"")


PACKED = bundle(*NAMES)
UNPACKED = gzip.decompress(PACKED)
# Its end is two blocks of zeros, and more of them up to the record's size: each cut leaves less.
CONTENT = len(UNPACKED.rstrip(b"\0")) + 512


@given(st.integers(0, len(PACKED) - 1))
def test_a_bundle_cut_anywhere_is_noticed(tmp_path_factory, cut):
    with pytest.raises(ArchiveError):
        read(tmp_path_factory.getbasetemp(), "cut.db2.tgz", PACKED[:cut])


@given(st.integers(0, CONTENT - 512))
def test_an_archive_cut_before_it_was_packed_is_noticed(tmp_path_factory, cut):
    with pytest.raises(ArchiveError):
        read(tmp_path_factory.getbasetemp(), "cut.db2.tgz", gzip.compress(UNPACKED[:cut], 1))


@pytest.mark.parametrize("name", ["a.db2", "a.db2.gz"])
def test_a_file_cut_inside_a_hierarchy_is_noticed(tmp_path, name):
    for cut in range(len(db2("a")) + 1, len(db2("a", "b")) - 2, 50):
        text = db2("a", "b")[:cut]
        with pytest.raises(ArchiveError, match=r"a\.db2(\.gz)?' is cut"):
            read(tmp_path, name, gzip.compress(text) if name.endswith("gz") else text)


def test_an_archive_of_text_has_its_checksum_compared(tmp_path):
    spoilt = PACKED[:-8] + bytes(4) + PACKED[-4:]
    with pytest.raises(ArchiveError, match="CRC"):
        read(tmp_path, "a.db2.tgz", spoilt)


def test_the_archive_must_not_be_empty(tmp_path):
    with pytest.raises(ArchiveError):
        read(tmp_path, "a.tar", b"")
    assert read(tmp_path, "b.tar", tar()) == (b"", [])
