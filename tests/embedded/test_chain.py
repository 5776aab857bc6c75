"""examples/dock_then_md, as a user starts it: real docking, real simulations, one execution."""

import gzip
import io
import json
import subprocess
import sys
import zipfile

import pytest

from drydock.keys import ControlKeys
from local.deploy import deploy
from tests.embedded.run_support import LIMIT_S, QUICK, ROOT, until, world
from tests.worker.openmm.reading import read_log

EXAMPLE = ROOT / "examples" / "dock_then_md"
OUTPUT = "runs/dock-then-md"
STEPS = 200


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with world(tmp_path_factory.mktemp("chain")) as made:
        made.requests = tmp_path_factory.mktemp("requests") / "chain.json"
        made.requests.write_text(json.dumps(quick()))
        yield made


def quick():
    """The example's requests with less to do."""
    requests = json.loads((EXAMPLE / "chain.json").read_bytes())
    requests["dock"]["options"] |= QUICK
    requests["simulate"]["options"] |= {
        "steps": STEPS,
        "report_steps": 50,
        "minimize_iterations": 5,
        "trajectory_steps": 100,
        "platform": "Reference",
    }
    return requests


def start(stack):
    """`python start.py`, which goes on until the chain ends."""
    given = ["--directory", stack.aws.directory, "--requests", stack.requests]
    return subprocess.Popen(
        [sys.executable, EXAMPLE / "start.py", *given], stdout=subprocess.PIPE, text=True
    )


def poses(stack):
    """By name, the heavy atoms' coordinates of the best poses."""
    found = {}
    rows = stack.get(f"{OUTPUT}/dock/results/top.csv").decode().splitlines()[1:]
    text = gzip.decompress(stack.get(f"{OUTPUT}/dock/results/poses.pdbqt.gz")).decode()
    for row, pose in zip(rows, text.split("MODEL 1\n")[1:], strict=True):
        atoms = [line.split() for line in pose.splitlines() if line.startswith("ATOM")]
        found[row.split(",")[1]] = sorted(
            tuple(map(float, atom[5:8])) for atom in atoms if not atom[-1].startswith("H")
        )
    return found


def heavy_atoms(pdb):
    lines = [line for line in pdb.splitlines() if line.startswith("HETATM")]
    return sorted(
        tuple(float(line[at : at + 8]) for at in (30, 38, 46))
        for line in lines
        if line[76:78].strip() != "H"
    )


def results(stack, run):
    return json.loads(stack.get(f"{OUTPUT}/{run}/results/accounting.json"))


def test_a_chain_that_is_stopped_ends_by_that_name_and_goes_on_when_it_is_started_again(stack):
    process = start(stack)
    docking = until(lambda: next(iter(stack.executions()), None), "the docking run")
    assert docking.arn.rpartition(":")[2].startswith("chain-")
    until(lambda: len(docking.look().children) and docking.look().settled, "a docked input")
    stop(stack, docking.run().run_id)
    out, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert "FAILED: RunStopped: user" in out
    assert f"inputs remain) ({docking.arn})" in out
    assert len(stack.executions()) == 1
    settled = results(stack, "dock")["done"]
    assert 0 < settled < 5

    process = start(stack)
    out, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, out
    assert f"simulated: s3://{stack.data}/{OUTPUT}/simulate/results/" in out
    again = stack.executions()[2]
    assert len(again.look().children) == 5 - settled
    counts = {run: results(stack, run) for run in ("dock", "prepare", "simulate")}
    assert [(each["done"], each["remaining"]) for each in counts.values()] == [
        (5, 0),
        (2, 0),
        (2, 0),
    ]


@pytest.fixture
def deployed(stack):
    """Starts what the example's template makes; returns the chain's ARN and the nested run's."""
    parameters = {"DrydockStateMachineArn": stack.stack.state_machine_arn}
    made = deploy(stack.aws, EXAMPLE / "template.yaml", parameters, stack_name="chained")

    def deployed(**dock):
        before = {each.arn for each in stack.executions()}
        requests = quick()
        requests["dock"] |= dock
        arn = made.outputs["ChainArn"]
        chain = stack.states.start_execution(stateMachineArn=arn, input=json.dumps(requests))
        started = until(lambda: {each.arn for each in stack.executions()} - before, "a run")
        return chain["executionArn"], started.pop()

    return deployed


def end_of(stack, execution):
    def ended():
        described = stack.states.describe_execution(executionArn=execution)
        return described["status"] != "RUNNING" and described

    return until(ended, "the chain's end")


def test_a_request_that_is_refused_ends_the_chain_by_that_name(stack, deployed):
    chain, run = deployed(tool="sextant")
    described = end_of(stack, chain)
    assert (described["status"], described["error"]) == ("FAILED", "RequestRejected")
    assert "tool: 'sextant' was given" in described["cause"]
    assert described["cause"].endswith(f" ({run})")


def test_a_run_whose_execution_is_stopped_ends_the_chain(stack, deployed):
    chain, run = deployed(output=f"s3://{stack.data}/runs/aborted/")
    stack.states.stop_execution(executionArn=run)
    described = end_of(stack, chain)
    assert (described["status"], described["error"]) == ("FAILED", "ChainFailed")
    assert '"Status":"ABORTED"' in described["cause"].replace(" ", "")


def stop(stack, run_id):
    """What `drydock stop` and the console do."""
    event = {"run_id": run_id, "reason": "user", "now": True}
    name = stack.stack.outputs["StopRunFunction"]
    client = stack.aws.client("lambda")
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
    assert "FunctionError" not in answer
    assert stack.store.get(stack.stack.control_bucket, ControlKeys(run_id).run_document())


def test_what_was_simulated_are_the_best_molecules_from_their_poses_on(stack):
    docked = poses(stack)
    assert len(docked) == 2
    simulated = stack.get(f"{OUTPUT}/simulate/manifest/000000.txt").decode().split()
    names = [uri.rpartition("/")[2].removesuffix(".zip") for uri in simulated]
    assert names == sorted(docked)
    for place, name in enumerate(names):
        packed = stack.get(f"{OUTPUT}/systems/{name}.zip")
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            assert heavy_atoms(archive.read("ligand.pdb").decode()) == docked[name]
        log = stack.get(f"{OUTPUT}/simulate/shards/000000/{place}/0/log.csv")
        assert read_log(log)[0] == list(range(50, STEPS + 1, 50))
