"""What a part of vina's work leaves: poses as gzip members, and a row a molecule."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.tools import FetchedInput, Output
from worker.tools.ligands import Ligand
from worker.tools.pdbqt import Pose

POSES = "poses.pdbqt.gz"
SCORES = "scores.jsonl.gz"
_LEVEL = 6
# In a row's strings the quotation marks would be escaped.
_FAILED = b'"score":null'


class PartTable:
    """The files of one part while it grows, in a folder of its own."""

    def __init__(self, folder: Path, fetched: FetchedInput) -> None:
        folder.mkdir()
        self._folder = folder
        self._fetched = fetched
        self._poses = folder / POSES
        self._rows = folder / "rows.jsonl"
        self._bytes = 0
        self.rows = 0
        self._poses.touch()
        self._rows.touch()

    def add_docked(self, ligand: Ligand, text: bytes, poses: list[Pose]) -> None:
        """A docked molecule; its poses become one gzip member, readable by a ranged GET."""
        member = gzip.compress(text, mtime=0)
        with self._poses.open("ab") as file:
            file.write(member)
        best = poses[0]
        self._add_row(
            ligand,
            {
                "score": best.affinity,
                "terms": best.terms,
                "models": [
                    {
                        "affinity": pose.affinity,
                        "rmsd_lower": pose.rmsd_lower,
                        "rmsd_upper": pose.rmsd_upper,
                        **pose.terms,
                    }
                    for pose in poses
                ],
                "first_byte": self._bytes,
                "length": len(member),
            },
        )
        self._bytes += len(member)

    def add_failed(self, ligand: Ligand, reason: str) -> None:
        """A molecule that could not be docked."""
        self._add_row(ligand, {"score": None, "reason": reason})

    def outputs(self) -> tuple[Output, ...]:
        """What goes up: the poses, then the rows that name the poses' key."""
        return (
            Output("poses", POSES, lambda _keys: self._finished_poses()),
            Output("scores", SCORES, self._finished_scores),
        )

    def _add_row(self, ligand: Ligand, found: dict[str, Any]) -> None:
        row: dict[str, Any] = {"id": ligand.id, "ligand": ligand.ordinal} | found
        if ligand.smiles is not None:
            row["smiles"] = ligand.smiles
        if ligand.prepared_with is not None:
            row["prepared_with"] = ligand.prepared_with
        row |= {
            "input": self._fetched.uri,
            "index": self._fetched.index,
            "input_etag": self._fetched.etag,
        }
        with self._rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
        self.rows += 1

    def _finished_poses(self) -> Path:
        if self._poses.stat().st_size == 0:
            # No pose at all is still a whole gzip file: an empty object would look cut.
            self._poses.write_bytes(gzip.compress(b"", mtime=0))
        return self._poses

    def _finished_scores(self, keys: Mapping[str, str]) -> Path:
        scores = self._folder / SCORES
        # All has been docked when this is done: rows get their last field without being read, and
        # no more is packed than is worth the time.
        ending = f',"poses":{json.dumps(keys["poses"])}}}\n'.encode()
        with (
            self._rows.open("rb") as rows,
            scores.open("wb") as raw,
            gzip.GzipFile(
                filename="", fileobj=raw, mode="wb", compresslevel=_LEVEL, mtime=0
            ) as packed,
        ):
            packed.writelines(line if _FAILED in line else line[:-2] + ending for line in rows)
        return scores
