"""A whole run of simulations, one of which is killed: what is joined is what was never killed."""

import runpy

from tests.embedded.run_support import ROOT, until, world
from tests.worker.openmm import argon
from tests.worker.openmm.reading import of_parts, read_dcd, read_log

STEPS = 6000
OPTIONS = {
    "steps": STEPS,
    "temperature_k": 120,
    "report_steps": 1,
    "trajectory_steps": 500,
    "platform": "Reference",
}


def test_a_run_of_simulations_one_of_which_is_killed(tmp_path):
    with world(tmp_path) as stack:
        for name in ("a", "b"):
            stack.put(f"md/in/{name}.pdb", argon.structure())
        request = stack.request(
            "md",
            tool="openmm",
            assets={"system": stack.put("md/system.xml", argon.system())},
            checkpoint_seconds=1,
        )
        execution = stack.upload("md.json", request | {"options": OPTIONS})
        child = stack.running(execution, 0)
        until(lambda: any("/00000." in key for key in stack.part_records(execution)), "a part")
        stack.kill(child)
        outcome = stack.finish(execution)
        assert outcome.status == "SUCCEEDED", outcome.described
        assert outcome.counts() == (2, 0, 0, 0)
        assert [child.index for child in outcome.children if child.interrupted] == [0]
        chains = [found[0].chain for _, found in sorted(stack.summaries(execution).items())]
        killed, other = (of_parts(stack.store, stack.data, chain) for chain in chains)
        assert killed.log_steps == list(range(1, STEPS + 1))
        assert killed.frame_steps == list(range(500, STEPS + 1, 500))
        assert killed == other

        join = runpy.run_path(str(ROOT / "examples" / "openmm" / "join.py"))["join"]
        join(tmp_path / "s3" / stack.data / "md" / "out", tmp_path / "joined")
        folder = tmp_path / "joined" / "0"
        assert read_log((folder / "log.csv").read_bytes()) == (killed.log_steps, killed.log)
        frames = read_dcd((folder / "trajectory.dcd").read_bytes())
        assert frames == (killed.frame_steps, killed.frames)
        assert (folder / "final.pdb").read_bytes().startswith(b"REMARK")
