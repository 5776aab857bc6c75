"""A whole run with DOCK 3.8's stand-in: bundles go in, energies come out."""

import sys

from tests.embedded.run_support import ROOT, world
from tests.worker.dock38.bundles import bundle

STAND_IN = ROOT / "tests" / "worker" / "dock38" / "stand_in.py"
INDOCK = """DOCK 3.8 parameter
ligand_atom_file              split_database_index
output_file_prefix            test.
receptor_sphere_file          ../dockfiles/matching_spheres.sph
"""


def test_a_run_of_bundles(tmp_path):
    with world(tmp_path) as stack:
        interpreter = f"#!{sys.executable} -IS\n".encode()
        stack.put("dock/files/INDOCK", INDOCK.encode())
        stack.put("dock/files/matching_spheres.sph", b"spheres")
        dock64 = stack.put("dock/dock64", interpreter + STAND_IN.read_bytes())
        whole = bundle("ZINC01", "ZINC02", "FAIL")
        stack.put("dock/in/a.db2.tgz", whole)
        stack.put("dock/in/b.db2.tgz", bundle("ZINC03"))
        stack.put("dock/in/c.db2.tgz", whole[: len(whole) // 2])
        request = stack.request(
            "dock",
            tool="dock38",
            dockfiles=f"s3://{stack.data}/dock/files/",
            assets={"dockexec": dock64},
        )
        outcome = stack.finish(stack.upload("dock.json", request | {"options": {}}))
        assert outcome.status == "SUCCEEDED", outcome.described
        assert outcome.counts() == (2, 1, 0, 0)
        assert sorted(row["id"] for row in outcome.top) == ["ZINC01", "ZINC02", "ZINC03"]
        (failure,) = outcome.failures
        assert failure["class"] == "bad_input"
        assert "cut" in failure["reason"]
