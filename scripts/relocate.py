"""Make programs independent of the image that they lie in, while an image is built.

usage: relocate.py program ROOT PROGRAM FOLDER    a program of another image, whose files lie in ROOT
       relocate.py python FOLDER                  this Python with its standard library

A program brings its dynamic loader and all libraries along, so that neither the distribution nor
the C library of the image matters. FOLDER is where it will lie. The first needs root, the second patchelf.
"""

import os
import shutil
import stat
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

_ELF_64_LITTLE = b"\x7fELF\x02\x01"
_PT_INTERP = 3
_NEVER_USED = ("test", "idlelib", "tkinter", "turtledemo", "ensurepip", "pydoc_data", "config-*")
_NOT_COPIED = (*_NEVER_USED, "site-packages", "dist-packages", "__pycache__", "sitecustomize.py")
_START = """#!/bin/sh
exec {folder}/loader/{name} --library-path {folder}/lib {folder}/programs/{name} "$@"
"""


def relocate_program(root: Path, program: str, folder: Path) -> None:
    """Copy a program of the image in `root` below `folder`; `folder`/bin/<its name> starts it.

    Raises:
        SystemExit: there is no such program, or a library of it is missing.
    """
    source = _inside(root, program)
    if not source.is_file():
        sys.exit(f"{program} is not in that image: give its path as DOCK64=<path in the image>")
    name = Path(program).name
    for each in ("bin", "lib", "loader", "programs"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    copied = _copy(source, folder / "programs" / name, executable=True)
    start = folder / "bin" / name
    loader = _loader(source)
    if loader is None:  # a static program, or a script
        start.symlink_to(copied)
        return
    # Under the program's name, so that people who look for the process find it.
    _copy(_inside(root, loader), folder / "loader" / name, executable=True)
    for library in _libraries(root, loader, program):
        _copy(_inside(root, library), folder / "lib" / Path(library).name)
    start.write_text(_START.format(folder=folder, name=name), encoding="utf-8")
    start.chmod(0o755)


def relocate_python(folder: Path) -> None:
    """Copy this Python below `folder`/python, with its libraries; tini goes to `folder`/bin.

    What pip has put into `folder`/python/lib/python3.x/site-packages before is made to fit, too.
    """
    version = f"python{sysconfig.get_python_version()}"
    home = folder / "python"
    program = home / "bin" / version
    program.parent.mkdir(parents=True, exist_ok=True)
    _copy(Path(sys.executable).resolve(), program, executable=True)
    library = home / "lib" / version
    shutil.copytree(
        sysconfig.get_path("stdlib"),
        library,
        ignore=shutil.ignore_patterns(*_NOT_COPIED),
        dirs_exist_ok=True,
    )
    # Debian's Python looks for the one, all others for the other.
    (library / "dist-packages").symlink_to("site-packages")
    _give_libraries(program, [program, *library.rglob("*.so*")], folder / "lib")


def _give_libraries(program: Path, files: list[Path], folder: Path) -> None:
    """Let a program and its modules use the loader and the libraries in a folder, and no others.

    DT_RPATH of a program holds for all that is loaded into it, and comes before LD_LIBRARY_PATH.
    """
    folder.mkdir()
    loader = _loader(program)
    if loader is None:
        sys.exit(f"{program} is linked statically")
    for file in files:
        for needed in _libraries(Path("/"), loader, str(file)):
            if not (folder / Path(needed).name).exists():
                _copy(Path(needed), folder / Path(needed).name)
    mine = _copy(Path(loader), folder / Path(loader).name, executable=True)
    for file in (*files, *folder.iterdir()):
        if file not in (program, mine) and _patchelf("--print-rpath", str(file)):
            _patchelf("--remove-rpath", str(file))
    # In one go: a second change to a program that is not position-independent may break it.
    ours = ("--set-interpreter", str(mine), "--force-rpath", "--set-rpath", str(folder))
    _patchelf(*ours, str(program))


def _loader(program: Path) -> str | None:
    """The dynamic loader that a program asks for; None for what needs none.

    The string of its segment PT_INTERP, 64 bits little-endian:
    https://man7.org/linux/man-pages/man5/elf.5.html
    """
    with program.open("rb") as file:
        header = file.read(64)
        if header[:6] != _ELF_64_LITTLE:
            return None
        (table,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        for number in range(count):
            file.seek(table + number * size)
            kind, _, offset, _, _, length = struct.unpack("<IIQQQQ", file.read(40))
            if kind == _PT_INTERP:
                file.seek(offset)
                return file.read(length).rstrip(b"\0").decode()
    return None


def _libraries(root: Path, loader: str, program: str) -> list[str]:
    """Paths, in the image, of all libraries that the image's own loader takes for a program."""
    change = ["chroot", str(root)] if root != Path("/") else []
    listed = subprocess.run(
        [*change, loader, "--list", program], capture_output=True, text=True, check=False
    )
    # "libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f...)"; the kernel's own has no path.
    lines = [line.split() for line in listed.stdout.splitlines()]
    missing = [words[0] for words in lines if words[2:4] == ["not", "found"]]
    if listed.returncode or missing:
        said = ", ".join(missing) or listed.stderr.strip() or listed.stdout.strip()
        sys.exit(f"{program} cannot run in its own image: {said}")
    return [words[2] for words in lines if words[1:2] == ["=>"] and words[2].startswith("/")]


def _inside(root: Path, path: str) -> Path:
    """The file behind a path of an image, whose absolute links lead to places in the image."""
    here = root / path.lstrip("/")
    for _ in range(40):
        done = root
        for part in here.relative_to(root).parts:
            done = done / part
            if done.is_symlink():
                target = os.readlink(done)
                below = here.relative_to(done)
                base = root if target.startswith("/") else done.parent
                joined = os.path.normpath(f"/{(base / target.lstrip('/')).relative_to(root)}")
                here = root / joined.lstrip("/") / below
                break
        else:
            return here
    sys.exit(f"{path}: too many links")


def _copy(source: Path, target: Path, *, executable: bool = False) -> Path:
    shutil.copyfile(source, target)
    bits = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH if executable else 0
    target.chmod(0o644 | bits)
    return target


def _patchelf(*arguments: str) -> str:
    return subprocess.run(
        ["patchelf", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    if sys.argv[1:2] == ["program"] and len(sys.argv) == 5:
        relocate_program(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    elif sys.argv[1:2] == ["python"] and len(sys.argv) == 3:
        relocate_python(Path(sys.argv[2]))
    else:
        sys.exit(__doc__)
