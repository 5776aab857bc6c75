"""The embedded AWS of a chaos run, in a process of its own that can be killed.

    python -m tests.chaos.owner <settings as JSON>

It says when it is ready, and then does what lines on its standard input ask, one JSON answer a
line. When its input ends, so does it.
"""

import json
import random
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from local.batch.model import ENDED
from local.deploy import EMBEDDED_PARAMETERS, STACK_IMAGE, deploy
from local.embedded import EmbeddedAws
from local.lambda_process import LambdaProcess
from tests.chaos.faults import FaultyDelivery, FaultyService, Weather
from tests.chaos.ghosts import Ghosts
from tests.chaos.story import Story

ROOT = Path(__file__).parents[2]
# Killed within so many seconds of its call: most calls take less.
_HANDLER_KILLED_WITHIN_S = 0.5


@dataclass(frozen=True)
class Settings:
    """What the stack is like, and what happens to its processes; the parts are of processes."""

    directory: str
    story: str
    seed: str
    machines: int = 4
    inputs_per_shard: int = 25
    reconcile_s: int = 20
    lease_s: float = 0.0
    clock_part: float = 0.0
    clock_s: float = 0.0
    disk_part: float = 0.0
    free_bytes: tuple[int, int] = (4_096, 65_536)


class Owner:
    """An embedded AWS with faults in it."""

    def __init__(self, aws: EmbeddedAws, settings: Settings) -> None:
        self._aws = aws
        self._settings = settings
        self._story = Story(Path(settings.story))
        self._random = random.Random(settings.seed)
        self._random_lock = threading.Lock()
        self._weather = Weather()
        self.stack = deploy(
            aws,
            ROOT / "template.yaml",
            {
                **EMBEDDED_PARAMETERS,
                "InputsPerShard": str(settings.inputs_per_shard),
                "ReconcileSeconds": str(settings.reconcile_s),
            },
        )
        for name in ("s3", "batch", "states"):
            self._make_faulty(name)
        aws.bus._deliver = FaultyDelivery(
            aws.bus._deliver, weather=self._weather, seed=settings.seed, story=self._story
        )
        self._make_strange(aws.batch._launcher.processes, self._twists_of_worker)
        self._make_strange(aws.lambdas._warm, self._twists_of_handler)
        self._kill_handlers()
        self._ghosts = Ghosts(aws.batch._scheduler)

    def hello(self) -> dict:
        """What the other side must know."""
        return {
            "endpoint": self._aws.endpoint_url,
            "region": self._aws.region,
            "intake": self.stack.intake_bucket,
            "data": self.stack.data_buckets[0],
            "control": self.stack.control_bucket,
            "machine": self.stack.state_machine_arn,
        }

    def do(self, order: dict) -> object:
        """Carry out an order; its answer."""
        what = order.pop("do")
        return getattr(self, f"do_{what}")(**order)

    def do_weather(self, requests: float, handlers: float, events: float) -> None:
        """From now on those parts are hit."""
        weather = self._weather
        weather.requests, weather.handlers, weather.events = requests, handlers, events

    def do_outage(self, seconds: float) -> None:
        """S3 answers nobody of ours but with 503 for a while."""
        self._weather.out_until = time.monotonic() + seconds

    def do_workers(self) -> list:
        """Attempts that run: their process, and the machine."""
        scheduler = self._aws.batch._scheduler
        with scheduler.lock:
            return [
                {"pid": each.handle.pid, "job": job, "machine": each.machine.id}
                for job, each in scheduler.running.items()
                if each.handle and each.handle.pid and not each.handle.ended.is_set()
            ]

    def do_machines(self) -> list:
        """Machines that have no notice yet."""
        return [each.id for each in self._aws.batch.machines() if each.notice_at is None]

    def do_volumes(self) -> list:
        """Where the scratch folders of the machines there are now lie."""
        return [str(each.directory / each.id) for each in self._aws.batch.machines()]

    def do_active(self) -> list:
        """Jobs that have not ended, arrays by their parents."""
        scheduler = self._aws.batch._scheduler
        with scheduler.lock:
            return sorted(
                job.id
                for job in scheduler.jobs.values()
                if job.parent is None and job.status not in ENDED
            )

    def do_ghost(self, job: str) -> bool:
        """Let Batch lose a job's machine while its container works on."""
        return self._ghosts.make(job)

    def do_ghosts(self) -> int:
        """How many such containers still work."""
        return self._ghosts.alive()

    def do_reclaim(self, machine: str, notice_s: float) -> bool:
        """Take a machine away; False when it went already."""
        try:
            self._aws.batch.reclaim(machine, notice_s)
        except KeyError:
            return False
        return True

    def _make_faulty(self, name: str) -> None:
        services = self._aws.gateway.services
        services[name] = FaultyService(
            name,
            services[name],
            weather=self._weather,
            hits=self._is_ours,
            callers=self._callers,
            seed=self._settings.seed,
            story=self._story,
        )

    def _callers(self) -> list[int]:
        """Processes of workers and handlers that run."""
        handles = [
            handle
            for processes in (self._aws.batch._launcher.processes, self._aws.lambdas._warm)
            for handle, _ in list(processes._handles.values())
        ]
        return [each.pid for each in handles if each.pid]

    @staticmethod
    def _is_ours(access_key: str) -> bool:
        """Whether it is a function's or a job's key: what AWS itself reads does not fail."""
        return "role" in access_key.casefold()

    def _make_strange(self, processes, twists) -> None:
        start = processes.start

        def started(*, argv, env, module=None, **more):
            found = twists(env) if module is not None else {}
            if found:
                found |= {"story": self._settings.story, "seed": self._number()}
                argv = [json.dumps(found), module, *argv]
                module = "tests.chaos.strange"
            return start(argv=argv, env=env, module=module, **more)

        processes.start = started

    def _twists_of_worker(self, env) -> dict:
        settings, twists = self._settings, {}
        if self._chance() < settings.clock_part:
            twists["clock_s"] = settings.clock_s
        if self._chance() < settings.disk_part and self._weather.requests and "SHRTCACHE" in env:
            twists["disk"] = env["SHRTCACHE"]
            twists["free_bytes"] = self._number(*settings.free_bytes)
        return twists | ({"name": env["AWS_BATCH_JOB_ID"]} if twists else {})

    def _twists_of_handler(self, env) -> dict:
        settings, twists = self._settings, {}
        if settings.lease_s:
            twists["lease_s"] = settings.lease_s
        if self._chance() < settings.clock_part:
            twists["clock_s"] = settings.clock_s
        return twists | ({"name": env["AWS_LAMBDA_FUNCTION_NAME"]} if twists else {})

    def _kill_handlers(self) -> None:
        """Let some calls end by SIGKILL of their process, at any moment of them."""
        plain, owner = LambdaProcess.call, self

        def call(process, call, timeout_s):
            if owner._chance() >= owner._weather.handlers:
                return plain(process, call, timeout_s)
            after_s = owner._chance() * _HANDLER_KILLED_WITHIN_S
            ended = threading.Event()

            def kill():
                if not ended.is_set():
                    owner._story.tell("handler", "SIGKILL", pid=process._handle.pid)
                    process._handle.kill()

            timer = threading.Timer(after_s, kill)
            timer.daemon = True
            timer.start()
            try:
                return plain(process, call, timeout_s)
            finally:
                ended.set()
                timer.cancel()

        LambdaProcess.call = call

    def _chance(self) -> float:
        with self._random_lock:
            return self._random.random()

    def _number(self, least: int = 0, most: int = 2**32) -> int:
        with self._random_lock:
            return self._random.randint(least, most)


def start_settings(settings: Settings) -> str:
    """The command line's argument."""
    return json.dumps(asdict(settings))


def main() -> None:
    settings = Settings(**json.loads(sys.argv[1]))
    with EmbeddedAws(
        Path(settings.directory), machines=settings.machines, vcpus=1, stack_image=STACK_IMAGE
    ) as aws:
        owner = Owner(aws, settings)
        _say(owner.hello())
        for line in sys.stdin:
            _say(owner.do(json.loads(line)))


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
