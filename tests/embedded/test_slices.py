"""A whole run over slices of big files: every molecule once, whatever was killed."""

import pytest

from tests.embedded.run_support import QUICK, bundle, world

NAMES = ("aspirin", "caffeine", "ibuprofen", "paracetamol", "nsc00002", "nsc00005", "nsc00007")
SMILES = {"ethanol": "CCO", "benzene": "c1ccccc1", "acetone": "CC(C)=O"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with world(tmp_path_factory.mktemp("slices")) as made:
        yield made


def test_every_molecule_is_docked_once_though_a_slice_is_killed(stack):
    files = {"a": bundle(*NAMES[:5]), "b": bundle(*NAMES[5:])}
    for stem, body in files.items():
        stack.put(f"cut/in/{stem}.pdbqt", body)
    stack.put("cut/in/c.smi", "".join(f"{s} {n}\n" for n, s in SMILES.items()).encode())
    slow = {"max_evals": 20_000}
    execution = stack.upload(
        "cut.json", stack.request("cut", options=QUICK | slow, records_per_input=2)
    )
    stack.kill(stack.running(execution, 1))
    outcome = stack.finish(execution)
    assert outcome.status == "SUCCEEDED", outcome.described
    # Two, two and one of the first file, two of the second, two and one of the third.
    assert outcome.counts() == (6, 0, 0, 0)
    assert sorted(row["id"] for row in outcome.top) == sorted((*NAMES, *SMILES))
    summaries = stack.summaries(execution)
    assert [summaries[index][0].molecules for index in range(6)] == [2, 2, 1, 2, 2, 1]
    assert next(child for child in outcome.children if child.index == 1).interrupted

    table = stack.get("cut/out/manifest/000000.tsv").decode().splitlines()
    slices = [line.split("\t") for line in table]
    for stem, body in files.items():
        uri = f"s3://{stack.data}/cut/in/{stem}.pdbqt"
        cut = [body[int(first) : int(last) + 1] for name, first, last in slices if name == uri]
        assert b"".join(cut) == body


def test_a_command_gets_the_slices_of_a_fastq(stack):
    reads = "".join(f"@read{n}\nACGT{'A' * n}\n+\nIIII{'I' * n}\n" for n in range(8)).encode()
    uri = stack.put("reads.fastq", reads)
    request = stack.request("reads", input=uri, records_per_input=3, tool="command", assets={})
    options = {"command": ["cat", "{input}"], "stdout": "{stem}.fastq"}
    outcome = stack.finish(stack.upload("reads.json", request | {"options": options}))
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (3, 0, 0, 0)
    cut = []
    for _, (summary,) in sorted(stack.summaries(outcome.execution).items()):
        outputs = [output for part in summary.chain for output in part.outputs]
        (found,) = [output for output in outputs if output.key.endswith(".fastq")]
        cut.append((found.key.rpartition("/")[2], stack.get(found.key)))
    assert b"".join(body for _, body in cut) == reads
    assert [body.count(b"@read") for _, body in cut] == [3, 3, 2]
    begins = [0, len(cut[0][1]), len(cut[0][1] + cut[1][1])]
    assert [name for name, _ in cut] == [f"reads@{first}.fastq" for first in begins]
