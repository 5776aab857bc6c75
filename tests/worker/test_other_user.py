"""A root worker and its tool that is none: a whole input, in a folder that both can enter."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.worker.support import bundle, finish, ligand, start_worker
from worker.confinement import TOOL_ID

# Vina's batch contract, with the user's id as the affinity, and a look at what lies around.
TOOL = """#!/bin/sh
while [ "$1" != --dir ]; do shift; done
out=$2
while [ "$1" != --batch ]; do shift; done
shift
test -r receptor.pdbqt || exit 3
echo "Computing Vina grid ... done."
touch ../of-another 2>/dev/null && echo "the session's folder is open"
ls ../.. >/dev/null 2>&1 && echo "the scratch is open"
touch "$HOME/mine" "$TMPDIR/mine" || exit 4
for name in "$@"; do
    {
        echo "MODEL 1"
        echo "REMARK VINA RESULT:  $(id -u) 0.000 0.000"
        cat "$name"
        echo "ENDMDL"
    } > "$out/${name%.pdbqt}_out.pdbqt"
done
"""


@pytest.fixture
def open_base():
    """A base for scratch that every user can enter, with the tool beside it."""
    path = Path(tempfile.mkdtemp(prefix="drydock-test-", dir="/tmp"))
    for folder in (path, path / "bin", path / "scratch"):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    (path / "bin" / "vina").write_text(TOOL)
    (path / "bin" / "vina").chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_a_tool_of_another_user_reads_and_writes_what_it_must_and_no_more(
    shard, endpoint, open_base
):
    made = shard(("in/two.pdbqt", bundle(ligand("caffeine"), ligand("aspirin"))))
    path = f"{open_base / 'bin'}:/usr/bin:/bin"
    code, events, stderr = finish(start_worker(made, open_base / "scratch", endpoint, PATH=path))
    assert (code, stderr) == (0, "")
    changed = [event for event in events if event["event"] == "tool_runs_as_root"]
    user = {row["score"] for row in made.rows()}
    if os.geteuid() == 0 and not changed:
        assert user == {TOOL_ID}
        assert [e["stdout"] for e in events if "stdout" in e] == ["Computing Vina grid ... done."]
    else:
        assert user == {os.geteuid()}
    assert list((open_base / "scratch").iterdir()) == []
