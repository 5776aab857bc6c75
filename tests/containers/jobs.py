"""One shard a tool: long enough to be stopped in the middle, quick enough to be waited for."""

from drydock.task_document import PinnedAsset, PinnedObject
from tests.worker.dock38.bundles import bundle as db2_bundle
from tests.worker.dock38.conftest import indock
from tests.worker.openmm import argon
from tests.worker.openmm.reading import joined
from tests.worker.programs.conftest import ProgramShard
from tests.worker.programs.jobs import STEPS
from tests.worker.support import DATA, OPTIONS, Shard, bundle, ligand
from tests.worker.vina.molecules import SMILES, smi

LIGANDS = ("aspirin", "caffeine", "ibuprofen", "paracetamol")
NUMBERS = "\n".join(str(number * number % 17) for number in range(250)).encode()
# Counts to sixty, with a pause each; what it counts with is in the image alone.
COUNTING = """
set -e
n=$(cat "$CHECKPOINT_DIR/n" 2>/dev/null || echo 0)
while [ "$n" -lt 60 ]; do
    sleep 0.05
    n=$((n + 1))
    echo "$n" > "$CHECKPOINT_DIR/.n"
    mv "$CHECKPOINT_DIR/.n" "$CHECKPOINT_DIR/n"
done
samtools view -c "$INPUT" > "$OUTPUT_DIR/count"
cat "$CHECKPOINT_DIR/n" >> "$OUTPUT_DIR/count"
"""
SAM = b"".join(
    [
        b"@SQ\tSN:one\tLN:1000\n",
        *(b"read%d\t0\tone\t%d\t60\t4M\t*\t0\t0\tACGT\tFFFF\n" % (n, n) for n in range(1, 8)),
    ]
)


def pinned(store, key, body):
    uri, etag = f"s3://{DATA}/{key}", store.put(DATA, key, body)
    return PinnedObject(uri, etag, len(body))


def asset(store, key, body):
    found = pinned(store, key, body)
    return PinnedAsset(found.uri, (found,))


def vina(store, **values):
    return Shard(store, [("in/a.pdbqt", bundle(*map(ligand, LIGANDS * 4)))], **values)


def vina_smi(store, **values):
    molecules = {f"{name}-{copy}": text for copy in range(4) for name, text in SMILES.items()}
    options = OPTIONS | {"max_evals": 20_000}
    return Shard(store, [("in/a.smi", smi(**molecules))], options=options, **values)


def dock38(store, **values):
    names = [f"ZINC{number:02d}" for number in range(16)]
    files = {
        "INDOCK": indock(seconds=0.25).encode(),
        "matching_spheres.sph": b"spheres",
        "vdw.vdw": b"grid",
    }
    objects = tuple(pinned(store, f"dockfiles/{name}", body) for name, body in files.items())
    values |= {"dockfiles": PinnedAsset(f"s3://{DATA}/dockfiles/", objects)}
    inputs = [("in/a.db2.tgz", db2_bundle(*names))]
    return Shard(store, inputs, tool="dock38", options={}, receptor=b"x", **values)


def openmm(store, **values):
    options = {
        "steps": 2500,
        "temperature_k": 120,
        "seed": 7,
        "report_steps": 10,
        "trajectory_steps": 100,
        "platform": "Reference",
    }
    return Shard(
        store,
        [("in/argon.pdb", argon.structure())],
        tool="openmm",
        options=options,
        more_assets={"system": asset(store, "system.xml", argon.system())},
        receptor=b"x",
        **values,
    )


def script(store, **values):
    text = "#!/usr/bin/env python3\n" + STEPS.partition("\n")[2]
    return ProgramShard(
        store,
        [("in/a.txt", NUMBERS)],
        tool="script",
        # A checkpoint every half second; between them it holds still.
        options={"arguments": ["25"]},
        more_assets={"script": asset(store, "jobs/steps.py", text.encode())},
        receptor=b"x",
        **values,
    )


def command(store, **values):
    return ProgramShard(
        store,
        [("in/a.sam", SAM)],
        tool="command",
        options={"command": ["sh", "-c", COUNTING]},
        receptor=b"x",
        **values,
    )


# Of each: the fixture of its image, how its shard is made, what it comes to.
JOBS = {
    "vina": ("worker_image", vina, Shard.results),
    "vina-smi": ("worker_image", vina_smi, Shard.results),
    "dock38": ("dock_image", dock38, Shard.results),
    "openmm": ("worker_image", openmm, joined),
    "script": ("worker_image", script, ProgramShard.results),
    "command": ("samtools_image", command, ProgramShard.results),
}
