"""decide() and the transitions of a shard's document, driven at random by many at once.

Looks, claims, submissions and records of several actors are interleaved one step at a time; any of
them may die between steps. Jobs end, are reclaimed or vanish; the owner dies, stops, starts again.
"""

from dataclasses import dataclass, field, fields
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from drydock.decision import (
    ABORTED,
    STOPPED,
    SUPERSEDED,
    Answer,
    CloseRound,
    EndJob,
    EnterEpoch,
    Facts,
    JobView,
    Leave,
    Limits,
    SubmitRound,
    TakeOverClaim,
    WaitUntil,
    decide,
    needs_job,
)
from drydock.run_document import Epoch, RunDocument, Stop, open_epoch, put_stop
from drydock.shard_document import (
    Ended,
    Round,
    ShardDocument,
    ask_to_end,
    claim_round,
    close_round,
    end,
    enter_epoch,
    parse_shard_document,
    record_job,
    renew_claim,
)

INPUTS, LEASE_S, MAX_ROUNDS = 3, 180.0, 3
MEMORY, MAX_MEMORY = 2000, 16_000
CLASSES = ["interrupted", "unknown", "timeout", "out_of_memory", "terminated", "aborted"]


@dataclass
class Job:
    name: int
    epoch: int
    places: tuple[int, ...]
    state: str = "active"
    failures: dict[str, int] = field(default_factory=dict)
    withheld: tuple[tuple[int, int], ...] = ()
    reason: str | None = None

    def view(self):
        more = {"failures": self.failures, "withheld": self.withheld}
        return JobView(self.state, self.reason, **(more if self.state == "ended" else {}))


@dataclass
class Actor:
    """Somebody who holds a claim: it checks the owner, submits, records."""

    version: int
    unique: str
    step: str = "check"
    job: Job | None = None


def epoch(number):
    request = {"max_rounds": MAX_ROUNDS, "resources": {"memory_mib": MEMORY}}
    return Epoch(number, f"owner-{number}", 0.0, request, "image", "def")


def vars_of(decision):
    return {each.name: getattr(decision, each.name) for each in fields(decision)}


class Shard(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.run = RunDocument("r", "b", "p/", {}, (epoch(1),))
        self.document = ShardDocument(0, INPUTS, 1)
        self.version = 0
        self.running = True
        self.now = 0.0
        self.jobs: list[Job] = []
        self.actors: list[Actor] = []
        self.settled: set[int] = set()
        self.parts = 0
        self.count = 0

    # -- what is done to the document, by compare-and-swap

    def swap(self, document):
        assert parse_shard_document(document.to_json()) == document
        self.document, self.version = document, self.version + 1

    def current_job(self):
        current = self.document.current
        return next((job for job in self.jobs if str(id(job)) == current.job_id), None)

    def facts(self):
        remaining = tuple(place for place in range(INPUTS) if place not in self.settled)
        return Facts(len(self.settled), self.parts, remaining)

    def decision(self):
        job = None
        if needs_job(self.document):
            found = self.current_job()
            job = JobView("gone") if found is None else found.view()
        return decide(
            self.run,
            self.document,
            owner_running=self.running,
            job=job,
            facts=self.facts(),
            now=self.now,
            limits=Limits(60.0, MAX_MEMORY),
        )

    def look(self):
        """One look and its effect; what it came to."""
        found = self.decision()
        document = self.document
        match found:
            case Answer(ending):
                self.answer(ending)
            case EnterEpoch():
                self.swap(enter_epoch(document, self.run.epoch))
            case CloseRound():
                self.swap(close_round(document, now=self.now, **vars_of(found)))
            case EndJob(job_id, now):
                self.end_job(job_id, now)
            case SubmitRound():
                self.claim(found)
            case TakeOverClaim(claimed):
                self.take_over(claimed)
            case WaitUntil(time):
                assert time > self.now
                assert time - self.now <= 900.0
            case Leave():
                pass
        return found

    def answer(self, ending):
        if ending == "complete":
            assert not self.facts().remaining
        elif ending == "stopped":
            assert self.run.active_stop is not None
        elif ending == "terminated":
            assert set(self.facts().remaining) <= self.withheld()
        else:
            patient = self.document.barren >= MAX_ROUNDS
            assert patient or self.document.barren_rounds[0].failures
        if self.document.ended is None:
            self.swap(end(self.document, ending))
        assert self.document.ended == Ended(self.run.epoch, ending)

    def end_job(self, job_id, now):
        job = self.current_job()
        assert (str(id(job)), job.state) == (job_id, "active")
        assert self.run.active_stop.now or not now
        assert self.document.current.ending in (None, "cancelled")
        if now:
            self.terminate(job, STOPPED)
        self.swap(ask_to_end(self.document, "terminated" if now else "cancelled"))

    def withheld(self):
        return {place for first, last in self.document.withheld for place in range(first, last + 1)}

    def claim(self, wanted):
        number, places = wanted.number, wanted.places
        assert self.running
        assert self.run.active_stop is None
        assert self.document.epoch == self.run.epoch
        assert places
        assert set(places) == set(self.facts().remaining) - self.withheld()
        last = self.document.current
        if last is not None and last.epoch == self.run.epoch and last.progress is False:
            only_memory = set(last.failures) == {"out_of_memory"}
            assert not (only_memory and last.memory_mib == wanted.memory_mib)
            assert set(last.failures) != {"timeout"}
        assert self.document.current is None or self.document.current.state == "ended"
        assert number == len(self.document.rounds)
        self.count += 1
        claimed = Round(
            number=number,
            epoch=self.run.epoch,
            unique=str(self.count),
            size=len(places),
            jobs=len(places),
            queue=wanted.queue,
            memory_mib=wanted.memory_mib,
            state="claimed",
            lease_until=self.now + LEASE_S,
            claimed_at=self.now,
            settled_before=len(self.settled),
            parts_before=self.parts,
        )
        self.swap(claim_round(self.document, claimed))
        self.actors.append(Actor(self.version, claimed.unique))

    def take_over(self, claimed):
        assert self.now >= claimed.lease_until or claimed.epoch < self.run.epoch
        self.swap(renew_claim(self.document, self.now + LEASE_S))
        found = [job for job in self.jobs if job.name == claimed.number]
        if found:
            self.swap(record_job(self.document, str(id(found[0]))))
        elif claimed.epoch != self.run.epoch:
            self.drop()
        else:
            self.actors.append(Actor(self.version, claimed.unique))

    def drop(self):
        self.swap(close_round(self.document, now=self.now, progress=None, delay_s=0, reason="no"))

    # -- rules

    @rule()
    def somebody_looks(self):
        self.look()

    @precondition(lambda self: self.actors)
    @rule(data=st.data())
    def an_actor_goes_on(self, data):
        self.step(data.draw(st.sampled_from(self.actors)))

    def step(self, actor):
        if actor.step == "check":
            claimed = next(r for r in self.document.rounds if r.unique == actor.unique)
            if self.running and self.run.active_stop is None and claimed.epoch == self.run.epoch:
                actor.step = "submit"
            else:
                self.actors.remove(actor)
                if self.version == actor.version:
                    self.drop()
        elif actor.step == "submit":
            claimed = next(r for r in self.document.rounds if r.unique == actor.unique)
            actor.job = Job(claimed.number, claimed.epoch, self.facts().remaining)
            self.jobs.append(actor.job)
            actor.step = "record"
        else:
            self.actors.remove(actor)
            current = self.document.current
            if current.unique == actor.unique and current.state == "claimed":
                self.swap(record_job(self.document, str(id(actor.job))))
            elif current.job_id != str(id(actor.job)):
                self.terminate(actor.job, SUPERSEDED)

    @precondition(lambda self: self.actors)
    @rule(data=st.data())
    def an_actor_dies(self, data):
        self.actors.remove(data.draw(st.sampled_from(self.actors)))

    @precondition(lambda self: self.live())
    @rule(
        data=st.data(),
        reason=st.sampled_from([None, "Array Child Job failed", ABORTED]),
        failures=st.dictionaries(st.sampled_from(CLASSES), st.just(1), max_size=2),
    )
    def a_job_ends(self, data, reason, failures):
        job = data.draw(st.sampled_from(self.live()))
        job.state, job.reason, job.failures = "ended", reason, failures
        if "terminated" in failures and job.places and job.epoch == self.document.epoch:
            place = data.draw(st.sampled_from(job.places))
            job.withheld = ((place, place),)

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def a_job_settles_an_input(self, data):
        job = data.draw(st.sampled_from(self.live()))
        if job.places:
            self.settled.add(data.draw(st.sampled_from(job.places)))

    @precondition(lambda self: self.live())
    @rule()
    def a_job_leaves_a_part(self):
        self.parts += 1

    @rule(seconds=st.sampled_from([1.0, 60.0, 200.0, 1000.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.running)
    @rule(now=st.booleans())
    def the_user_stops(self, now):
        self.run = put_stop(self.run, Stop(self.run.epoch, "user", "enough", now))

    @rule()
    def the_owner_dies(self):
        self.running = False
        for job in self.live():
            self.terminate(job, ABORTED)

    @rule()
    def the_owner_dies_unseen(self):
        self.running = False

    @precondition(lambda self: not self.running)
    @rule()
    def the_next_epoch_opens(self):
        self.run = open_epoch(self.run, epoch(self.run.epoch + 1), [])
        self.running = True

    @rule()
    def the_sweep_comes(self):
        current = self.document.current
        for job in self.live():
            is_recorded = str(id(job)) in {each.job_id for each in self.document.rounds}
            is_claimed = current is not None and current.state == "claimed"
            if not self.running:
                self.terminate(job, ABORTED)
            elif not is_recorded and not (is_claimed and current.number == job.name):
                self.terminate(job, SUPERSEDED)

    def live(self):
        return [job for job in self.jobs if job.state == "active"]

    def terminate(self, job, reason):
        if job.state == "active":
            job.state, job.reason = "ended", reason

    # -- what holds at any moment

    @invariant()
    def there_is_one_round_at_a_time(self):
        going_on = [each for each in self.document.rounds if each.state != "ended"]
        assert len(going_on) <= 1
        assert going_on == [] or going_on[0] is self.document.current

    @invariant()
    def rounds_are_numbered_through_and_have_a_job_each(self):
        rounds = self.document.rounds
        assert [each.number for each in rounds] == list(range(len(rounds)))
        jobs = [each.job_id for each in rounds if each.job_id]
        assert len(set(jobs)) == len(jobs)

    @invariant()
    def barren_rounds_are_capped(self):
        """Those that wanted memory alone come on top: it is doubled three times here."""
        assert self.document.barren <= MAX_ROUNDS + 3

    @invariant()
    def memory_grows_and_on_demand_stays_within_an_epoch(self):
        for before, after in pairwise(self.document.rounds_of_epoch):
            assert MEMORY <= before.memory_mib <= after.memory_mib <= MAX_MEMORY
            assert before.queue == "spot" or after.queue == "on-demand"

    @invariant()
    def one_recorded_job_goes_on_at_a_time(self):
        recorded = {each.job_id for each in self.document.rounds}
        assert sum(1 for job in self.live() if str(id(job)) in recorded) <= 1

    def teardown(self):
        """Whatever has happened: with a running owner and no stop the shard comes to its end.

        In every other case its jobs do nothing from now on.
        """
        is_stuck = self.version % 2 == 1
        self.actors.clear()
        if not self.running or self.run.active_stop is not None:
            self.running = False
            self.the_next_epoch_opens()
        for _ in range(60):
            for actor in list(self.actors):
                self.step(actor)
            found = self.look()
            if isinstance(found, Answer):
                left = set(self.facts().remaining)
                held = bool(left) and left <= self.withheld()
                expected = "terminated" if held else "exhausted" if left else "complete"
                assert found == Answer(expected) or self.document.ended is not None
                break
            if isinstance(found, WaitUntil):
                self.now = found.time
            if isinstance(found, Leave):
                job = self.current_job()
                assert job is not None
                assert job.state == "active"
                self.settled |= set() if is_stuck else set(job.places)
                job.state = "ended"
        else:
            raise AssertionError(f"no end: {self.document}")
        self.the_sweep_comes()
        assert self.live() == []


Shard.TestCase.settings = settings(
    settings.get_profile("drydock"), max_examples=120, stateful_step_count=40
)
TestShard = Shard.TestCase
