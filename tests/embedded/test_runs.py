"""Whole runs: uploads go in, results come out, whatever is done to the machines in between."""

import json

import pytest

from local.batch.containers import PROGRAMS
from local.deploy import STACK_IMAGE
from local.images import digest_of
from tests.embedded.run_support import world

LIGANDS = ("aspirin", "caffeine", "ibuprofen", "paracetamol")

# An input that is still being docked when something is done to its machine.
LONG = LIGANDS * 10
SLOW = {"max_evals": 40_000}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """One embedded AWS for the runs of this file; each has prefixes of its own."""
    with world(tmp_path_factory.mktemp("aws")) as made:
        yield made


def molecules(outcome):
    """Ids in top.csv, in order."""
    return [row["id"] for row in outcome.top]


def test_a_run_settles_every_input_and_ranks_every_molecule(stack):
    stack.put_ligands("plain", a=("aspirin",), b=("caffeine", "ibuprofen"), c=("paracetamol",))
    outcome = stack.do("plain")
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (3, 0, 0, 0)
    assert outcome.accounts["molecules"] == 4
    assert sorted(molecules(outcome)) == sorted(LIGANDS)
    scores = [float(row["score"]) for row in outcome.top]
    assert scores == sorted(scores)
    assert len({child.job_id.partition(":")[0] for child in outcome.children}) == 1


def test_a_run_of_one_input_is_a_plain_job(stack):
    stack.put_ligands("one", only=("aspirin",))
    outcome = stack.do("one")
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (1, 0, 0, 0)
    assert [":" in child.job_id for child in outcome.children] == [False]


def test_a_list_is_read_with_its_comments_and_a_duplicate_is_skipped(stack):
    stack.put_ligands("listed", a=("aspirin",), b=("caffeine",))
    a, b = (f"s3://{stack.data}/listed/in/{name}.pdbqt" for name in "ab")
    listing = stack.put("listed/list.txt", f"# ours\r\n{a}\r\n\r\n{b}\r\n{a}".encode())
    outcome = stack.do("listed", input=listing)
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (2, 0, 1, 0)
    assert sorted(molecules(outcome)) == ["aspirin", "caffeine"]


def test_a_reclaimed_machine_costs_a_retry_in_the_array_and_no_molecule(stack):
    stack.put_ligands("reclaim", a=LONG, b=("aspirin",), c=("caffeine",))
    execution = stack.upload(
        "reclaim.json",
        stack.request("reclaim", checkpoint_seconds=1, options=SLOW),
    )
    child = stack.running(execution, 0)
    stack.child(execution, lambda c: stack.part_records(execution) != [])
    stack.aws.batch.reclaim(child.machine, notice_s=6)
    outcome = stack.finish(execution)
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (3, 0, 0, 0)
    first = next(c for c in outcome.children if c.index == 0)
    assert len(first.attempts) == 2
    assert {c.round for c in outcome.children} == {0}
    (summary,) = stack.summaries(execution)[0]
    assert len(summary.chain) > 1
    assert summary.molecules == len(LONG)
    assert sorted(molecules(outcome)) == sorted(LIGANDS)
    took = outcome.accounts
    assert (took["rounds"], took["jobs"], took["attempts"], took["at_least"]) == (1, 3, 4, False)
    assert sum(took["interruptions"].values()) == 1
    # The attempt left a part, so not all of it was lost.
    (described,) = stack.batch.describe_jobs(jobs=[first.job_id])["jobs"]
    whole_ms = described["attempts"][0]["stoppedAt"] - described["attempts"][0]["startedAt"]
    assert 0 < took["lost_seconds"] < whole_ms / 1000
    assert took["shards"][0]["interruptions"] == took["interruptions"]
    output = outcome.described["output"]
    assert json.loads(output)["accounting"]["attempts"] == 4
    assert len(output) < 8192


def test_a_killed_worker_goes_on_in_a_new_round_through_eventbridge(stack):
    stack.put_ligands("killed", a=LONG, b=("aspirin",), c=("caffeine",))
    execution = stack.upload(
        "killed.json",
        stack.request("killed", checkpoint_seconds=1, options=SLOW),
    )
    child = stack.running(execution, 0)
    stack.child(execution, lambda c: stack.part_records(execution) != [])
    stack.kill(child)
    outcome = stack.finish(execution)
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (3, 0, 0, 0)
    assert [c.round for c in outcome.children] == [0, 0, 0, 1]
    again = outcome.children[-1]
    assert ":" not in again.job_id
    (summary,) = stack.summaries(execution)[0]
    assert len(summary.chain) > 1
    assert summary.molecules == len(LONG)
    took = outcome.accounts
    assert (took["rounds"], took["jobs"], took["attempts"], took["at_least"]) == (2, 4, 4, False)
    assert took["interruptions"] == {"killed": 1}


def test_children_that_exhaust_their_attempts_need_round_1(stack):
    stack.put_ligands("exhaust", a=LONG, b=("aspirin",), c=("caffeine",))
    execution = stack.upload("exhaust.json", stack.request("exhaust", options=SLOW))
    for attempt in range(3):
        child = stack.child(
            execution,
            lambda c, n=attempt: c.index == 0 and c.status == "RUNNING" and len(c.attempts) == n,
        )
        stack.aws.batch.reclaim(child.machine, notice_s=0)
    outcome = stack.finish(execution)
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (3, 0, 0, 0)
    first = next(c for c in outcome.children if c.index == 0 and c.round == 0)
    assert first.status == "FAILED"
    assert len(first.attempts) == 3
    assert max(c.round for c in outcome.children) == 1
    assert sorted(molecules(outcome)) == sorted(LIGANDS)


def test_inputs_that_cannot_be_read_fail_by_class_and_the_others_are_done(stack):
    stack.put_ligands("unreadable", good=("aspirin",))
    stack.put("unreadable/in/empty.pdbqt", b"")
    stack.put("unreadable/in/garbage.pdbqt", b"this is no ligand\n")
    outcome = stack.do("unreadable")
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (1, 2, 0, 0)
    assert molecules(outcome) == ["aspirin"]
    assert [row["class"] for row in outcome.failures] == ["bad_input", "bad_input"]


def test_an_input_that_vanished_after_listing_fails_and_the_others_are_done(stack):
    stack.put_ligands("vanished", a=("aspirin",), b=("caffeine",))
    gone = f"s3://{stack.data}/vanished/in/gone.pdbqt"
    there = [f"s3://{stack.data}/vanished/in/{name}.pdbqt" for name in "ab"]
    listing = stack.put("vanished/list.txt", "\n".join([*there, gone]).encode())
    outcome = stack.do("vanished", input=listing)
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (2, 1, 0, 0)
    assert [row["class"] for row in outcome.failures] == ["input_missing"]


def test_a_rerun_finds_everything_settled_and_submits_nothing(stack):
    stack.put_ligands("again", a=("aspirin",), b=("caffeine",))
    first = stack.do("again")
    second = stack.do("again")
    assert (first.status, second.status) == ("SUCCEEDED", "SUCCEEDED")
    assert second.accounts["epoch"] == first.accounts["epoch"] + 1
    assert second.counts() == first.counts() == (2, 0, 0, 0)
    assert second.children == ()
    assert second.top == first.top


def test_the_same_upload_event_twice_starts_one_run(stack):
    stack.put_ligands("twice", a=("aspirin",))
    outcome = stack.do("twice")
    before = {found.arn for found in stack.executions()}
    stack.states.start_execution(
        stateMachineArn=stack.stack.state_machine_arn, input=outcome.described["input"]
    )
    (second,) = [found for found in stack.executions() if found.arn not in before]
    stack.finish(second)
    described = second.describe()
    assert described["status"] == "SUCCEEDED"
    assert outcome.execution.arn in described["output"]
    assert second.run() is None


def test_an_output_that_holds_another_run_is_refused_by_name(stack):
    stack.put_ligands("holder", a=("aspirin",))
    stack.put_ligands("intruder", a=("caffeine",))
    stack.do("holder")
    outcome = stack.do("intruder", output=f"s3://{stack.data}/holder/out")
    assert outcome.status == "FAILED"
    assert outcome.described["error"] == "RequestRejected"
    (problem,) = stack.rejection("intruder.json")
    assert "'holder'" in problem


BAD = {
    "no-json.json": (b"{", ["no JSON"]),
    "table.csv": (b"a,b\n", [".json"]),
    "empty.json": (b"{}", ["name", "input", "output", "tool", "options"]),
}


@pytest.mark.parametrize("key", BAD)
def test_what_is_no_request_is_refused_with_all_problems(stack, key):
    body, words = BAD[key]
    outcome = stack.finish(stack.upload(key, body))
    assert outcome.status == "FAILED"
    assert outcome.described["error"] == "RequestRejected"
    problems = "\n".join(stack.rejection(key))
    assert [word for word in words if word not in problems] == []


def test_a_request_is_refused_for_all_that_it_says_wrong_at_once(stack):
    outcome = stack.do("wrong", colour="red", inputs_per_job=0, pilot=-5, image="worker")
    assert outcome.status == "FAILED"
    problems = "\n".join(stack.rejection("wrong.json"))
    for field in ("colour", "inputs_per_job", "pilot", "image"):
        assert field in problems
    assert outcome.children == ()


def test_a_request_is_refused_for_what_only_s3_can_tell(stack):
    assert stack.do("nothing").status == "FAILED"
    assert "nothing/in/" in "\n".join(stack.rejection("nothing.json"))
    assert stack.do("nowhere", input="s3://somebody-elses/in/").status == "FAILED"
    assert "somebody-elses" in "\n".join(stack.rejection("nowhere.json"))


def test_a_list_is_refused_with_the_numbers_of_its_bad_lines(stack):
    listing = stack.put("badlist/list.txt", b"# fine\n\nno uri\ns3://" + b"x/y\n")
    assert stack.do("badlist", input=listing).status == "FAILED"
    problems = "\n".join(stack.rejection("badlist.json"))
    assert "line 3" in problems
    assert "line 4" in problems


WITHOUT_VINA = (
    'import runpy, sys; sys.modules["vina"] = None; runpy.run_module("worker", run_name="__main__")'
)


def test_a_worker_without_vina_stops_the_run_with_one_sentence_and_the_next_start_goes_on(
    stack, monkeypatch
):
    definition = stack.aws.batch._registry._definitions["drydock-worker"][-1]
    container = definition["containerProperties"]
    nowhere = [*container["environment"], {"name": "PATH", "value": "/nowhere"}]
    stack.put_ligands("novina", a=("aspirin",), b=("caffeine",), c=("paracetamol",))
    with monkeypatch.context() as image:
        image.setitem(container, "command", ["python", "-c", WITHOUT_VINA])
        image.setitem(container, "environment", nowhere)
        # A job definition of its own, made from the one that was changed.
        outcome = stack.do("novina", resources={"shm_mib": 65})
    assert outcome.described["error"] == "RunMisconfigured"
    assert outcome.described["cause"].startswith("vina is missing: put a vina program on PATH")
    assert outcome.counts() == (0, 0, 0, 3)
    assert len({child.job_id.partition(":")[0] for child in outcome.children}) == 1
    mended = stack.do("novina")
    assert mended.status == "SUCCEEDED", mended.described
    assert mended.counts() == (3, 0, 0, 0)


def test_an_image_without_the_worker_stops_the_run_with_the_command_that_wraps_it(
    stack, monkeypatch
):
    stack.put_ligands("noworker", a=("aspirin",), b=("caffeine",))
    with monkeypatch.context() as image:
        image.delitem(PROGRAMS, "drydock-worker")
        outcome = stack.do("noworker")
    assert outcome.described["error"] == "RunMisconfigured"
    image = f"{STACK_IMAGE.removesuffix(':current')}@{digest_of(STACK_IMAGE)}"
    assert f"`make image FROM={image}`" in outcome.described["cause"]
    assert outcome.counts() == (0, 0, 0, 2)
