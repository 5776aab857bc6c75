"""A large run that never ran: its shards as AggregateShard would have told of them."""

import random

from drydock.accounting import Accounts, verdict
from drydock.digest import Digest, Examples
from drydock.effort import Effort
from drydock.histogram import histogram_of
from drydock.ledger import Ledger
from drydock.report_data import Facts, page_data
from drydock.run_document import Epoch, RunDocument
from drydock.shard_document import Round
from drydock.tables import FAILURE_COLUMNS, csv_bytes, ranked_row
from drydock.task_document import PinnedAsset, PinnedObject
from drydock.timeline import history_of

BEGAN = 1_790_000_000.0
SMILES = (
    "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1",
    "CNC(=O)c1cc(Oc2ccc(NC(=O)Nc3ccc(Cl)c(C(F)(F)F)c3)cc2)ccn1",
    "C#Cc1cccc(Nc2ncnc3cc(OCCOC)c(OCCOC)cc23)c1",
    "COc1cc2ncnc(Nc3ccc(F)c(Cl)c3)c2cc1OCCCN1CCOCC1",
    "Cc1nc(Nc2ncc(C(=O)Nc3c(C)cccc3Cl)s2)cc(N2CCN(CCO)CC2)n1",
    "CC(C)Cc1ccc([C@H](C)C(=O)O)cc1",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "CN1C=NC2=C1C(=O)N(C)C(=O)N2C",
    "[O-][N+](=O)c1ccc(Br)c(I)c1OP(=O)(O)O",
    "C1CC2CCC1CC2NC(=O)c1cc2ccccc2[nH]1",
)
REQUEST = {
    "name": "zinc22-H25-d4",
    "input": "s3://lab/input/",
    "output": "s3://lab/out/d4/",
    "tool": "vina",
    "options": {"center": [12.8, 95.1, 58.6], "size": [18, 20, 22], "exhaustiveness": 8, "seed": 1},
    "dockfiles": None,
    "assets": {"receptor": "s3://lab/d4/receptor.pdbqt"},
    "environment": {"OMP_NUM_THREADS": "1"},
    "secrets": {},
    "image": "123456789012.dkr.ecr.us-west-2.amazonaws.com/lab/vina:3",
    "resources": {"vcpus": 1, "memory_mib": 2000, "gpus": 0, "shm_mib": 64},
    "inputs_per_job": 10,
    "attempt_seconds": 14400,
    "max_rounds": 8,
    "stop_after_usd": 250,
    "pilot": 20,
    "keep_top": 1000,
    "retry_failed": [],
    "tags": {"grant": "R35"},
}


def a_run(epochs=2, **changes):
    """The document of the run."""
    image = "123456789012.dkr.ecr.us-west-2.amazonaws.com/lab/vina@sha256:" + "5ab1" * 16
    return RunDocument(
        run_id="00aa11bb22cc33dd",
        output_bucket="lab",
        output_prefix="out/d4/",
        identity={},
        epochs=tuple(
            Epoch(
                epoch=number,
                owner=f"arn:aws:states:us-west-2:123456789012:execution:drydock-run:e{number}",
                started_at=BEGAN - 60 + 86_400 * (number - 1),
                request=REQUEST | {"stop_after_usd": 150 + 100 * number} | changes,
                image=image,
                job_definition_arn="arn",
            )
            for number in range(1, epochs + 1)
        ),
        pilot=20,
    )


def a_round(chance, shard, number, began, seconds, epoch=1, **changes):
    values = {
        "number": number,
        "epoch": epoch,
        "unique": "u",
        "size": 1000,
        "jobs": 1000,
        "queue": "on-demand" if number > 1 else "spot",
        "state": "ended",
        "lease_until": 0.0,
        "claimed_at": began,
        "settled_before": 0,
        "parts_before": 0,
        "job_id": f"job-{shard}-{number}",
        "ended_at": began + seconds,
        "failures": {"interrupted": chance.randrange(20)} if number == 0 else {},
    }
    return Round(**(values | changes))


def shard_history(chance, shard, began):
    rounds, at = [], began
    for number in range(chance.choice([1, 1, 2, 3])):
        took = chance.uniform(2000, 9000) / (1 + 2 * number)
        rounds.append(a_round(chance, shard, number, at, took))
        at += took + 90
    last = rounds[-1].ended_at
    moments = [
        (name, chance.uniform(began, last))
        for name, most in (("interrupted", 60), ("again", 25), ("out_of_memory", 4))
        for _ in range(chance.randrange(most))
    ]
    return history_of(rounds, moments), moments, len(rounds)


def shard_accounts(chance, inputs, rounds, moments, remaining=0):
    failed = inputs // 400
    skipped = inputs // 1000
    interruptions = {}
    for name, _ in moments:
        interruptions[name] = interruptions.get(name, 0) + 1
    effort = Effort(
        rounds=rounds,
        jobs=inputs // 10,
        on_demand_jobs=30 if rounds > 2 else 0,
        attempts=inputs // 10 + len(moments),
        interruptions=interruptions,
        lost_seconds=90.0 * len(moments),
    )
    return Accounts(
        inputs=inputs,
        done=inputs - failed - skipped - remaining,
        failed=failed,
        skipped=skipped,
        remaining=remaining,
        molecules=inputs - failed - skipped - remaining,
        failed_molecules=inputs // 500,
        parts=inputs,
        seconds=inputs * 8.25,
        failures={"bad_input": failed - failed // 3, "tool_failed": failed // 3} if failed else {},
        effort=effort,
        ending="exhausted" if remaining else None,
        texts={"unknown": "CannotDoThat: the machine said no"} if remaining else {},
    )


def best_molecules(names=None, smiles=SMILES):
    found = []
    for rank in range(1000):
        row = {
            "id": names[rank % len(names)] if names else f"ZINC{31_000_000 + 7919 * rank:012d}",
            "score": round(-13.4 + 0.002 * rank, 3),
            "input": f"s3://lab/input/H25-{rank % 97:03d}.smi",
            "index": 31 * rank,
        }
        if smiles:
            row["smiles"] = smiles[rank % len(smiles)]
        found.append(ranked_row(row))
    return found


def failed_examples(reasons=("PDBQT parsing error: unknown atom type", "killed by SIGSEGV")):
    examples = Examples()
    rows = [
        [
            n,
            f"s3://lab/input/H25-{n}.smi",
            ("bad_input", "tool_failed")[n % 2],
            reasons[n % 2],
            "",
            1,
            "drydock/default/0123abcd",
        ]
        for n in range(12)
    ]
    examples.look({"bad_input": 6, "tool_failed": 6}, csv_bytes(FAILURE_COLUMNS, rows))
    return examples


HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- <script>",
    "]]>\u2028\u2029'\"\\",
    "javascript:alert(1)",
    "${alert(1)}`$$name",
    "\x00\x1b[31m\ud800",
    "__proto__",
)


def hostile_page():
    """A page of a run whose names, SMILES, reasons and values all mean harm."""
    data = a_page(
        shards=3, inputs=100, names=HOSTILE, smiles=HOSTILE, tags={HOSTILE[0]: HOSTILE[1]}
    )
    examples = failed_examples(reasons=HOSTILE[:2])
    data["failures"] = [
        {
            "class": text,
            "count": 1,
            "meaning": text,
            "advice": text,
            "examples": examples.found["bad_input"],
        }
        for text in HOSTILE
    ]
    data["interruptions"] = [{"class": text, "count": 1, "advice": text} for text in HOSTILE]
    data["accounts"]["interruptions"] = dict.fromkeys(HOSTILE, 1)
    data["remaining"] = {"endings": {HOSTILE[0]: 1}, "texts": {text: text for text in HOSTILE}}
    data["run"] |= {"cause": HOSTILE[0], "error": HOSTILE[1], "output": HOSTILE[2]}
    data["provenance"] |= {
        "input": HOSTILE[0],
        "image": HOSTILE[1],
        "options": {text: text for text in HOSTILE},
    }
    return data


def a_page(
    shards=100,
    inputs=10_000,
    seed=1,
    remaining=0,
    names=None,
    smiles=SMILES,
    most_scores=None,
    **changes,
):
    """The data of the page of ``shards * inputs`` molecules; of a shard so many scores."""
    chance = random.Random(seed)
    digest = Digest(shards)
    slots = [BEGAN] * 12
    with Ledger() as ledger:
        for shard in range(shards):
            began = min(slots)
            history, moments, rounds = shard_history(chance, shard, began)
            slots[slots.index(began)] = max(span.ended_at for span in history.rounds)
            size = 20 if shard == 0 else inputs
            accounts = shard_accounts(
                chance, size, rounds, moments, remaining if shard == shards - 1 else 0
            )
            scores = histogram_of(
                min(chance.gauss(-7.2, 1.3), chance.expovariate(0.4))
                if chance.random() > 1e-4
                else 40.0
                for _ in range(min(accounts.molecules, most_scores or accounts.molecules))
            )
            ledger.enter(shard, accounts, 1)
            digest.enter(shard, accounts, scores, history)
            if shard == 0:
                digest.pilot = accounts
        accounts = ledger.total
    object_ = PinnedObject(
        "s3://lab/d4/receptor.pdbqt", "0a703d980b79520b240f0af9c6a7d8a0", 216_232
    )
    facts = Facts(
        vcpu_hour_usd=0.0135,
        metered_usd=37.9,
        pilot={
            "usd": {"low": 24.1, "likely": 31.7, "high": 39.2},
            "seconds_per_input": 8.1,
            "stop": None,
        },
        assets={"receptor": PinnedAsset(object_.uri, (object_,))},
    )
    ended = verdict(accounts, None, None)
    run = a_run(**changes)
    return page_data(
        run, ended, accounts, digest, failed_examples(), best_molecules(names, smiles), facts
    )
