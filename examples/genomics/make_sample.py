"""Makes the sample: a genome of random bases, and reads of it with a few errors. The seed is fixed.

Where bwa is on PATH the genome's index is made too; aligning needs it.

usage: python make_sample.py [folder]      (writes genome/ and inputs/ there, or beside itself)
"""

import random
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
GENOME_BASES = 20_000
READ_BASES = 100
# Name and number of reads.
SAMPLES = {"tumor": 600, "normal": 400, "saliva": 200}
ERRORS = 0.01
LINE_BASES = 60
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


def write_genome(folder: Path, chance: random.Random) -> str:
    """Write genome.fa; returns its bases."""
    bases = "".join(chance.choices("ACGT", k=GENOME_BASES))
    lines = [bases[at : at + LINE_BASES] for at in range(0, len(bases), LINE_BASES)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "genome.fa").write_text(">chr1 made up\n" + "\n".join(lines) + "\n")
    return bases


def write_reads(path: Path, genome: str, count: int, chance: random.Random) -> None:
    """Write a FASTQ file of reads from anywhere in the genome, of both strands."""
    records = []
    for number in range(count):
        start = chance.randrange(len(genome) - READ_BASES)
        read = genome[start : start + READ_BASES]
        if chance.random() < 0.5:
            read = read[::-1].translate(_COMPLEMENT)
        read = "".join(chance.choice("ACGT") if chance.random() < ERRORS else base for base in read)
        records.append(f"@{path.stem}-{number}\n{read}\n+\n{'I' * READ_BASES}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(records))


def main(target: Path) -> None:
    """Write everything; the same bytes each time."""
    chance = random.Random(20210417)
    genome = write_genome(target / "genome", chance)
    for name, count in SAMPLES.items():
        write_reads(target / "inputs" / f"{name}.fastq", genome, count, chance)
    if bwa := shutil.which("bwa"):
        subprocess.run([bwa, "index", target / "genome" / "genome.fa"], check=True)
    else:
        print("bwa is not on PATH: run 'bwa index genome/genome.fa' before you align")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
