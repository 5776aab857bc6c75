"""Whole runs of scripts and commands, machines taken away in their middle."""

import json
import sys

import pytest

from drydock.keys import RunKeys
from tests.embedded.run_support import until, world
from tests.worker.programs.jobs import INPUT, NUMBERS, STEPS

RESULT = {"sum": sum(map(int, NUMBERS)), "done": NUMBERS}
# Slow enough to be met in the middle.
SLOW = STEPS.replace("time.sleep(0.02)", "time.sleep(float(os.environ.get('PACE', '0.02')))")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with world(tmp_path_factory.mktemp("programs")) as made:
        made.script = made.put("jobs/steps.py", SLOW.encode())
        yield made


def request(stack, name, tool, inputs=("a",), **fields):
    """A request of either tool for the same work."""
    for each in inputs:
        stack.put(f"{name}/in/{each}.txt", INPUT)
    options = {"environment": {"PACE": fields.pop("pace", "0.01")}} | fields.pop("options", {})
    assets = {"script": stack.script}
    if tool == "command":
        options["command"] = [sys.executable, "{assets.steps}"]
        assets = {"steps": stack.script}
    return stack.request(name, tool=tool, assets=assets, **fields) | {"options": options}


def results(stack, outcome):
    """By input, what its outputs are by their own names."""
    found = {}
    for index, (summary,) in stack.summaries(outcome.execution).items():
        outputs = [output for part in summary.chain for output in part.outputs]
        found[index] = {
            output.name.removeprefix("output/"): json.loads(stack.get(output.key))
            for output in outputs
            if output.name.startswith("output/")
        }
    return found


@pytest.mark.parametrize("tool", ["script", "command"])
def test_a_run_over_inputs(stack, tool):
    name = f"{tool}-plain"
    outcome = stack.finish(
        stack.upload(f"{name}.json", request(stack, name, tool, ("a", "b", "c")))
    )
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (3, 0, 0, 0)
    assert results(stack, outcome) == {index: {"result.json": RESULT} for index in range(3)}
    folder = RunKeys("", f"{name}/out/").input_folder(0, 1)
    assert json.loads(stack.get(f"{folder}0/result.json")) == RESULT
    assert stack.get(f"{name}/out/results/top.csv") is None


@pytest.mark.parametrize("tool", ["script", "command"])
def test_a_machine_that_is_taken_away_costs_nothing_that_was_kept(stack, tool):
    name = f"{tool}-reclaimed"
    body = request(stack, name, tool, pace="0.4", checkpoint_seconds=1)
    execution = stack.upload(f"{name}.json", body)
    child = stack.running(execution, 0)
    until(lambda: stack.part_records(execution), "a checkpoint")
    stack.aws.batch.reclaim(child.machine, notice_s=5.0)
    outcome = stack.finish(execution)
    assert outcome.status == "SUCCEEDED", outcome.described
    assert results(stack, outcome) == {0: {"result.json": RESULT}}
    (taken,) = outcome.children
    assert [attempt.exit_code for attempt in taken.attempts] == [1, 0]
    ((summary,),) = stack.summaries(execution).values()
    assert len(summary.chain) == len(stack.part_records(execution)) + 1


@pytest.mark.parametrize("tool", ["script", "command"])
def test_a_kill_without_notice_costs_one_period(stack, tool):
    name = f"{tool}-killed"
    body = request(stack, name, tool, pace="0.4", checkpoint_seconds=1)
    execution = stack.upload(f"{name}.json", body)
    child = stack.running(execution, 0)
    until(lambda: stack.part_records(execution), "a checkpoint")
    stack.kill(child)
    outcome = stack.finish(execution)
    assert outcome.status == "SUCCEEDED", outcome.described
    assert results(stack, outcome) == {0: {"result.json": RESULT}}
    ((summary,),) = stack.summaries(execution).values()
    assert len(summary.chain) >= 2


def test_a_program_that_is_not_there_stops_the_run_with_its_sentence(stack):
    stack.put("missing/in/a", b"1")
    body = stack.request("missing", tool="command", assets={})
    body |= {"options": {"command": ["no-such-program", "{input}"]}}
    outcome = stack.finish(stack.upload("missing.json", body))
    assert outcome.status == "FAILED"
    assert outcome.described["error"] == "RunMisconfigured"
    assert "no-such-program is no program in this image" in outcome.described["cause"]


def test_templates_that_are_none_are_refused_before_anything(stack):
    stack.put("bad/in/a", b"1")
    body = stack.request("bad", tool="command", assets={})
    body |= {"options": {"command": ["cp", "{imput}", "{output}"], "outputs": ["/*"]}}
    outcome = stack.finish(stack.upload("bad.json", body))
    assert outcome.status == "FAILED"
    problems = stack.rejection("bad.json")
    assert len(problems) == 2
    assert any(each.startswith("options.outputs.0: '/*' was given") for each in problems)
    assert any(each.startswith("options.command.1: '{imput}' was given") for each in problems)
