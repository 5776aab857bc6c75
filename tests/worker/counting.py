"""A tool without a program: it finishes one line of its input at each poll."""

import gzip
import json

from worker.endings import InputFailed
from worker.tools import Contribution, Death, Output


class CountingTool:
    """Lines are units; ``die`` kills the tool there, ``bad`` fails, ``slow`` waits for patience."""

    patience = True

    def __init__(self, on_poll=lambda: None):
        self.on_poll = on_poll

    def prepare(self, assets):
        assert assets["receptor"].is_file()

    def open(self, fetched, folder, resume):
        lines = fetched.path.read_text().splitlines()
        if not lines:
            raise InputFailed("bad_input", "the file is empty")
        return CountingSession(self, fetched, folder, resume, lines)


class CountingSession:
    def __init__(self, tool, fetched, folder, resume, lines):
        self.death = None
        self._tool = tool
        self._fetched = fetched
        self._folder = folder
        self._lines = lines
        self._resume = resume
        self._at = resume.progress
        self._failed = (resume.counts or {}).get("failed_molecules", 0)
        self._rows = []

    @property
    def unsealed(self):
        return len(self._rows)

    def poll(self):
        self._tool.on_poll()
        if self._at == len(self._lines):
            return True
        line = self._lines[self._at]
        place = f"line {self._at}"
        if line == "die" and place not in self._resume.troubles:
            self.death = Death(f"died at {line}", place, -11)
            return True
        if line == "slow" and not self._tool.patience:
            return False
        if line == "hungry":
            self.death = Death("killed by SIGKILL", None, -9, out_of_memory=True)
            return True
        self._failed += line == "bad"
        row = {"id": line, "ligand": self._at, "index": self._fetched.index, "score": -self._at}
        self._rows.append(row)
        self._at += 1
        return False

    def interrupt(self):
        pass

    def contribute(self):
        rows, self._rows = self._rows, []

        def poses(_keys):
            return self._written("poses", "".join(row["id"] for row in rows).encode())

        def scores(keys):
            lines = [json.dumps(row | {"poses": keys["poses"]}) + "\n" for row in rows]
            return self._written("scores", "".join(lines).encode())

        return Contribution(
            outputs=(Output("poses", "poses.gz", poses), Output("scores", "scores.gz", scores)),
            fresh=len(rows),
            progress=self._at,
            counts={"molecules": self._at, "failed_molecules": self._failed},
            best_id=self._lines[self._at - 1] if self._at else None,
            best_score=-float(self._at),
        )

    def close(self):
        pass

    def _written(self, name, content):
        path = self._folder / name
        path.write_bytes(gzip.compress(content, mtime=0))
        return path
