"""Reading what a simulation left: all parts of a chain, one after another."""

import struct
from dataclasses import dataclass

from tests.worker.support import DATA


@dataclass(frozen=True)
class Joined:
    """Log and frames of a whole chain. What changes from start to start (speed) is left out."""

    log_steps: list[int]
    log: list[str]
    frame_steps: list[int]
    frames: list[bytes]


def joined(made, name="00000-00000.done"):
    """The outputs of the only input that a marker names."""
    (summary,) = made.marker(name)
    return of_parts(made.store, DATA, summary.chain)


def of_parts(store, bucket, parts):
    """The outputs of parts, in their order."""
    whole = Joined([], [], [], [])
    for part in parts:
        for output in part.outputs:
            body = store.get(bucket, output.key, etag=output.etag).body
            assert len(body) == output.size
            if output.name == "log":
                steps, rows = read_log(body)
                whole.log_steps.extend(steps)
                whole.log.extend(rows)
            elif output.name == "trajectory" and "xtc" not in output.key:
                steps, frames = read_dcd(body)
                whole.frame_steps.extend(steps)
                whole.frames.extend(frames)
    return whole


def read_log(body):
    """Steps, and rows without their speed."""
    header, *lines = body.decode().splitlines()
    names = header.removeprefix("#").replace('"', "").split(",")
    assert names[0] == "Step"
    drop = names.index("Speed (ns/day)")
    rows = [line.split(",") for line in lines]
    assert all(len(row) == len(names) for row in rows)
    kept = [",".join(cell for at, cell in enumerate(row) if at != drop) for row in rows]
    return [int(row[0]) for row in rows], kept


def read_dcd(body):
    """Steps of the frames by the header, and each frame's bytes.

    CHARMM's layout: https://www.ks.uiuc.edu/Research/vmd/plugins/molfile/dcdplugin.html
    """
    size, magic, count, first, interval = struct.unpack_from("<i4siii", body)
    assert (size, magic) == (84, b"CORD")
    has_box = struct.unpack_from("<i", body, 48)[0]
    at = 92
    at += 8 + struct.unpack_from("<i", body, at)[0]  # titles
    atoms = struct.unpack_from("<i", body, at + 4)[0]
    at += 12
    frame_bytes = (56 if has_box else 0) + 3 * (4 * atoms + 8)
    assert len(body) == at + count * frame_bytes, "the file is cut"
    frames = [body[at + n * frame_bytes :][:frame_bytes] for n in range(count)]
    return [first + n * interval for n in range(count)], frames
