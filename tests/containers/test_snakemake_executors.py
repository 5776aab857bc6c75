"""The table of examples/snakemake: what the executors make of an image that a workflow names.

All of it is made by ``make snakemake``; here the rows about images, of what is locked.
"""

import pytest

from tests.containers.engine import ROOT
from tests.snakemake.executors import RELEASES, Trial
from tests.snakemake.table import ROWS, cell, written
from tests.snakemake.workflows import RUNS

PAGE = (ROOT / "examples" / "snakemake" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trial(aws, tmp_path_factory):
    return Trial(aws, tmp_path_factory.mktemp("trial"))


@pytest.mark.parametrize(
    "release", [each for each in RELEASES if each.locked], ids=lambda release: release.name
)
def test_the_page_tells_which_image_a_job_has(trial, release):
    told = dict(zip(ROWS, written(PAGE)[release.name], strict=True))
    for run in ("container", "option"):
        seen = trial.start(release, RUNS[run])
        rows = [row for row in ROWS if row.run == run]
        assert {row.said: cell(row, seen) for row in rows} == {row.said: told[row] for row in rows}
