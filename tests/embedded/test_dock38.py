"""A whole run with DOCK 3.8's stand-in: bundles go in, energies come out."""

import gzip
import re
import sys

from tests.embedded.run_support import ROOT, world
from tests.worker.dock38.bundles import bundle

STAND_IN = ROOT / "tests" / "worker" / "dock38" / "stand_in.py"
INDOCK = """DOCK 3.8 parameter
ligand_atom_file              split_database_index
output_file_prefix            test.
receptor_sphere_file          ../dockfiles/matching_spheres.sph
"""


def poses_in(packed):
    """The names of the poses of a file."""
    return re.findall(r"^#{10} +Name: +(\S+)$", gzip.decompress(packed).decode(), re.MULTILINE)


def test_a_run_of_bundles(tmp_path):
    with world(tmp_path) as stack:
        interpreter = f"#!{sys.executable} -IS\n".encode()
        stack.put("dock/files/INDOCK", INDOCK.encode())
        stack.put("dock/files/matching_spheres.sph", b"spheres")
        dock64 = stack.put("dock/dock64", interpreter + STAND_IN.read_bytes())
        whole = bundle("ZINC01", "left-0000000000000002", "FAIL", "ZINC04")
        stack.put("dock/in/a.db2.tgz", whole)
        stack.put("dock/in/b.db2.tgz", bundle("right-0000000000000002", "TWO"))
        stack.put("dock/in/c.db2.tgz", whole[: len(whole) // 2])
        request = stack.request(
            "dock",
            tool="dock38",
            dockfiles=f"s3://{stack.data}/dock/files/",
            assets={"dockexec": dock64},
        )
        request |= {"options": {}, "keep_top": 4}
        outcome = stack.finish(stack.upload("dock.json", request))
        assert outcome.status == "SUCCEEDED", outcome.described
        assert outcome.counts() == (2, 1, 0, 0)
        best = [row["id"] for row in outcome.top]
        everything = {"ZINC01", "left-0000000000000002", "ZINC04", "right-0000000000000002", "TWO"}
        assert len(set(best)) == 4
        assert set(best) < everything
        assert poses_in(stack.get("dock/out/results/poses.mol2.gz")) == [
            name for name in best for _ in range(2 if name == "TWO" else 1)
        ]
        (failure,) = outcome.failures
        assert failure["class"] == "bad_input"
        assert "cut" in failure["reason"]
