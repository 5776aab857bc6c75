"""Archives: a whole one gives its files in order, and nothing of a hostile one is let through."""

import bz2
import contextlib
import gzip
import io
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import worker.archives as module
from worker.archives import ArchiveError, form_of, members, open_unpacked, unpack

FILES = {"a.txt": b"one\n" * 500, "deep/er/b.sh": b"#!/bin/sh\n", "empty": b""}


def entry(name, body=b"", kind=tarfile.REGTYPE, link="", mode=0o644, **more):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = len(body), kind, link, mode
    info.pax_headers = more
    return info, body


def tar(*entries, layout=tarfile.PAX_FORMAT):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=layout) as archive:
        for info, body in entries:
            archive.addfile(info, io.BytesIO(body))
    return raw.getvalue()


def zipped(*entries, method=zipfile.ZIP_DEFLATED):
    """Entries are (name, body) or (name, body, the file's mode)."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        for name, body, *mode in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            archive.writestr(info, body)
    return raw.getvalue()


def plain_tar(files):
    executable = {True: 0o755, False: 0o644}
    entries = [entry(name, body, mode=executable[name.endswith(".sh")]) for name, body in files]
    return tar(entry("deep", kind=tarfile.DIRTYPE), *entries)


def plain_zip(files):
    modes = {True: stat.S_IFREG | 0o755, False: stat.S_IFREG | 0o644}
    entries = [(name, body, modes[name.endswith(".sh")]) for name, body in files]
    return zipped(("deep/", b"", stat.S_IFDIR | 0o755), *entries)


def write(form, files):
    """An archive of that form with those files."""
    files = list(files.items())
    if form == ".zip":
        return plain_zip(files)
    body = plain_tar(files)
    if form.endswith("gz"):
        return gzip.compress(body, 1)
    return bz2.compress(body, 1) if form.endswith("bz2") else body


def read(folder, name, body, form=None):
    path = folder / name
    path.write_bytes(body)
    return {member.name: member.stream.read() for member in members(path, form)}


def read_unpacked(path):
    return {member.name: member.unpacked().read() for member in members(path)}


@pytest.mark.parametrize("form", module.ARCHIVES)
def test_every_form_gives_the_same_files_in_order(tmp_path, form):
    found = read(tmp_path, "x" + form, write(form, FILES))
    assert list(found.items()) == list(FILES.items())
    assert read(tmp_path, "X" + form.upper(), write(form, FILES)) == FILES
    assert read(tmp_path, "a-script", write(form, FILES), form) == FILES


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2])
def test_zips_packed_in_other_ways(tmp_path, method):
    assert read(tmp_path, "x.zip", zipped(*FILES.items(), method=method)) == FILES


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_layout_of_tar(tmp_path, layout):
    name = "folder/" * 20 + "n" * 90  # longer than a header's own field
    body = tar(entry(name, b"1"), entry("after", b"2"), layout=layout)
    assert read(tmp_path, "x.tar", body) == {name: b"1", "after": b"2"}


def test_a_member_may_be_left_unread_or_read_in_part(tmp_path):
    path = tmp_path / "x.tgz"
    path.write_bytes(gzip.compress(tar(*(entry(f"{n}", b"%d" % n * 9000) for n in range(4)))))
    found = []
    for number, member in enumerate(members(path)):
        found.append((member.name, member.stream.read(number * 2)))
    assert found == [("0", b""), ("1", b"11"), ("2", b"2222"), ("3", b"333333")]


def test_lines_of_a_member_can_be_iterated(tmp_path):
    path = tmp_path / "x.zip"
    path.write_bytes(write(".zip", FILES))
    assert sum(1 for member in members(path) for _ in member.stream) == 501


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_members_packed_by_themselves(tmp_path, pack):
    suffix = ".gz" if pack is gzip.compress else ".bz2"
    for name, make in (("x.tar", tar), ("x.zip", zipped)):
        inner = "a.db2" + suffix
        one = (inner, pack(b"text")) if make is zipped else entry(inner, pack(b"text"))
        two = ("b.db2", b"more") if make is zipped else entry("b.db2", b"more")
        (tmp_path / name).write_bytes(make(one, two))
        assert read_unpacked(tmp_path / name) == {inner: b"text", "b.db2": b"more"}


def test_plain_and_packed_files(tmp_path):
    for name, body in (("a", b"x"), ("a.gz", gzip.compress(b"x")), ("a.BZ2", bz2.compress(b"x"))):
        (tmp_path / name).write_bytes(body)
        with open_unpacked(tmp_path / name) as stream:
            assert stream.read() == b"x"


def test_forms_by_name():
    names = ("a.TAR.GZ", "a.tgz", "a.zip", "a.gz", "tar", "a.tar.bz2", "a.tar.xz")
    found = [form_of(name) for name in names]
    assert found == [".tar.gz", ".tgz", ".zip", None, None, ".tar.bz2", None]


def test_another_name_is_no_archive(tmp_path):
    with pytest.raises(ArchiveError, match=r"x\.sdf is no archive: its name must end with one of"):
        read(tmp_path, "x.sdf", b"")


# What is hostile, in both families.

HOSTILE_NAMES = [
    ("/etc/x", "leads out"),
    ("a/../../x", "leads out"),
    ("..", "leads out"),
    ("..\\x", "leads out"),
    ("d/" * 70 + "x", "deeper than 64"),
]
HOSTILE_KINDS = [
    (tarfile.SYMTYPE, stat.S_IFLNK, "is a link"),
    (tarfile.LNKTYPE, stat.S_IFLNK, "is a link"),
    (tarfile.CHRTYPE, stat.S_IFCHR, "is neither"),
    (tarfile.BLKTYPE, stat.S_IFBLK, "is neither"),
    (tarfile.FIFOTYPE, stat.S_IFIFO, "is neither"),
]


def refused(folder, name, body, said):
    """The archive is refused with that sentence, and nothing comes to lie outside the folder."""
    outer = Path(tempfile.mkdtemp(dir=folder))
    (outer / "inner").mkdir()
    with pytest.raises(ArchiveError, match=said):
        read(folder, name, body)
    with pytest.raises(ArchiveError, match=said):
        unpack(folder / name, outer / "inner")
    assert [found.name for found in outer.iterdir()] == ["inner"]


@pytest.mark.parametrize(("name", "said"), HOSTILE_NAMES)
def test_a_name_that_leads_out_is_refused(tmp_path, name, said):
    said = re.escape(f"member {name!r}"[:200]) + ".*" + said
    refused(tmp_path, "x.tar", tar(entry("good", b"1"), entry(name, b"2")), said)
    refused(tmp_path, "x.zip", zipped(("good", b"1"), (name, b"2")), said)


def test_a_zips_second_name_is_looked_at_too(tmp_path):
    """The extra field 0x7075 holds a name that zipfile puts in the place of the first."""
    for name, second, said in (
        ("ok", b"../escaped", "member '../escaped' leads out"),
        ("../ok", b"inside", "member '../ok' leads out"),
    ):
        field = struct.pack("<BL", 1, zlib.crc32(name.encode())) + second
        info = zipfile.ZipInfo(name)
        info.extra = struct.pack("<HH", 0x7075, len(field)) + field
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w") as archive:
            archive.writestr(info, b"1")
        if zipfile.ZipFile(raw).infolist()[0].filename == "ok":
            # Before Python 3.12 nobody reads the field, and the first name is the only one.
            (tmp_path / "plain.zip").write_bytes(raw.getvalue())
            (tmp_path / "plain").mkdir()
            unpack(tmp_path / "plain.zip", tmp_path / "plain")
            assert [found.name for found in (tmp_path / "plain").iterdir()] == ["ok"]
        else:
            refused(tmp_path, "x.zip", raw.getvalue(), said)


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "{}/escaped"])
def test_unpacking_never_leaves_its_folder(tmp_path, monkeypatch, name):
    """Whatever name a member has that was let through."""
    member = module.Member(name.format(tmp_path), io.BytesIO(b"1"), False, module._Allowance(1))
    monkeypatch.setattr(module, "members", lambda *_: iter([member]))
    (tmp_path / "out").mkdir()
    with pytest.raises(ArchiveError, match="leads out"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert [found.name for found in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(("kind", "mode", "said"), HOSTILE_KINDS)
def test_links_and_devices_are_refused(tmp_path, kind, mode, said):
    said = f"member 'evil' {said}"
    refused(tmp_path, "x.tar", tar(entry("evil", kind=kind, link="/etc/passwd")), said)
    refused(tmp_path, "x.zip", zipped(("evil", b"/etc/passwd", mode | 0o777)), said)


def test_a_sparse_member_is_refused(tmp_path):
    info, body = entry("sparse", b"")
    info.type = tarfile.GNUTYPE_SPARSE
    refused(tmp_path, "x.tar", tar((info, body), layout=tarfile.GNU_FORMAT), "'sparse' is neither")


def test_names_with_zeros_are_refused(tmp_path):
    body = tar(entry("x", b"1", path="a\0b"))
    refused(tmp_path, "x.tar", body, r"member 'a\\x00b' leads out")
    body = zipped(("aXb", b"1")).replace(b"aXb", b"a\0b")
    refused(tmp_path, "x.zip", body, r"member 'a\\x00b' leads out")


@pytest.mark.parametrize("name", ["", ".", "./"])
def test_a_file_without_a_name_is_refused(tmp_path, name):
    refused(tmp_path, "x.tar", tar(entry("x", b"1", path=name or ".")), "has no name|neither")


def test_a_negative_size_is_refused(tmp_path):
    body = bytearray(tar(entry("x", b"1"), layout=tarfile.GNU_FORMAT))
    body[124:136] = tarfile.itn(-512, 12, tarfile.GNU_FORMAT)
    body[148:156] = b" " * 8
    body[148:156] = b"%06o\0 " % sum(body[:512])
    refused(tmp_path, "x.tar", bytes(body), "member 'x' is neither")


@pytest.fixture
def little(monkeypatch):
    """Bounds that tests can reach."""
    monkeypatch.setattr(module, "MAX_FREE_BYTES", 1 << 20)
    monkeypatch.setattr(module, "MAX_GROWTH", 10)
    monkeypatch.setattr(module, "MAX_MEMBERS", 3)


ZEROS = bytes(8 << 20)


def test_bombs_are_refused(tmp_path, little):
    said = "unpacks to more than"
    refused(tmp_path, "x.tgz", gzip.compress(tar(entry("bomb", ZEROS))), said)
    refused(tmp_path, "x.tar.bz2", bz2.compress(tar(entry("bomb", ZEROS))), said)
    refused(tmp_path, "x.zip", zipped(("bomb", ZEROS)), f"'bomb' {said}")
    refused(tmp_path, "y.zip", zipped(*((f"{n}", ZEROS[: 1 << 19]) for n in range(3))), said)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_bomb_inside_of_a_member_is_refused(tmp_path, little, pack):
    name = "bomb.gz" if pack is gzip.compress else "bomb.bz2"
    for archive, body in (
        ("x.tar", tar(entry(name, pack(ZEROS)))),
        ("x.zip", zipped((name, pack(ZEROS)))),
    ):
        (tmp_path / archive).write_bytes(body)
        with pytest.raises(ArchiveError, match=f"'{name}' unpacks to more than"):
            read_unpacked(tmp_path / archive)
    (tmp_path / name).write_bytes(pack(ZEROS))
    with open_unpacked(tmp_path / name) as stream, pytest.raises(ArchiveError, match="more than"):
        stream.read()


def test_many_small_bombs_share_one_allowance(tmp_path, little):
    packed = gzip.compress(ZEROS[: 1 << 19])
    (tmp_path / "x.tar").write_bytes(tar(*(entry(f"{n}.gz", packed) for n in range(3))))
    with pytest.raises(ArchiveError, match=r"'2\.gz' unpacks to more than"):
        read_unpacked(tmp_path / "x.tar")


def test_a_bomb_that_nobody_reads_is_refused_too(tmp_path, little):
    (tmp_path / "x.tgz").write_bytes(gzip.compress(tar(entry("bomb", ZEROS), entry("b"))))
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        list(members(tmp_path / "x.tgz"))


def test_too_many_members(tmp_path, little):
    refused(tmp_path, "x.tar", tar(*(entry(f"{n}") for n in range(4))), "more than 3 members")
    refused(tmp_path, "x.zip", zipped(*((f"{n}", b"") for n in range(4))), "more than 3 members")


def test_folders_count_as_members(tmp_path, little):
    folders = [entry(f"{n}", kind=tarfile.DIRTYPE) for n in range(4)]
    refused(tmp_path, "x.tar", tar(*folders), "more than 3 members")


def test_a_zip_with_a_huge_directory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    body = zipped(*((f"{n:0200d}", b"") for n in range(600)))
    assert len(read(tmp_path, "x.zip", body)) == 600
    monkeypatch.setattr(module, "MAX_DIRECTORY_BYTES", 100_000)
    refused(tmp_path, "x.zip", body, "x.zip has a directory of more than 100000 bytes")


def test_headers_that_would_fill_the_memory_are_refused(tmp_path):
    long = tar(entry("x" * (1 << 17), b"1"), layout=tarfile.GNU_FORMAT)
    refused(tmp_path, "x.tar", long, r"'././@LongLink' has a header of \d+ bytes")
    refused(tmp_path, "x.tar", tar(entry("x", b"1", comment="y" * (1 << 17))), "has a header of")


def test_headers_of_headers_are_refused(tmp_path):
    name = b"n" * 400 + b"\0" * 112
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, len(name)
    one = info.tobuf(tarfile.GNU_FORMAT) + name
    for count in (100, 2000):
        body = one * count + tar(entry("x"), layout=tarfile.GNU_FORMAT)
        if count == 100:
            assert len(read(tmp_path, "x.tar", body)) == 1
        else:
            refused(tmp_path, "x.tar", body, "is longer than|cut or broken")


def test_a_map_of_holes_that_would_fill_the_memory_is_refused(tmp_path):
    """A sparse member of the pax form keeps its map in its content, as long as it likes."""
    holes = b"9000000\n" + b"1\n" * 400_000
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x"}
    body = tar(entry("x", holes, **sparse))
    refused(tmp_path, "x.tar", body, "is longer than")


def test_global_headers_do_not_gather(tmp_path):
    pieces = []
    for number in range(120):
        header = tarfile.TarInfo.create_pax_global_header({f"key{number}": "value"})
        pieces.append(header + entry(f"{number}")[0].tobuf())
    assert len(read(tmp_path, "x.tar", b"".join(pieces[:50]) + bytes(1024))) == 50
    refused(tmp_path, "x.tar", b"".join(pieces) + bytes(1024), "'100' adds to too many global")


def test_what_zip_cannot_bound_is_refused(tmp_path):
    refused(tmp_path, "x.zip", zipped(("x", b"1"), method=zipfile.ZIP_LZMA), "'x' is encrypted or")
    body = bytearray(zipped(("x", b"1")))
    body[body.rindex(b"PK\x01\x02") + 8] |= 1
    refused(tmp_path, "x.zip", bytes(body), "'x' is encrypted or")


def test_zip_entries_that_share_their_content_are_bounded(tmp_path, little):
    """Overlapping entries unpack the same packed bytes again and again."""
    body = bytearray(zipped(*((f"{n}", ZEROS[: 1 << 19]) for n in range(3))))
    at = [n for n in range(len(body)) if body.startswith(b"PK\x01\x02", n)]
    for position in at:
        body[position + 42 : position + 46] = struct.pack("<L", 0)
        body[position + 46 : position + 47] = b"0"
    refused(tmp_path, "x.zip", bytes(body), "more than|cut or broken|way")


# What is cut or broken.

WHOLE = {form: write(form, FILES) for form in module.ARCHIVES}
UNPACKED = gzip.decompress(WHOLE[".tar.gz"])
# The end is two blocks of zeros and what fills the record: without the first of them it is cut.
CONTENT_BYTES = len(UNPACKED.rstrip(b"\0")) // 512 * 512 + 512


@pytest.mark.parametrize("form", [".tar.gz", ".tar.bz2", ".zip"])
@settings(max_examples=60)
@given(data=st.data())
def test_an_archive_cut_anywhere_is_noticed(tmp_path_factory, form, data):
    cut = data.draw(st.integers(0, len(WHOLE[form]) - 1))
    with pytest.raises(ArchiveError):
        read(tmp_path_factory.getbasetemp(), "cut" + form, WHOLE[form][:cut])


@given(cut=st.integers(0, CONTENT_BYTES))
def test_a_tar_cut_before_it_was_packed_is_noticed(tmp_path_factory, cut):
    with pytest.raises(ArchiveError):
        read(tmp_path_factory.getbasetemp(), "cut.tar", UNPACKED[:cut])


@pytest.mark.parametrize("form", module.ARCHIVES)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_is_spoilt_either_reads_or_is_refused(tmp_path_factory, form, data):
    body = bytearray(WHOLE[form])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("spoilt")
    (folder / "x").write_bytes(body)
    (folder / "outer" / "inner").mkdir(parents=True)
    with contextlib.suppress(ArchiveError):
        unpack(folder / "x", folder / "outer" / "inner", form)
    assert [found.name for found in (folder / "outer").iterdir()] == ["inner"]


def test_a_broken_header_is_not_taken_for_the_end(tmp_path):
    body = bytearray(tar(entry("a", b"1"), entry("b", b"2")))
    body[1024] ^= 1  # the first letter of the second name, so that its checksum is wrong
    refused(tmp_path, "x.tar", bytes(body), "header is broken")


def test_two_archives_one_after_another_are_not_taken_for_the_first(tmp_path):
    refused(tmp_path, "x.tar", tar(entry("a")) + tar(entry("b")), "goes on after its end")


def test_checksums_are_compared(tmp_path):
    body = WHOLE[".tgz"][:-8] + bytes(4) + WHOLE[".tgz"][-4:]
    refused(tmp_path, "x.tgz", body, "'x.tgz' is cut or broken: CRC")
    body = zipped(("a", b"1234"), method=zipfile.ZIP_STORED).replace(b"1234", b"1235")
    refused(tmp_path, "x.zip", body, "'a' is cut or broken: Bad CRC")


def test_an_empty_archive_and_an_empty_file(tmp_path):
    assert read(tmp_path, "x.tar", tar()) == {}
    assert read(tmp_path, "x.zip", zipped()) == {}
    for form in module.ARCHIVES:
        refused(tmp_path, "x" + form, b"", "cut or broken")


# Unpacking.


@pytest.mark.parametrize("form", module.ARCHIVES)
def test_unpacking_writes_private_files_and_keeps_what_may_be_executed(tmp_path, form):
    (tmp_path / "x").write_bytes(WHOLE[form])
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "x", tmp_path / "out", form)
    found = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == FILES
    modes = {name: stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) for name in FILES}
    assert modes == {"a.txt": 0o600, "deep/er/b.sh": 0o700, "empty": 0o600}


@pytest.mark.parametrize(
    "names", [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a/./b", "a/b")], ids="-".join
)
def test_members_in_each_others_way_are_refused(tmp_path, names):
    (tmp_path / "out").mkdir()
    (tmp_path / "x.tar").write_bytes(tar(*(entry(name, b"1") for name in names)))
    with pytest.raises(ArchiveError, match=f"member '{names[1]}' is in another one's way"):
        unpack(tmp_path / "x.tar", tmp_path / "out")


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "x.tar").write_bytes(tar(entry("n" * 300, b"1")))
    with pytest.raises(ArchiveError, match=r"'nnn.*too long"):
        unpack(tmp_path / "x.tar", tmp_path / "out")


def test_a_full_disk_is_not_the_archives_fault(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.shutil, "copyfileobj", full)
    (tmp_path / "out").mkdir()
    (tmp_path / "x.tar").write_bytes(WHOLE[".tar"])
    with pytest.raises(OSError, match="No space left"):
        unpack(tmp_path / "x.tar", tmp_path / "out")
