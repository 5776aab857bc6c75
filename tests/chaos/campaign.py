"""A quiet run and a stormy one over the same inputs, and what has to be so afterwards."""

import json
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.chaos import workload
from tests.chaos.comparison import differences, picture, problems_of_accounts
from tests.chaos.monkey import Monkey
from tests.chaos.owner import Settings
from tests.chaos.stack import ROOT, ChaosStack
from tests.chaos.story import Story
from worker.scratch import Scratch

_LOOK_S = 0.25
_SAY_S = 10.0
# Batch gives what it terminates 30 seconds to end.
_SWEPT_S = 45.0
_LAID_S = 90.0
_START_S = 60.0
# How long after the storm the runs may take to their end, beside its length and its clocks.
_PATIENCE_S = 300.0
_INPUTS_PER_JOB = {"quiet": 10, "stormy": 3}
_ABORTED_A_TURN = 0.015
# How a function's log names the error that ended a call, and the names that are meant to.
_ERROR = re.compile(r"^\[ERROR\] ([A-Za-z.]+):", re.MULTILINE)
_NAMED = {"Conflict", "StoreUnavailable", "ServiceUnavailable", "RunSuperseded"}
# Likewise for executions; the last is what this file stops them with.
_ENDED = {"RunIncomplete", "Conflict", "StoreUnavailable", "ServiceUnavailable", "Chaos"}
# A start under a calm sky: the first may still meet what the storm left, a later one must do.
_CALM_STARTS = 3


@dataclass(frozen=True)
class Plan:
    """What a campaign is to do; the seed decides all that is random."""

    directory: Path
    seed: str
    inputs: int
    seconds: float
    deaths: int
    # So many workers are killed at least, however slow the machine and long the storm.
    kills: int = 3
    # The parts hit of requests of workers and handlers, of handlers' calls, of events.
    requests: float = 0.05
    handlers: float = 0.1
    events: float = 0.25
    machines: int = 4
    # By so much clocks jump: what a process whose clock is ahead puts off waits as long.
    clock_s: float = 300.0


@dataclass
class Report:
    """What came of it: problems are invariants that broke."""

    problems: list[str] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)
    pictures: dict[str, dict] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


class Campaign:
    """One run of the plan. `say` is told of progress."""

    def __init__(self, plan: Plan, say=lambda text: None) -> None:
        self.plan = plan
        self._say = say
        plan.directory.mkdir(parents=True, exist_ok=True)
        self.story = Story(plan.directory / "story.jsonl")
        self.report = Report()
        self._random = random.Random(f"{plan.seed} campaign")
        self._stack: ChaosStack | None = None
        self._generation = 0
        # Under the calm sky after the storm: how often a request may still be started again.
        self._starts_left: dict[str, int] | None = None

    def run(self) -> Report:
        """Do it all; afterwards nothing of it runs."""
        try:
            quiet = self._run("quiet", self._wait_quietly)
            stormy = self._run("stormy", self._weather_the_storm)
        finally:
            if self._stack is not None:
                self._stack.close()
        self.report.pictures = {"quiet": quiet, "stormy": stormy}
        for name, expected in self.work.expected.items():
            for kind, pictures in self.report.pictures.items():
                found = problems_of_accounts(pictures[name], expected)
                self.report.problems += [f"{kind} {name}: {each}" for each in found]
            self.report.problems += [
                f"stormy {name}: {each}" for each in differences(quiet[name], stormy[name])
            ]
        return self.report

    def _run(self, kind: str, finish) -> dict[str, dict]:
        began = time.monotonic()
        self._kind, self._settings = kind, self._settings_of(kind)
        self._start_stack()
        self.work = workload.make(
            lambda key, body: self._stack.store.put(self._stack.data, key, body),
            self._stack.data,
            inputs=self.plan.inputs,
            seed=self.plan.seed,
            pace_s=self._pace_s(kind),
            inputs_per_job=_INPUTS_PER_JOB[kind],
        )
        self._running = {name: self._upload(name) for name in self.work.requests}
        finish()
        self.report.seconds[kind] = time.monotonic() - began
        self._check_jobs(kind)
        self._lay_ghosts(kind)
        self._check_scratch(kind)
        self._check_errors(kind)
        found = {
            name: picture(self._stack.store, request)
            for name, request in self.work.requests.items()
        }
        left = self._stack.close()
        if left:
            self.report.problems.append(f"{kind}: processes {left} are left")
        return found

    def _pace_s(self, kind: str) -> float:
        """Seconds a step, so that the stormy run lasts about as long as the storm."""
        plan = self.plan
        steps = plan.inputs * workload.STEPS * 0.75
        return 0.0 if kind == "quiet" else 0.25 * plan.seconds * plan.machines / steps

    # -- the two kinds of waiting

    def _wait_quietly(self) -> None:
        began = said = time.monotonic()
        deadline = began + self.plan.seconds + 2 * self.plan.clock_s + _PATIENCE_S
        while self._running:
            self._look()
            self._expect_time(deadline)
            if time.monotonic() - said >= _SAY_S:
                said = time.monotonic()
                self._progress(said - began)
            time.sleep(_LOOK_S)

    def _weather_the_storm(self) -> None:
        plan, began = self.plan, time.monotonic()
        monkey = Monkey(plan.seed, self.story)
        deaths = self._moments_of_death()
        self._begin_storm()
        while self._running:
            now_s = time.monotonic() - began
            if now_s >= plan.seconds and monkey.kills >= plan.kills:
                break
            if deaths and now_s >= deaths[0]:
                deaths.pop(0)
                self._die_and_go_on()
                monkey.forget()
            monkey.act(self._stack, now_s)
            if self._random.random() < _ABORTED_A_TURN and self._running:
                self._abort(self._random.choice(sorted(self._running)))
            self._look()
            self._progress(now_s)
            time.sleep(monkey.pause_s())
        monkey.rest()
        self._stack.ask("weather", requests=0.0, handlers=0.0, events=0.0)
        self._stack.ask("outage", seconds=0.0)
        self.story.tell("campaign", "calm", after_s=round(time.monotonic() - began, 1))
        self.report.seconds["storm"] = time.monotonic() - began
        self._starts_left = dict.fromkeys(self._running, _CALM_STARTS)
        self._wait_quietly()

    def _moments_of_death(self) -> list[float]:
        """When the embedded AWS itself is killed: once in each equal part of the storm."""
        plan = self.plan
        part = plan.seconds / max(1, plan.deaths)
        return [part * (number + self._random.uniform(0.2, 0.8)) for number in range(plan.deaths)]

    def _die_and_go_on(self) -> None:
        self.story.tell("campaign", "SIGKILL of the embedded AWS")
        left = self._stack.kill()
        if left:
            self.report.problems.append(f"processes {left} outlived the embedded AWS")
        self._start_stack()
        self._begin_storm()
        for name in self._running:
            self.report.starts.append(f"{name}: died with the embedded AWS")
        self._running = {name: self._upload(name) for name in self._running}

    def _begin_storm(self) -> None:
        plan = self.plan
        self._stack.ask(
            "weather", requests=plan.requests, handlers=plan.handlers, events=plan.events
        )

    # -- executions

    def _start_stack(self) -> None:
        self._generation += 1
        seed = f"{self.plan.seed} {self._kind} {self._generation}"
        mark = f"{self.plan.directory}:{self.plan.seed}"
        self._stack = ChaosStack(replace(self._settings, seed=seed), mark)

    def _upload(self, name: str) -> str:
        """Start a request, as a user does; the execution's ARN."""
        stack = self._stack
        before = self._executions()
        body = json.dumps(self.work.requests[name]).encode()
        stack.store.put(stack.intake, f"{name}.json", body)
        self.story.tell("campaign", "start", request=name)
        deadline = time.monotonic() + _START_S
        while not (new := self._executions() - before):
            self._expect_time(deadline)
            time.sleep(_LOOK_S / 5)
        return new.pop()

    def _abort(self, name: str) -> None:
        """Stop an execution as its user may, whatever it is doing; it is started again then."""
        self.story.tell("campaign", "StopExecution", request=name)
        self._stack.states.stop_execution(executionArn=self._running[name], error="Chaos")

    def _executions(self) -> set[str]:
        page = self._stack.states.list_executions(stateMachineArn=self._stack.machine_arn)
        return {each["executionArn"] for each in page["executions"]}

    def _look(self) -> None:
        """See which executions have ended; start again what did not come to its end."""
        for name, arn in list(self._running.items()):
            described = self._stack.states.describe_execution(executionArn=arn)
            if described["status"] == "RUNNING":
                continue
            if other := _duplicate_of(described):
                self._running[name] = other
                continue
            error, cause = described.get("error"), str(described.get("cause"))[:300]
            ended = described["status"] + (f" {error}: {cause}" if error else "")
            self.story.tell("campaign", "end", request=name, ended=ended)
            self.report.starts.append(f"{name}: {ended}")
            if error and error not in _ENDED:
                self.report.problems.append(f"an execution of {name} {ended}")
            if described["status"] == "SUCCEEDED":
                del self._running[name]
            else:
                self._again(name, ended)

    def _again(self, name: str, ended: str) -> None:
        if self._starts_left is not None:
            self._starts_left[name] -= 1
            if self._starts_left[name] < 0:
                raise AssertionError(f"{name} does not come to its end under a calm sky: {ended}")
        elif self._kind == "quiet":
            raise AssertionError(f"the quiet run of {name} failed: {ended}")
        self._running[name] = self._upload(name)

    def _expect_time(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise AssertionError(f"{self._running} should have ended by now: no progress")

    # -- afterwards

    def _check_jobs(self, kind: str) -> None:
        """A job that a dead handler submitted and nobody knows of is the sweep's: it ends them."""
        leaked = self._stack.ask("active")
        if not leaked:
            return
        self.story.tell("campaign", "leaked job", count=len(leaked), jobs=leaked)
        sweep = (ROOT / "events" / "stop_run.sweep.json").read_bytes()
        self._stack.client("lambda").invoke(FunctionName="drydock-stop-run", Payload=sweep)
        deadline = time.monotonic() + _SWEPT_S
        while left := self._stack.ask("active"):
            if time.monotonic() > deadline:
                self.report.problems.append(f"{kind}: jobs {left} are left after the sweep")
                return
            time.sleep(_LOOK_S)

    def _lay_ghosts(self, kind: str) -> None:
        """Whatever Batch has lost ends by itself."""
        deadline = time.monotonic() + 2 * self.plan.clock_s + _LAID_S
        while left := self._stack.ask("ghosts"):
            if time.monotonic() > deadline:
                self.report.problems.append(f"{kind}: {left} lost containers do not end")
                return
            time.sleep(_LOOK_S)

    def _check_scratch(self, kind: str) -> None:
        """What killed attempts left the next one removes: then nothing is there."""
        for volume in self._stack.ask("volumes"):
            for base in sorted(Path(volume).glob("*")):
                with Scratch(base):
                    pass
                if found := sorted(path.name for path in base.iterdir()):
                    self.report.problems.append(f"{kind}: scratch is left in {base}: {found}")

    def _check_errors(self, kind: str) -> None:
        """Functions may fail, but by names that the state machine knows what to do about."""
        for log in sorted(Path(self._settings.directory).glob("logs/*.log")):
            told = _ERROR.findall(log.read_text(errors="replace"))
            for error, count in Counter(told).items():
                self.story.tell(log.stem, error, count=count)
                if error not in _NAMED:
                    self.report.problems.append(f"{kind}: {log.stem} failed with {error}, {log}")

    def _progress(self, now_s: float) -> None:
        settled = sum(
            1
            for name in self.work.requests
            for _ in Path(self._settings.directory).glob(f"s3/*/{name}/out/markers/*/*/*.*")
        )
        done = self.story.counts()
        kills = sum(count for (_, what), count in done.items() if "SIGKILL" in what)
        kind = "quiet" if self._kind == "quiet" or self._starts_left is not None else "storm"
        self._say(
            f"{kind} {now_s:5.0f} s  {settled} markers, {kills} kills, {sum(done.values())} events"
        )

    def _settings_of(self, kind: str) -> Settings:
        plan = self.plan
        calm = Settings(
            directory=str(plan.directory / kind),
            story=str(self.story.path),
            seed=plan.seed,
            machines=plan.machines,
            inputs_per_shard=max(8, plan.inputs // 12),
        )
        if kind == "quiet":
            return calm
        return replace(
            calm, reconcile_s=10, lease_s=8.0, clock_part=0.3, clock_s=plan.clock_s, disk_part=0.06
        )


def _duplicate_of(described: dict) -> str | None:
    """The execution that does the work of one whose upload was delivered twice."""
    return json.loads(described.get("output") or "{}").get("duplicate_of")
