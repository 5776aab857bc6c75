"""Bundles of ligands as the stand-in of dock64 reads them, and hostile ones."""

import gzip
import io
import tarfile


def hierarchy(name, size=40):
    """A block from its M lines to its E line."""
    atoms = "".join(f"A {number:3d} C1   C.3   0.0\n" for number in range(size))
    return f"M {name:>16s} none {size:3d}\nM  -1.0 1.0\n{atoms}E\n".encode()


def db2(*names):
    return b"".join(map(hierarchy, names))


def member(name, body=b"", kind=tarfile.REGTYPE, link=""):
    """A member of an archive."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(body), kind, link
    return info, body


def tar(*members):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for info, body in members:
            archive.addfile(info, io.BytesIO(body))
    return raw.getvalue()


def tgz(*members):
    return gzip.compress(tar(*members), 1, mtime=0)


def bundle(*names, each=2):
    """A .db2.tgz with some ligands a member; every other member is packed by itself."""
    members = []
    for number, start in enumerate(range(0, len(names), each)):
        text = db2(*names[start : start + each])
        if number % 2:
            members.append(member(f"set/{number}.db2.gz", gzip.compress(text, mtime=0)))
        else:
            members.append(member(f"set/{number}.db2", text))
    return tgz(member("set", kind=tarfile.DIRTYPE), member("set/README", b"x"), *members)
