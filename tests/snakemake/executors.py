"""Snakemake with one release of an executor, on an embedded AWS that has none of its images."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from local.principals import credentials
from tests.snakemake.workflows import LAB

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-snakemake" / "bin" / "python"
BUCKET = "snakemake-executors"


@dataclass(frozen=True)
class Release:
    """A release on PyPI of an executor; `locked` is the one that requirements/snakemake.txt has."""

    executor: str
    version: str
    locked: bool = False

    @property
    def name(self):
        """As the page calls it."""
        return f"{self.executor} {self.version}"

    def fetched(self, folder):
        """Where it is imported from, before what is installed."""
        place = folder / f"{self.executor}-{self.version}"
        if not place.exists():
            package = f"snakemake-executor-plugin-{self.executor}=={self.version}"
            words = ("-m", "pip", "install", "--quiet", "--no-deps", "--target", place, package)
            subprocess.run([PYTHON, *words], check=True)
        return place


RELEASES = (
    Release("aws-batch", "0.2.1", locked=True),
    Release("aws-batch", "0.2.0"),
    Release("aws-batch", "0.1.0"),
    Release("aws-basic-batch", "0.3.3", locked=True),
)


@dataclass
class Seen:
    """What came of a start: the jobs that Batch had, by rule, and what Snakemake said."""

    jobs: dict[str, dict]
    said: str
    calls: set[str] = field(default_factory=set)


class Trial:
    """An embedded AWS with a queue for each start, and Snakemake to be started on it."""

    def __init__(self, aws, folder):
        self._aws = aws
        self._folder = folder
        self._client = aws.client("batch")
        self._queues = 0
        aws.client("s3").create_bucket(Bucket=BUCKET)
        # So that the storage plugin does not find the bucket empty, which it would delete.
        aws.client("s3").put_object(Bucket=BUCKET, Key="kept", Body=b"")
        self._client.create_compute_environment(computeEnvironmentName="all", type="MANAGED")
        for name in ("lab", "other"):
            self._client.register_job_definition(
                jobDefinitionName=name,
                type="container",
                containerProperties={
                    "image": f"{LAB}/definition-{name}:1",
                    "resourceRequirements": [
                        {"type": "VCPU", "value": "1"},
                        {"type": "MEMORY", "value": "3000"},
                    ],
                },
            )

    def start(self, release, run):
        """One start; its jobs fail, for nobody has their images."""
        place = [] if release.locked else [str(release.fetched(self._folder))]
        since = len(self._aws.gateway.calls)
        queue = self._queue()
        work = self._folder / queue
        work.mkdir()
        (work / "Snakefile").write_text(run.snakefile())
        (work / "config.yaml").write_text(f"executor: {release.executor}\n{run.profile}")
        process = subprocess.Popen(
            [PYTHON, "-m", "snakemake", "--profile", ".", *self._words(release, run, queue)],
            cwd=work,
            env={
                "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": os.pathsep.join(place),
                "HOME": str(work),
                "AWS_ENDPOINT_URL": self._aws.endpoint_url,
                "TOKEN": "a secret",
                **credentials("submitter"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = self._end_what_cannot_start(process, queue)
        shutil.rmtree(work)
        calls = [each for each in list(self._aws.gateway.calls)[since:] if each.service == "batch"]
        return Seen(self._jobs(queue), said, {each.operation for each in calls})

    def _end_what_cannot_start(self, process, queue):
        """What Snakemake said; it would wait for a GPU for ever, and there is none here."""
        while True:
            try:
                return process.communicate(timeout=1)[0]
            except subprocess.TimeoutExpired:
                for job in self._listed(queue, "RUNNABLE"):
                    self._client.terminate_job(jobId=job["jobId"], reason="cannot start here")

    def _listed(self, queue, status):
        return self._client.list_jobs(jobQueue=queue, jobStatus=status)["jobSummaryList"]

    def _words(self, release, run, queue):
        prefix, region = f"--{release.executor}", self._aws.region
        yield from ("--jobs", "20", "--keep-going", "--latency-wait", "0")
        yield from ("--default-storage-provider", "s3")
        yield from ("--default-storage-prefix", f"s3://{BUCKET}/{queue}")
        yield from (f"{prefix}-region", region, f"{prefix}-job-queue", queue)
        if release.executor == "aws-batch":
            yield from (f"{prefix}-job-role", "arn:aws:iam::123456789012:role/lab")
        else:
            yield from (f"{prefix}-job-definition", "lab")
        for name, value in run.settings.items():
            yield from (f"{prefix}-{name}", value)
        yield from run.words

    def _queue(self):
        self._queues += 1
        name = f"queue-{self._queues}"
        order = [{"order": 1, "computeEnvironment": "all"}]
        self._client.create_job_queue(jobQueueName=name, priority=1, computeEnvironmentOrder=order)
        return name

    def _jobs(self, queue):
        found = {}
        for status in ("FAILED", "SUCCEEDED"):
            if ids := [each["jobId"] for each in self._listed(queue, status)]:
                for job in self._client.describe_jobs(jobs=ids)["jobs"]:
                    found[job["jobName"].split("-")[1]] = job
        return found
