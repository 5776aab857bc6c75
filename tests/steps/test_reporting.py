"""The page of a run: written after the accounting, the same each time, never in its way."""

import gzip
import json
import re

import pytest

from drydock import reporting
from drydock.errors import StoreUnavailable
from drydock.job_views import AttemptView, FailedChild
from drydock.resubmission import resubmit_interrupted
from drydock.run_document import Stop, put_stop
from drydock.settings import Settings
from tests.report.synthetic import HOSTILE
from tests.steps.merged import merge, settle
from tests.steps.world import CONTROL, DATA

REPORT = "out/results/report.html"
RECLAIM = "Host EC2 (instance i-0) terminated."


@pytest.fixture
def run_id(world):
    world.inputs(10)
    return world.start()


def page(world):
    """The data in the page."""
    text = world.get(DATA, REPORT).decode()
    [block] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(block)


def test_the_page_tells_what_the_accounting_does(world, run_id):
    settle(world, run_id, 0, fail={2: "unreadable"})
    settle(world, run_id, 1)
    settle(world, run_id, 2)
    assert merge(world, run_id)["no_report"] is None
    told, accounting = page(world), world.json(DATA, "out/results/accounting.json")
    assert told["accounts"].items() <= accounting.items()
    assert told["run"]["status"] == "done"
    assert [one["id"] for one in told["best"]] == [f"m{n}" for n in (9, 8, 7, 6, 5, 4, 3, 1, 0)]
    assert told["scores"]["count"] == 9
    [failed] = told["failures"]
    assert (failed["class"], failed["count"]) == ("unreadable", 1)
    assert [example["index"] for example in failed["examples"]] == ["2"]
    assert [lane["shard"] for lane in told["timeline"]["lanes"]] == [0, 1, 2]
    assert told["provenance"]["image"] == world.run(run_id).current.image
    head = world.s3.head_object(Bucket=DATA, Key=REPORT)
    assert head["ContentType"] == "text/html; charset=utf-8"


def test_a_retry_writes_the_same_page(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard)
    merge(world, run_id)
    first = world.get(DATA, REPORT)
    world.time += 3600
    merge(world, run_id)
    assert world.get(DATA, REPORT) == first


def test_interruptions_stand_in_the_timeline_where_batch_tells_when(world, run_id):
    world.submit(run_id, 0, token="token-0")
    (job,) = world.batch.live()
    world.work(job, children=[0, 1])
    job.failed = [FailedChild(index, RECLAIM) for index in (2, 3)]
    taken = AttemptView(RECLAIM, None, None, 1000.0, 1060.0)
    job.attempts = {f"{job.job_id}:{index}": [taken] for index in (2, 3)}
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    (again,) = world.batch.live()
    world.work(again)
    resubmit_interrupted(world.services, world.ended(again))
    known = world.documents.shard(world.run(run_id), 0, 4)
    assert [each.number for each in known.value.rounds] == [0, 1]
    for each in known.value.rounds:
        each.failures.update({"interrupted": 2} if each.number == 0 else {})
    world.documents.replace_shard(run_id, known, known.value)
    world.aggregate(run_id, 0)
    merge(world, run_id)
    lane = page(world)["timeline"]["lanes"][0]
    assert [each["number"] for each in lane["rounds"]] == [0, 1]
    assert lane["interruptions"] == [
        {"class": "interrupted", "seconds": 1.0, "times": [[1060.0, 2]]}
    ]


def test_of_a_shard_whose_item_died_its_rounds_are_told(world, run_id):
    settle(world, run_id, 0)
    world.submit(run_id, 1, token="token-1")
    assert merge(world, run_id)["status"] == "incomplete"
    told = page(world)
    assert told["remaining"]["endings"] == {"unaggregated": 6}
    assert [len(lane["rounds"]) for lane in told["timeline"]["lanes"]] == [1, 1, 0]


def test_a_run_without_inputs_done_has_a_page(world, run_id):
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    merge(world, run_id)
    told = page(world)
    assert (told["run"]["status"], told["run"]["error"]) == ("stopped", "RunStopped")
    assert (told["best"], told["scores"], told["failures"]) == ([], None, [])
    assert told["accounts"]["remaining"] == 10


def test_a_run_in_which_everything_failed_has_a_page(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard, fail=dict.fromkeys(range(10), "bad_input"))
    assert merge(world, run_id)["status"] == "done"
    told = page(world)
    assert (told["accounts"]["failed"], told["best"], told["scores"]) == (10, [], None)
    assert told["failures"][0]["advice"]


def test_the_scores_of_all_turns_are_among_them(world, run_id, monkeypatch):
    monkeypatch.setattr("drydock.aggregation.ROWS_PER_TURN", 1)
    for shard in range(3):
        settle(world, run_id, shard)
    merge(world, run_id)
    assert page(world)["scores"]["count"] == 10
    turns = world.keys(DATA, "out/results/shards/000000/turn-")
    assert len(turns) == 3
    monkeypatch.undo()
    world.executions.running.clear()
    world.start("two", keep_top=2000)
    for shard in range(3):
        world.aggregate(run_id, shard)
    merge(world, run_id)
    assert page(world)["scores"]["count"] == 10
    assert world.keys(DATA, "out/results/shards/000000/turn-") == []


def test_accounts_of_an_earlier_version_leave_out_what_they_do_not_know(world, run_id):
    for shard in range(3):
        settle(world, run_id, shard)
    key = "out/results/shards/000001/accounts.json"
    known = world.json(DATA, key)
    del known["scores"], known["history"]
    world.put(DATA, key, json.dumps(known).encode())
    assert merge(world, run_id)["status"] == "done"
    told = page(world)
    assert (told["scores"]["count"], told["scores"]["untold"]) == (6, 4)
    assert len(told["best"]) == 10


# A worker's texts are Unicode: what is none was replaced when it read it.
NAMES = [text for text in HOSTILE if "\ud800" not in text]


def test_hostile_names_are_told_as_they_are(world, run_id, monkeypatch):
    world.submit(run_id, 2, token="t")
    (job,) = world.batch.live()
    document, records = world.child(job, 0)
    compress = gzip.compress

    def hostile(body, **how):
        row = json.loads(body)
        rows = [row | {"id": text, "smiles": text, "score": -n} for n, text in enumerate(NAMES)]
        return compress("\n".join(map(json.dumps, rows)).encode(), **how)

    with monkeypatch.context() as patch:
        patch.setattr("tests.steps.world.gzip.compress", hostile)
        world.settle(document, records[0])
    world.work(job, children=[1])
    resubmit_interrupted(world.services, world.ended(job))
    world.aggregate(run_id, 2)
    assert merge(world, run_id)["no_report"] is None
    told = page(world)["best"]
    assert set(NAMES) <= {one["smiles"] for one in told}


# -- never in the way


def test_the_accounting_lies_there_before_the_page_is_begun(world, run_id, monkeypatch):
    for shard in range(3):
        settle(world, run_id, shard)
    seen = []

    def broken(_data):
        seen.append(world.json(DATA, "out/results/accounting.json")["done"])
        raise ZeroDivisionError("no <page> today" + 1000 * "!")

    world.put(DATA, REPORT, b"the page of an earlier epoch")
    monkeypatch.setattr(reporting, "report_page", broken)
    answer = merge(world, run_id)
    assert (answer["status"], answer["error"]) == ("done", None)
    assert answer["no_report"].startswith("ZeroDivisionError: no <page> today!!!")
    assert len(answer["no_report"]) <= 500
    assert seen == [10]
    left = world.get(DATA, REPORT).decode()
    assert "ZeroDivisionError: no &lt;page&gt; today!!!" in left
    assert "accounting.json" in left
    assert world.told()[-1][0] == "drydock: a-run done"


def test_the_page_asks_for_no_more_than_the_functions_role_allows(world, run_id, monkeypatch):
    settle(world, run_id, 0)
    monkeypatch.setattr(reporting, "report_page", lambda _data: 1 / 0)
    monkeypatch.setattr(type(world.store), "delete", lambda *_: pytest.fail("it may not delete"))
    assert merge(world, run_id)["no_report"]


def test_a_page_for_which_s3_does_not_answer_is_written_by_the_retry(world, run_id, monkeypatch):
    for shard in range(3):
        settle(world, run_id, shard)

    def unavailable(_data):
        raise StoreUnavailable("not now")

    with monkeypatch.context() as patch:
        patch.setattr(reporting, "report_page", unavailable)
        with pytest.raises(StoreUnavailable):
            merge(world, run_id)
    assert world.json(DATA, "out/results/accounting.json")["done"] == 10
    assert merge(world, run_id)["no_report"] is None
    assert page(world)["accounts"]["done"] == 10


def test_what_the_execution_hears_of_the_page_is_short(world, run_id, monkeypatch):
    monkeypatch.setattr(reporting, "report_page", lambda _data: 1 / 0)
    settle(world, run_id, 0)
    assert len(json.dumps(merge(world, run_id))) < 8192


# -- cost


def test_what_a_pilot_projected_stands_beside_what_the_others_cost(world):
    world.inputs(10)
    run_id = world.start(pilot=2, stop_after_usd=5)
    settle(world, run_id, 0)
    verdict = {"run_id": run_id, "usd": {"low": 1.0, "likely": 2.0, "high": 3.0}}
    world.put(DATA, "out/results/pilot.json", json.dumps(verdict).encode())
    for shard in range(1, 3):
        settle(world, run_id, shard)
    merge(world, run_id)
    cost = page(world)["cost"]
    settings: Settings = world.services.settings
    pilot = cost["pilot"]
    assert (pilot["inputs"], pilot["rest"], pilot["rest_settled"]) == (2, 8, 8)
    assert pilot["projected_usd"] == verdict["usd"]
    hours = cost["seconds"] / 3600 * 0.8
    assert pilot["rest_usd"] == pytest.approx(hours * settings.vcpu_hour_usd)
    assert (cost["budget_usd"], cost["metered_usd"]) == (5, 0.0)
    world.put(DATA, "out/results/pilot.json", b'{"run_id": "of another"}')
    merge(world, run_id)
    assert page(world)["cost"]["pilot"] is None


def test_what_the_meters_say_counts_where_it_is_more(world):
    world.inputs(4)
    run_id = world.start(stop_after_usd=5)
    settle(world, run_id, 0)
    spend = {"meters": {"0": {"vcpu_seconds": 7200.0}}}
    world.put(CONTROL, f"runs/{run_id}/spend.json", json.dumps(spend).encode())
    merge(world, run_id)
    cost = page(world)["cost"]
    assert cost["spent_usd"] == cost["metered_usd"] == 2 * world.services.settings.vcpu_hour_usd
