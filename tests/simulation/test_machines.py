from collections.abc import Iterator

import pytest

from tests.simulation.account import ON_DEMAND
from tests.simulation.containers import simulated
from tests.simulation.rounds import Scripted, settled, stack_with, statuses, submit
from tests.simulation.toy import Planted, joined


@pytest.fixture(autouse=True)
def containers() -> Iterator[None]:
    with simulated():
        yield


def told(stack, who: str) -> list[str]:
    return [noted.what for noted in stack.kernel.story if noted.who.startswith(who)]


def test_a_notice_lets_the_worker_keep_what_it_has():
    chooser = Scripted(reclaim=1)
    chooser.between = lambda what, low, high: 1.0 if what.endswith("lives") else low
    stack = stack_with(Planted(units=20, seconds=20), chooser=chooser)
    job = submit(stack, 1)
    stack.kernel.run()
    first, second = stack.batch.jobs[job].attempts
    assert (first["container"]["exitCode"], second["container"]["exitCode"]) == (1, 0)
    (summary,) = settled(stack)
    assert [part.part for part in summary.chain] == [0, 1]
    assert joined(stack.services().store, summary) == list(range(1, 21))


def test_a_container_whose_host_is_believed_lost_may_finish_after_its_replacement():
    chooser = Scripted(reclaim_without_notice=1, stale_container=1)
    chooser.between = lambda what, low, high: high if what.endswith("runs on") else low
    stack = stack_with(Planted(units=3, seconds=100), chooser=chooser)
    job = submit(stack, 1)
    stack.kernel.run()
    assert statuses(stack, job) == ["SUCCEEDED"]
    codes = [a["container"].get("exitCode") for a in stack.batch.jobs[job].attempts]
    assert codes == [None, 0]
    ends = [told(stack, f"container {job} attempt {number}")[-1] for number in (1, 2)]
    assert ends == ["says end: exit_code 0"] * 2
    # Both did all of the work; one marker speaks.
    (summary,) = settled(stack)
    assert joined(stack.services().store, summary) == [1, 2, 3]


def test_machines_are_given_back_and_on_demand_ones_are_never_taken():
    stack = stack_with(Planted(), chooser=Scripted(reclaim=99, reclaim_without_notice=99))
    job = submit(stack, 1, queue_arn=ON_DEMAND)
    stack.kernel.run()
    fleet = stack.batch.fleets["on-demand"]
    assert statuses(stack, job) == ["SUCCEEDED"]
    assert (fleet.booted, fleet.reclaims, fleet.machines) == (1, 0, {})


def test_children_wait_while_there_is_no_capacity():
    stack = stack_with(Planted(), chooser=Scripted(no_capacity=2))
    began = stack.kernel.now
    job = submit(stack, 1)
    stack.kernel.run(until=began + 100)
    assert statuses(stack, job) == ["RUNNABLE"]
    stack.kernel.run()
    assert statuses(stack, job) == ["SUCCEEDED"]


def test_there_are_never_more_machines_than_the_fleet_has():
    stack = stack_with(*(Planted(salt=f"{n}") for n in range(30)))
    most = 0
    job = submit(stack, 30)
    while statuses(stack, job).count("SUCCEEDED") < 30:
        stack.kernel.run(until=stack.kernel.now + 5)
        stack.kernel.now += 5
        most = max(most, statuses(stack, job).count("RUNNING"))
    assert most == 12


def test_a_machine_with_a_notice_is_replaced_although_the_fleet_is_full():
    stack = stack_with(*(Planted(units=20, salt=f"{n}") for n in range(12)))
    job = submit(stack, 12)
    stack.kernel.run(until=stack.kernel.now + 100)
    fleet = stack.batch.fleets["spot"]
    for machine in list(fleet.machines):
        fleet.reclaim(machine)
    stack.kernel.run()
    assert statuses(stack, job) == ["SUCCEEDED"] * 12
    assert (fleet.reclaims, fleet.machines) == (3, {})
