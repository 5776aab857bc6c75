"""A line a sample with the reads that aligned; and beside it, of which image this job is."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path

VERSION = Path("/etc/align-version")


def aligned(bam):
    """How many reads of a BAM file are mapped."""
    words = ["samtools", "view", "--count", "--exclude-flags", "4", bam]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def image():
    """What ECS's agent says of this container, and what is written in the image itself."""
    with urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"]) as answer:
        told = json.load(answer)
    names = ("Image", "ImageID")
    return {name: told[name] for name in names} | {"version": VERSION.read_text().strip()}


with open(snakemake.output.table, "w") as table:
    for sample, bam in zip(snakemake.params.samples, snakemake.input, strict=True):
        print(sample, aligned(bam), sep="\t", file=table)
Path(snakemake.output.image).write_text(json.dumps(image(), indent=2) + "\n")
