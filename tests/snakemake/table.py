"""What each release of an executor made of what was said: a page's table, from starts of it."""

import re
from dataclasses import dataclass

from tests.snakemake.workflows import LAB, RUNS

BEGIN, END = "<!-- made by make snakemake -->", "<!-- made until here -->"
DEFINITION = f"{LAB}/definition-lab:1"
_WRONG = re.compile(r"^.*(?:Failed to submit AWS Batch job|error): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """What is said, in which start and of which rule, and what is looked at in that rule's job."""

    said: str
    run: str
    rule: str
    looks_at: str
    # Of an image: the one that was asked for.
    wanted: str = ""


ROWS = (
    Row("no image at all", "said nowhere", "plain", "image"),
    Row("`container:` above the rules", "container", "plain", "image", "global"),
    Row("`container:` of a rule", "container", "ruled", "image", "rule"),
    Row(
        "`containerized:`, for the image of `--containerize`",
        *("containerized", "plain", "image", "containerized"),
    ),
    Row(
        "`container:` of a rule, with `--software-deployment-method apptainer`",
        *("apptainer", "ruled", "image", "rule"),
    ),
    Row("`--container-image`", "option", "plain", "image", "option"),
    Row("`--container-image`, and `container:` of a rule", "option", "ruled", "image", "rule"),
    Row("`container-image:` of a profile", "profile", "plain", "image", "profile"),
    Row("`aws_batch_container_image` of a rule", "container", "resourced", "image", "resource"),
    Row(
        "`aws_batch_job_definition` of a rule", "container", "defined", "image", "definition-other"
    ),
    Row("nothing of memory", "said nowhere", "plain", "needs"),
    Row("`threads: 2`, `mem_mb=8192`", "resources", "two", "needs"),
    Row("`mem_mb=5000`", "resources", "odd", "needs"),
    Row("`mem_mb=16384`", "narrow", "narrow", "needs"),
    Row("`threads: 3`, `mem_mb=8192`", "three", "three", "needs"),
    Row("`aws_batch_vcpu=3`, `aws_batch_mem_mb=5000`", "resources", "own", "needs"),
    Row("`gpu=1`", "resources", "gpu", "needs"),
    Row("`aws_batch_gpu=1`", "resources", "own_gpu", "needs"),
    Row("nothing of time", "said nowhere", "plain", "time"),
    Row("`runtime=90` (minutes)", "resources", "runtime", "time"),
    Row("`aws_batch_task_timeout=5400`", "resources", "own_time", "time"),
    Row("`--…-task-timeout 7200`", "timed", "plain", "time"),
    Row("`retries: 1`", "resources", "again", "attempts"),
    Row("`--…-tags team=lab`", "tagged", "plain", "tags"),
    Row('`envvars: "TOKEN"`', "secret", "plain", "environment"),
)


def cell(row, seen):
    """What came of it, in a few words."""
    job = seen.jobs.get(row.rule)
    if job is None:
        return f"refused: {_complaint(seen.said)}"
    return _LOOKS[row.looks_at](row, job)


def _complaint(said):
    """The last thing that Snakemake said that was wrong."""
    return f"*{_WRONG.findall(said)[-1]}*"


def _image(row, job):
    image = job["container"]["image"]
    if row.wanted and image == f"{LAB}/{row.wanted}:1":
        return "honoured"
    name = "the job definition's" if image == DEFINITION else f"`{image.removeprefix(LAB + '/')}`"
    inside = "-method apptainer" in " ".join(job["container"]["command"])
    said = f"ignored: {name}" if row.wanted else name
    return f"{said}; in it Apptainer is called" if inside else said


def _needs(_row, job):
    needs = {each["type"]: each["value"] for each in job["container"]["resourceRequirements"]}
    gpus = f", {needs['GPU']} GPU" if "GPU" in needs else ""
    return f"{needs['VCPU']} vCPU, {needs['MEMORY']} MiB{gpus}"


def _time(_row, job):
    timeout = job.get("timeout", {}).get("attemptDurationSeconds")
    return f"{timeout} s" if timeout else "the job definition's"


def _attempts(_row, job):
    attempts = job["retryStrategy"]["attempts"]
    return "submitted anew by Snakemake" if attempts == 1 else f"{attempts} attempts of Batch's"


def _tags(_row, job):
    return "honoured" if job["tags"].get("team") == "lab" else "ignored"


def _environment(_row, job):
    variables = {each["name"]: each["value"] for each in job["container"]["environment"]}
    where = "job" if job["jobDefinition"].endswith("/lab:1") else "job definition"
    return f"in clear in the {where}" if variables.get("TOKEN") == "a secret" else "not there"


_LOOKS = {
    "image": _image,
    "needs": _needs,
    "time": _time,
    "attempts": _attempts,
    "tags": _tags,
    "environment": _environment,
}


def column(start):
    """The cells of one release, row by row, where `start` starts it as a run of RUNS asks for."""
    seen = {name: start(RUNS[name]) for name in dict.fromkeys(row.run for row in ROWS)}
    return [cell(row, seen[row.run]) for row in ROWS]


def table(columns):
    """Markdown, of columns by the names of releases: what is the same stands once.

    A release that can never be started is a sentence below.
    """
    same = {}
    for name, cells in columns.items():
        same.setdefault(tuple(cells), []).append(name)
    never = {cells: names for cells, names in same.items() if _refuses_all(cells)}
    shown = {", ".join(names): cells for cells, names in same.items() if cells not in never}
    lines = [
        ["what is said", *shown],
        ["---"] * (len(shown) + 1),
        *([row.said, *cells] for row, *cells in zip(ROWS, *shown.values(), strict=True)),
    ]
    below = (
        f"\n{', '.join(names)} cannot be started at all: {cells[0].partition(': ')[2]}\n"
        for cells, names in never.items()
    )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "".join(below)


def _refuses_all(cells):
    return len(set(cells)) == 1 and cells[0].startswith("refused: ")


def written(page):
    """The columns of a page's table, by the names of releases."""
    text = page.partition(BEGIN)[2].partition(END)[0]
    found = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    head, _rule, *rows = found
    return {
        name: [row[place] for row in rows]
        for place, names in enumerate(head)
        if place
        for name in names.split(", ")
    }
