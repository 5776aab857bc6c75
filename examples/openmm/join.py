"""Joins what a run's parts hold into one trajectory and one log for each input.

    python examples/openmm/join.py OUTPUT TARGET

OUTPUT is a copy of the run's output prefix (`aws s3 sync`, or what `make run` left below
.drydock/s3). Which parts count, and in which order, is said by the markers: an attempt that was
killed may have left parts that do not. Frames and rows must follow each other without gap.
"""

import shutil
import struct
import sys
from pathlib import Path

from drydock.markers import InputSummary, parse_done, parse_marker_name

# CHARMM's header: frames at byte 8, the first one's step, the interval, the last one's step.
_COUNTS = struct.Struct("<4i")
_COUNTS_AT = 8


class JoinError(Exception):
    """Raised when parts do not follow each other; the message names the file."""


def done_inputs(output: Path) -> list[InputSummary]:
    """What the markers say of the inputs that are done, each once."""
    found: dict[int, InputSummary] = {}
    for path in sorted(output.glob("markers/*/*/*.done")):
        name = parse_marker_name(path.name)
        if name is not None:
            for summary in parse_done(path.read_bytes(), name):
                found.setdefault(summary.index, summary)
    return [found[index] for index in sorted(found)]


def files_of(summary: InputSummary, output: Path, name: str) -> list[Path]:
    """An input's files of one kind along its chain of parts."""
    return [
        output / each.key[each.key.rindex("shards/") :]
        for part in summary.chain
        for each in part.outputs
        if each.name == name
    ]


def join_logs(paths: list[Path], target: Path) -> None:
    """One header, and the rows of all."""
    with target.open("w", encoding="utf-8") as file:
        for number, path in enumerate(paths):
            header, *rows = path.read_text("utf-8").splitlines(keepends=True)
            file.writelines([header, *rows] if number == 0 else rows)


def join_dcd(paths: list[Path], target: Path) -> None:
    """The first file's header, which counts the frames of all.

    Raises:
        JoinError: a file's frames do not follow those before.
    """
    frames, begin, interval = 0, 0, 0
    with target.open("w+b") as file:
        for path in paths:
            body = path.read_bytes()
            count, first, interval, _ = _COUNTS.unpack_from(body, _COUNTS_AT)
            begin = begin or first
            if first != begin + frames * interval:
                raise JoinError(f"{path} begins at step {first}")
            file.write(body[_header_bytes(body) if frames else 0 :])
            frames += count
        file.seek(_COUNTS_AT)
        file.write(_COUNTS.pack(frames, begin, interval, begin + (frames - 1) * interval))


def _header_bytes(body: bytes) -> int:
    """Three records, each between its length and its length: numbers, titles, atoms."""
    at = 0
    for _ in range(3):
        at += 8 + struct.unpack_from("<i", body, at)[0]
    return at


def join(output: Path, target: Path) -> list[Path]:
    """Write ``target/<index>/``; returns what was written."""
    written = []
    for summary in done_inputs(output):
        folder = target / str(summary.index)
        folder.mkdir(parents=True)
        join_logs(files_of(summary, output, "log"), folder / "log.csv")
        written.append(folder / "log.csv")
        trajectories = files_of(summary, output, "trajectory")
        if trajectories and trajectories[0].suffix == ".dcd":
            join_dcd(trajectories, folder / "trajectory.dcd")
            written.append(folder / "trajectory.dcd")
        elif trajectories:  # frames of XTC stand for themselves
            with (folder / "trajectory.xtc").open("wb") as file:
                for path in trajectories:
                    file.write(path.read_bytes())
            written.append(folder / "trajectory.xtc")
        structures = files_of(summary, output, "structure")
        written.extend(Path(shutil.copy(path, folder)) for path in structures)
    return written


def main() -> None:
    """Join what the command line names."""
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/openmm/join.py OUTPUT TARGET")
    for path in join(Path(sys.argv[1]), Path(sys.argv[2])):
        print(path)


if __name__ == "__main__":
    main()
