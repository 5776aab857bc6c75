"""What the tests of MergeResults do to a world."""

from drydock.merging import merge_results
from drydock.resubmission import resubmit_interrupted


def settle(world, run_id, shard, **how):
    """Work through a shard and aggregate it."""
    world.submit(run_id, shard, token=f"token-{shard}")
    (job,) = world.batch.live()
    world.work(job, **how)
    resubmit_interrupted(world.services, world.ended(job))
    return world.aggregate(run_id, shard)


def merge(world, run_id):
    return merge_results(world.services, run_id, world.owner(run_id))
