"""How a round's job failed, child by child: asked of AWS Batch when the job did not succeed.

A job that succeeded costs no question; 10,000 children that failed cost ten.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from drydock.detection import run_keys
from drydock.ends import ends_of, is_terminated_by_a_user
from drydock.errors import Malformed, NotFound
from drydock.failures import MISCONFIGURATION
from drydock.job_views import FailedChild, JobView
from drydock.keys import ControlKeys
from drydock.run_document import RunDocument
from drydock.services import Services
from drydock.shard_document import Round, join_ranges
from drydock.tasks import Record, offsets_range, parse_offsets, parse_records

_SENTENCE_BYTES = 2000
_MAX_ASKED = 20


def with_failures(
    services: Services,
    run: RunDocument,
    shard: int,
    ended: Round,
    view: JobView,
    remaining: Sequence[int],
) -> JobView:
    """The view of a job that has ended, with how its children failed and what a user withheld.

    ``remaining`` are the shard's places that are not settled: who terminated a whole job means
    all of them.
    """
    if view.state != "ended" or not view.has_failed or ended.job_id is None:
        return view
    if ended.jobs > 1:
        ends = ends_of(_with_who_ended(services, ended.job_id))
    else:
        own = FailedChild(0, view.reason, is_terminated=view.is_terminated)
        ends = ends_of([own], view.last)
    withheld: tuple[tuple[int, int], ...] = ()
    if ended.epoch == run.epoch:
        if is_users_end(view):
            withheld = join_ranges((place, place) for place in remaining)
        elif ends.terminated:
            places = _places_of(services, run, shard, ended, ends.terminated)
            withheld = join_ranges((place, place) for place in places)
    return replace(view, failures=ends.failures, texts=ends.texts, withheld=withheld)


def _with_who_ended(services: Services, job_id: str) -> list[FailedChild]:
    """The children that failed. Where their list leaves open whether somebody ended them, as that
    of an older SDK does, one is asked about for each text that could be a user's.
    """
    children = list(services.jobs.failed_children(job_id))
    doubtful = {
        child.status_reason: child.index
        for child in children
        if child.is_terminated is None
        and is_terminated_by_a_user(child.status_reason, None, is_terminated=None)
    }
    some = islice(doubtful.items(), _MAX_ASKED)
    told = {text: services.jobs.view(f"{job_id}:{index}").is_terminated for text, index in some}
    return [
        replace(child, is_terminated=told[child.status_reason])
        if child.is_terminated is None and child.status_reason in told
        else child
        for child in children
    ]


def is_users_end(view: JobView) -> bool:
    """Whether a job as a whole was ended by somebody who is not drydock."""
    last = None if view.last is None else view.last.status_reason
    return view.has_failed and is_terminated_by_a_user(
        view.reason, last, is_terminated=view.is_terminated
    )


def another_image(run: RunDocument, submitted: Round, view: JobView) -> str | None:
    """What to tell of a job that runs another image than its epoch has; None where it does not."""
    (wanted,) = (each.image for each in run.epochs if each.epoch == submitted.epoch)
    if view.image is None or view.image == wanted:
        return None
    return (
        f"AWS Batch runs the image {view.image} and not {wanted}, which the run was started with: "
        f"see who changed the job definition {submitted.job_definition_arn}"
    )


def has_grown(run: RunDocument, submitted: Round) -> bool:
    """Whether a round has more memory than its request asks for: it is no request's fault then."""
    return submitted.memory_mib > int(run.current.request["resources"]["memory_mib"])


def _places_of(
    services: Services, run: RunDocument, shard: int, ended: Round, children: Sequence[int]
) -> list[int]:
    """The places that children of a round of this epoch had: two ranged GETs of its task list."""
    pack = int(run.current.request["inputs_per_job"])
    first = children[0] * pack
    records = _records(services, run, shard, ended, first, (children[-1] + 1) * pack - first)
    wanted = set(children)
    return [
        record.place
        for number, record in enumerate(records, start=first)
        if number // pack in wanted
    ]


def _records(
    services: Services, run: RunDocument, shard: int, ended: Round, first: int, count: int
) -> list[Record]:
    store, bucket = services.store, services.settings.control_bucket
    key = ControlKeys(run.run_id).round_tasks(shard, ended.number, ended.unique)
    start, end = offsets_range(first, min(count, ended.size - first))
    offsets = parse_offsets(store.get(bucket, key, first_byte=start, last_byte=end).body)
    found = store.get(bucket, key, first_byte=offsets[0], last_byte=offsets[-1] - 1)
    return parse_records(found.body)


def what_to_change(
    services: Services, run: RunDocument, shard: int, number: int, failure_class: str, told: str
) -> str:
    """What to change, of a failure that stops the run: the worker's own sentence when it left one
    for its round ``number``, else what is ``told`` of the failure.
    """
    told = told.replace("<image>", run.current.image)
    if failure_class != MISCONFIGURATION:
        return told
    key = run_keys(run).misconfigured(shard, number)
    try:
        body = services.store.get(run.output_bucket, key, last_byte=_SENTENCE_BYTES).body
    except (NotFound, Malformed):
        return told
    return body.decode(errors="replace").strip() or told
