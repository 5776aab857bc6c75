"""SIGKILL to a worker that prepares molecules and docks them, as a process of its own."""

import shutil

import psutil

from tests.worker.support import finish, first_ligand_is_finished, start_worker, until
from tests.worker.vina.molecules import LIBRARY, QUICK, library

INPUT = ("in/library.sdf", library())
SLOW = QUICK | {"max_evals": 60_000}


def test_a_worker_killed_while_it_prepares_and_while_it_docks_goes_on(shard, scratch, endpoint):
    made = shard(INPUT, options=SLOW, checkpoint_seconds=1)
    moments = (
        lambda: list(scratch.glob("drydock-*/*/batch-1/molecules.jsonl")),
        lambda: first_ligand_is_finished(scratch),
        lambda: made.part_records() or None,
    )
    for attempt, moment in enumerate(moments, 1):
        process = start_worker(made, scratch, endpoint, attempt=attempt)
        until(moment)
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
        assert psutil.wait_procs(below, timeout=10)[1] == []
        for left in scratch.glob("drydock-*"):
            if left.name != "drydock-somebody-else":
                shutil.rmtree(left)
    assert finish(start_worker(made, scratch, endpoint, attempt=4))[0] == 0
    assert [row["id"] for row in made.rows()] == list(LIBRARY)
    whole = shard(INPUT, options=SLOW, prefix="whole/")
    assert finish(start_worker(whole, scratch, endpoint))[0] == 0
    assert made.results() == whole.results()
