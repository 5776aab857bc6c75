"""Counting an input's molecules over all its parts."""

from worker.tools import Resume


class Tally:
    """Counts over all parts of an input, and its best molecule."""

    def __init__(self, resume: Resume) -> None:
        before = resume.counts or {}
        self.molecules = before.get("molecules", 0)
        self.failed_molecules = before.get("failed_molecules", 0)
        self.best_id = resume.best_id
        self.best_score = resume.best_score

    def docked(self, molecule_id: str, score: float) -> None:
        """Count a molecule that has a score."""
        self.molecules += 1
        if self.best_score is None or score < self.best_score:
            self.best_id, self.best_score = molecule_id, score

    def failed(self) -> None:
        """Count a molecule that has none."""
        self.molecules += 1
        self.failed_molecules += 1

    def counts(self) -> dict[str, int]:
        """The counts as parts and markers hold them."""
        return {"molecules": self.molecules, "failed_molecules": self.failed_molecules}
