"""Write the table of examples/snakemake/README.md: ``python -m tests.snakemake``.

Releases that are not locked are fetched from PyPI. Takes some minutes: forty starts of Snakemake.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

from local.embedded import EmbeddedAws
from tests.snakemake.executors import RELEASES, ROOT, Trial
from tests.snakemake.table import BEGIN, END, column, table

PAGE = ROOT / "examples" / "snakemake" / "README.md"


def main():
    columns = {}
    with tempfile.TemporaryDirectory() as folder, EmbeddedAws(Path(folder, "aws"), vcpus=4) as aws:
        trial = Trial(aws, Path(folder))
        for release in RELEASES:
            print(release.name, file=sys.stderr)
            columns[release.name] = column(partial(trial.start, release))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table(columns)}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
