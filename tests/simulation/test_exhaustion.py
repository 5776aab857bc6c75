"""Some scenes are searched through without faults, the small ones with one; searches can fail.

`make exhaust` searches all of them with a fault at every effect.
"""

from collections import defaultdict
from unittest import mock

import pytest

from drydock import advancing
from drydock.store import Store
from tests.simulation import lambdas
from tests.simulation.exhaustion import search
from tests.simulation.explorer import Violated, explore, replay
from tests.simulation.sameness import turns_begin_anew
from tests.simulation.scenes import SCENES
from tests.simulation.stage import SceneWorld, crashes_and_lost_answers

BY_NAME = {scene.name: scene for scene in SCENES}
# Scene, faults and how many states there are at least.
LEAST = [
    ("one submission", 1, 60),
    ("sweep beside claim", 1, 150),
    ("two rounds", 0, 150),
    ("two submissions", 0, 120),
    ("expired claim", 1, 120),
    ("expired claim, submitted", 1, 400),
    ("late abort", 1, 400),
    ("stop of a job", 1, 150),
    ("stop beside sweep", 0, 120),
    ("two aggregations", 1, 200),
    ("two ends of an input", 1, 100),
    ("aggregation that voids", 0, 40),
    ("two enumerate", 0, 400),
    ("upload delivered twice", 0, 90),
    ("pilot judged twice", 0, 25),
]


def test_every_scene_has_a_name_of_its_own():
    assert len(BY_NAME) == len(SCENES)


@pytest.mark.parametrize(("name", "faults", "least"), LEAST, ids=str)
def test_all_histories_of_a_scene_hold(name, faults, least):
    # That many states at least: a search that has become empty proves nothing.
    assert search(BY_NAME[name], faults).states >= least


def replaced_whatever_is_there(store, bucket, key, body, etag):
    del etag
    return store.put(bucket, key, body)


def test_without_compare_and_swap_a_round_gets_two_jobs():
    with (
        mock.patch.object(Store, "replace", replaced_whatever_is_there),
        pytest.raises(Violated, match="more than one asked"),
    ):
        search(BY_NAME["two submissions"], 0)


def test_a_token_stored_after_its_shard_was_looked_at_is_found_waiting():
    def submit_shard(services, run_id, shard, owner, token):
        del owner
        made = advancing.advance(services, run_id, shard)
        advancing.store_token(services, run_id, shard, token)
        return type(made).__name__

    with (
        mock.patch.object(advancing, "submit_shard", submit_shard),
        # The functions' modules have imported the right one.
        mock.patch.object(lambdas, "_idle", defaultdict(list)),
        pytest.raises(Violated, match="wait for a shard that has ended"),
    ):
        search(BY_NAME["last event beside timeout"], 0)


def test_a_job_that_is_submitted_unless_it_is_looked_for_first_is_a_second_one():
    def take_over(services, documents, look, claimed):
        del claimed
        advancing._submit(services, documents, look.document, look.run.run_id)

    scene = BY_NAME["expired claim, submitted"]
    buckets = scene.buckets()

    def build(kernel):
        return SceneWorld(kernel, scene, buckets)

    with mock.patch.object(advancing, "_take_over", take_over):
        with pytest.raises(Violated) as found:
            search(scene, 0)
        with pytest.raises(AssertionError, match="more than one asked"), turns_begin_anew():
            replay(build, crashes_and_lost_answers, 0, found.value.script)


def test_turning_back_leaves_no_end_of_a_scene_out():
    scene = BY_NAME["sweep beside claim"]
    buckets = scene.buckets()

    def lost_answers(effect, written):
        # What goes wrong earlier leaves more to come than can be gone through without turning back.
        return crashes_and_lost_answers(effect, written)[:1] if "answer" in effect.name else []

    def ends(*, turns_back):
        found = set()
        states = iter(range(1_000_000))

        class Told(SceneWorld):
            def check(self):
                super().check()
                found.add(SceneWorld.digest(self, ""))

            def digest(self, rest):
                return super().digest(rest) if turns_back else str(next(states))

        with turns_begin_anew():
            explored = explore(lambda kernel: Told(kernel, scene, buckets), lost_answers, 1)
        return found, explored.histories

    (some, few), (all_of_them, many) = ends(turns_back=True), ends(turns_back=False)
    assert some == all_of_them
    assert few < many


def test_a_history_that_was_recalled_replays_to_the_same_end():
    scene = BY_NAME["sweep beside claim"]
    buckets = scene.buckets()
    ends, scripts = [], []

    class Told(SceneWorld):
        def check(self):
            super().check()
            ends.append((self.kernel.now, self.digest("")))

    def build(kernel):
        return Told(kernel, scene, buckets)

    def told(explored, trail):
        if explored.histories > len(scripts):
            scripts.append(trail.script())

    with turns_begin_anew():
        explore(build, crashes_and_lost_answers, 1, told)
        searched = len(ends)
        for script in scripts:
            replay(build, crashes_and_lost_answers, 1, script)
    assert len(scripts) == searched > 50
    assert ends[:searched] == ends[searched:]
