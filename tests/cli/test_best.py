"""The best molecules so far: lists of complete shards, markers of the others."""

from cli.best import best_so_far
from tests.steps.merged import settle
from tests.steps.world import DATA


def quiet(read, of):
    """Nobody watches."""


def begun(world, shards):
    run_id = world.start()
    for shard in range(shards):
        world.submit(run_id, shard, f"token {shard}")
    return run_id


def test_of_a_run_without_scores_there_is_none(world, doors):
    world.inputs(2)
    found = best_so_far(doors, begun(world, 1), 10, quiet)
    assert (found.molecules, found.by_input) == ([], 0)


def test_complete_shards_and_others_are_ranked_together(world, doors):
    world.inputs(8)
    run_id = begun(world, 2)
    first, second = world.batch.live()
    world.work(first)
    world.work(second, [0, 1, 2])
    world.batch.end(first.job_id)
    world.submit(run_id, 0, "again")
    world.aggregate(run_id, 0)
    read = []
    found = best_so_far(doors, run_id, 5, lambda *told: read.append(told))
    # The world scores its inputs the lower the higher their number.
    assert [(each.molecule_id, each.index) for each in found.molecules] == [
        ("m6", 6),
        ("m5", 5),
        ("m4", 4),
        ("m3", 3),
        ("m2", 2),
    ]
    assert found.by_input == 3
    assert read == [(1, 2), (2, 2)]


def test_a_marker_that_cannot_be_read_counts_as_nothing(world, doors):
    world.inputs(2)
    run_id = begun(world, 1)
    world.work(world.batch.live()[0])
    marker = next(key for key in world.keys(DATA, "out/markers/") if "00001" in key)
    world.put(DATA, marker, b"{")
    found = best_so_far(doors, run_id, 5, quiet)
    assert [each.molecule_id for each in found.molecules] == ["m0"]


def settled(world, keep_top):
    world.inputs(8)
    run_id = world.start(keep_top=keep_top)
    for shard in (0, 1):
        settle(world, run_id, shard)
    return run_id


def test_no_more_are_ranked_than_the_run_keeps(world, doors):
    found = best_so_far(doors, settled(world, 3), 5, quiet)
    # Of the first shard nobody knows the fourth, which may be better than the second's third.
    assert [each.molecule_id for each in found.molecules] == ["m7", "m6", "m5"]
    assert found.sure == 3


def test_lists_that_are_not_full_are_whole(world, doors):
    found = best_so_far(doors, settled(world, 5), 7, quiet)
    assert len(found.molecules) == 7
    assert found.sure is None


def test_what_an_earlier_start_kept_is_what_counts_of_its_shards(world, doors):
    run_id = settled(world, 3)
    world.executions.running.clear()
    world.start("two", keep_top=1000)
    assert best_so_far(doors, run_id, 5, quiet).sure == 3
