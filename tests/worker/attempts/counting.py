"""A tool without a program: it finishes one line of its input at each poll."""

import gzip
import json

from drydock.store import Store
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


class Died(BaseException):
    """The process is gone."""


class MortalStore(Store):
    """S3 for a process that dies after its n-th write, or in place of it."""

    def __init__(self, client, writes, *, lost_answer=False):
        super().__init__(client)
        self.left = writes
        self.lost_answer = lost_answer
        self.written = []

    def encrypting_with(self, _kms_key_id):
        return self

    def _put(self, bucket, key, body, content_type, condition):
        if self.left == 0:
            raise Died(key)
        etag = super()._put(bucket, key, body, content_type, condition)
        self.left -= 1
        self.written.append(key)
        if self.left == 0 and self.lost_answer:
            raise Died(key)
        return etag


def lines(*words):
    return "\n".join(words).encode()


def whole(made):
    return [(row["index"], row["id"]) for row in made.rows()]
