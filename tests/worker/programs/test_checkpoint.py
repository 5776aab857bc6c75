"""The checkpoint folder alone: what is kept of it, and that it is always of one moment."""

import errno
import io
import json
import os
import tarfile
import threading
import time

import pytest

import worker.tools.checkpoint as module
from worker.confinement import is_foreign
from worker.endings import RestartUnusable
from worker.tools.checkpoint import CheckpointFolder


@pytest.fixture
def said():
    return []


@pytest.fixture
def make(tmp_path, monkeypatch, said):
    """Makes a checkpoint folder, perhaps with what another one kept."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(module, "LOOKS_SHARE", 1.0)
    monkeypatch.setattr(module, "QUIET_S", 0.0)
    made = []

    def make(restart=None):
        folder = tmp_path / f"attempt-{len(made)}" / "checkpoint"
        folder.mkdir(parents=True)
        kept = CheckpointFolder(folder, lambda event, **fields: said.append((event, fields)))
        made.append(kept)
        if restart is not None:
            kept.restore(restart)
        return kept

    return make


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def texts(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_a_folder_comes_back_as_it_was(make):
    first = make()
    write(first.folder, "a", "1")
    write(first.folder, "deep/er/b c", "2").chmod(0o755)
    os.utime(first.folder / "a", ns=(10**18, 10**18))
    (first.folder / "empty" / "inner").mkdir(parents=True)
    (first.folder / "latest").symlink_to("deep/er")
    (first.folder / "deep" / "up").symlink_to("../a")
    second = make(first.take(running=True)).folder
    assert texts(second) == {"a": "1", "deep/er/b c": "2"}
    assert (second / "empty" / "inner").is_dir()
    assert (second / "latest" / "b c").read_text() == "2"
    assert (second / "deep" / "up").read_text() == "1"
    assert os.access(second / "deep/er/b c", os.X_OK)
    assert not os.access(second / "a", os.X_OK)
    assert (second / "a").stat().st_mtime_ns == 10**18
    assert sorted(path.name for path in second.parent.iterdir()) == ["checkpoint"]


def test_names_with_backslashes_come_back(make):
    names = {"a\\x2db.chk": "1", "a%5Cx2db.chk": "2", "a\\b/c%": "3", "a%255C": "4"}
    first = make()
    for name, text in names.items():
        write(first.folder, name, text)
    (first.folder / "empty\\").mkdir()
    (first.folder / "li\\nk").symlink_to("a\\b")
    second = make(first.take(running=True))
    assert texts(second.folder) == names
    assert (second.folder / "empty\\").is_dir()
    assert (second.folder / "li\\nk" / "c%").read_text() == "3"
    assert not second.has_changed()


def test_what_could_not_be_restored_is_not_kept_and_told_of_once(make, said):
    kept = make()
    path = write(kept.folder, "/".join(["d"] * 62) + "/f", "1")
    assert texts(make(kept.take(running=False)).folder) == {"d/" * 62 + "f": "1"}
    path.unlink()
    deep = write(kept.folder, "/".join(["d"] * 63) + "/f", "1")
    assert [kept.take(running=False) for _ in range(2)] == [None] * 2
    ((event, fields),) = said
    assert event == "checkpoint_not_kept"
    assert "deeper than 64" in fields["why"]
    deep.unlink()
    assert kept.take(running=False) is not None


def test_a_name_that_is_too_long_for_the_archive_is_told_of(make, said):
    kept = make()
    write(kept.folder, "n" * 255, "1")
    assert texts(make(kept.take(running=False)).folder) == {"n" * 255: "1"}
    write(kept.folder, "n" * 254 + "\\", "1")
    assert kept.take(running=False) is None
    assert "more than 255 bytes" in said[0][1]["why"]


def test_what_is_being_written_and_what_leads_out_is_left(make):
    first = make()
    write(first.folder, "a", "1")
    write(first.folder, "b.tmp", "half of")
    (first.folder / "out").symlink_to("/etc/passwd")
    (first.folder / "up").symlink_to("../../secret")
    (first.folder / "a-link.tmp").symlink_to("a")
    os.mkfifo(first.folder / "pipe")
    second = make(first.take(running=True)).folder
    assert [path.name for path in second.iterdir()] == ["a"]


def test_what_the_program_could_not_read_is_left(make, monkeypatch):
    """As a worker that is root sees it, where the folder is another user's and a file root's."""
    kept = make()
    write(kept.folder, "mine", "1")
    write(kept.folder, "deep/linked", "secret")
    entries = module._entries
    owner = kept.folder.stat().st_uid
    monkeypatch.setattr(module, "_entries", lambda f, p, _owner: entries(f, p, owner + 1))
    assert set(module._look(kept.folder)) == {"deep"}
    assert is_foreign(kept.folder.stat(), owner + 1)
    assert not is_foreign(kept.folder.stat(), owner)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert set(module._look(kept.folder)) == {"mine", "deep/linked"}


def test_only_a_change_is_kept(make):
    kept = make()
    assert not kept.has_changed()
    assert kept.take(running=True) is None
    path = write(kept.folder, "a", "1")
    assert kept.has_changed()
    assert kept.take(running=True) is not None
    assert not kept.has_changed()
    path.write_text("1")
    assert kept.has_changed()
    assert kept.take(running=True) is None
    write(kept.folder, "a.tmp", "2")
    assert not kept.has_changed()
    (kept.folder / "a.tmp").rename(path)
    again = kept.take(running=True)
    assert texts(make(again).folder) == {"a": "2"}
    path.unlink()
    assert make(kept.take(running=True)).folder.exists()


def test_after_a_restart_the_same_is_no_change(make):
    first = make()
    write(first.folder, "a", "1")
    second = make(first.take(running=True))
    assert not second.has_changed()
    (second.folder / "a").chmod(0o640)
    assert second.take(running=True) is None


def test_a_folder_that_has_just_changed_is_waited_for(make, monkeypatch):
    kept = make()
    write(kept.folder, "a", "1")
    monkeypatch.setattr(module, "QUIET_S", 3600.0)
    assert not kept.has_changed()
    assert kept.take(running=True) is None
    assert kept.take(running=False) is not None


def test_a_folder_that_never_rests_is_told_of_once(make, said, monkeypatch):
    kept = make()
    write(kept.folder, "log", "1")
    monkeypatch.setattr(module, "QUIET_S", 3600.0)
    assert [kept.has_changed() for _ in range(200)] == [False] * 200
    ((_, fields),) = said
    assert "changes all the time" in fields["why"]


def test_a_change_while_files_are_read_is_noticed(make, monkeypatch):
    kept = make()
    write(kept.folder, "a", "old a")
    write(kept.folder, "b", "old b")
    add = module._add
    reads = []

    def changing(tar, path, name, entry):
        reads.append(name)
        if reads == ["a", "b"]:
            write(kept.folder, "a", "new a")
            write(kept.folder, "b", "new b")
        return add(tar, path, name, entry)

    monkeypatch.setattr(module, "_add", changing)
    restart = kept.take(running=True)
    assert reads == ["a", "b", "a", "b"]
    assert texts(make(restart).folder) == {"a": "new a", "b": "new b"}


def test_a_file_that_changes_when_it_was_read_already_is_noticed(make, monkeypatch):
    kept = make()
    write(kept.folder, "a", "old a")
    write(kept.folder, "b", "as ever")
    add = module._add
    reads = []

    def changing(tar, path, name, entry):
        reads.append(name)
        if reads == ["a", "b"]:
            write(kept.folder, "a", "new a")
        return add(tar, path, name, entry)

    monkeypatch.setattr(module, "_add", changing)
    restart = kept.take(running=True)
    assert reads == ["a", "b", "a", "b"]
    assert texts(make(restart).folder) == {"a": "new a", "b": "as ever"}


def test_a_change_that_hides_its_time_is_noticed(make):
    kept = make()
    path = write(kept.folder, "a", "one")
    os.utime(path, ns=(10**18, 10**18))
    assert kept.take(running=True) is not None
    path.write_text("two")
    os.utime(path, ns=(10**18, 10**18))
    assert texts(make(kept.take(running=True)).folder) == {"a": "two"}


def test_a_file_that_shrinks_or_goes_while_it_is_read_is_noticed(make, monkeypatch):
    kept = make()
    path = write(kept.folder, "a", "x" * 100_000)
    read = module._Hashing.read
    done = []

    def shrinking(self, count=-1):
        if not done:
            done.append(os.truncate(path, 10))
        return read(self, count)

    monkeypatch.setattr(module._Hashing, "read", shrinking)
    assert texts(make(kept.take(running=True)).folder) == {"a": "x" * 10}
    look = module._look

    def going(folder):
        found = look(folder)
        path.unlink(missing_ok=True)
        return found

    write(kept.folder, "a", "new")
    monkeypatch.setattr(module, "_look", going)
    kept.take(running=True)
    assert not path.exists()


def test_whatever_a_program_does_meanwhile_a_checkpoint_is_of_one_moment(make, monkeypatch):
    monkeypatch.setattr(module, "QUIET_S", 0.02)
    kept = make()
    ended = threading.Event()

    def work():
        for number in range(10_000):
            for name in ("a", "b", "c"):
                write(kept.folder, f"{name}.tmp", f"{number}\n" * 3000)
                (kept.folder / f"{name}.tmp").rename(kept.folder / name)
            if ended.wait(0.05 if number % 2 else 0.0):
                return

    thread = threading.Thread(target=work)
    thread.start()
    found = []
    deadline = time.monotonic() + 60
    try:
        while len(found) < 5 and time.monotonic() < deadline:
            if (restart := kept.take(running=True)) is not None:
                found.append(texts(make(restart).folder))
    finally:
        ended.set()
        thread.join()
    assert len(found) == 5
    for files in found:
        assert {len(set(text.split())) for text in files.values()} == {1}
        numbers = [int(files[name].split()[0]) for name in sorted(files)]
        assert numbers == sorted(numbers, reverse=True)
        assert numbers[0] - numbers[-1] <= 1


def tampered(restart, change):
    """A restart whose members went through ``change``: name and bytes to name and bytes."""
    target = restart.with_name("tampered.tar")
    with tarfile.open(restart) as old, tarfile.open(target, "w") as new:
        for member in old:
            for name, body in change(member.name, old.extractfile(member).read()):
                header = tarfile.TarInfo(name)
                header.size = len(body)
                new.addfile(header, io.BytesIO(body))
    return target


def other_manifest(**fields):
    def change(name, body):
        if name == "manifest.json":
            body = json.dumps(json.loads(body) | fields).encode()
        return [(name, body)]

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda name, body: [(name, body.replace(b"one", b"two"))],
        lambda name, body: [] if name == "files/a" else [(name, body)],
        lambda name, body: [] if name == "manifest.json" else [(name, body)],
        lambda name, body: (
            [(name, body), ("files/more", b"")] if name == "files/a" else [(name, body)]
        ),
        lambda name, body: [(name, b"[]" if name == "manifest.json" else body)],
        lambda name, body: [(f"../{name}", body)],
        other_manifest(links={"x": "../../etc"}),
        other_manifest(links={"x": "/etc"}),
        other_manifest(links={"../x": "a"}),
        other_manifest(folders=["../../x"]),
    ],
)
def test_a_restart_that_is_not_what_was_kept_is_not_used(make, tmp_path, change):
    first = make()
    write(first.folder, "a", "one")
    with pytest.raises(RestartUnusable):
        make(tampered(first.take(running=True), change))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("left", [0, 100, 512, 1024, 1600])
def test_a_restart_that_is_cut_is_not_used(make, left):
    first = make()
    write(first.folder, "a", "one")
    restart = first.take(running=True)
    os.truncate(restart, left)
    with pytest.raises(RestartUnusable):
        make(restart)


def test_what_cannot_be_copied_is_told_once_and_leaves_nothing(make, said, monkeypatch):
    kept = make()
    write(kept.folder, "a", "1")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module.tarfile.TarFile, "addfile", full)
        assert [kept.take(running=True) for _ in range(3)] == [None] * 3
    ((event, fields),) = said
    assert event == "checkpoint_not_kept"
    assert "No space left" in fields["why"]
    assert [path.name for path in kept.folder.parent.iterdir()] == ["checkpoint"]
    assert kept.take(running=True) is not None


def test_more_files_than_are_kept_are_told_of(make, said, monkeypatch):
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    kept = make()
    for name in "abc":
        write(kept.folder, name, name)
    assert kept.take(running=False) is None
    assert "3 files; 2 are kept" in said[0][1]["why"]


def test_a_name_that_is_no_text_is_told_of(make, said):
    kept = make()
    (kept.folder / os.fsdecode(b"\xff")).write_text("x")
    assert kept.take(running=False) is None
    assert "no UTF-8" in said[0][1]["why"]
