"""How a job ended, from all that AWS Batch says of it: its own reason, its attempts, its children.

``Array Child Job failed`` says nothing: the children are asked. A termination overwrites a job's
reason, so that of its last attempt is believed first.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from drydock.failures import POLICIES, TERMINATED, Verdict, classify
from drydock.job_views import AttemptView, FailedChild

OURS = "drydock: "
MAX_TEXT_CHARS = 300
# Classes that their name does not explain, or that somebody has to mend.
_TOLD_POLICIES = ("few_times", "never", "stop_run")
# What Batch itself writes as a job's reason
# (https://docs.aws.amazon.com/batch/latest/userguide/troubleshooting.html); whatever else stands
# there is the text of a call.
_BATCH_ITSELF = (
    "Array Child Job failed*",
    "Dependent Job failed*",
    "Essential container in task exited*",
    "Host EC2*",
    "Your Spot Task was interrupted*",
    "Task failed to start*",
    "Task stopped during instance draining*",
    "Job attempt duration exceeded timeout*",
    "Canceled by JobStateTimeLimit*",
    "Container Overrides length*",
    "Job Queue is attached*",
    "JobQueue*deleted*",
    "JobQueue*not found*",
    "Job definition*does not exist*",
    "Job definition*deregistered*",
    "MISCONFIGURATION:*",
    "ACTION_REQUIRED*",
    "CAPACITY:*",
    "UNDETERMINED*",
    "Cannot*Error*",
    "DockerTimeoutError*",
    "OutOfMemoryError*",
    "ResourceInitializationError*",
    "Fetching secret data*",
)


@dataclass(frozen=True, slots=True)
class Ends:
    """How the children of a job failed: how many by class, a sample of the texts of some classes,
    and the numbers of those that a user terminated.
    """

    failures: dict[str, int]
    texts: dict[str, str]
    terminated: tuple[int, ...]


def verdict_of(child: FailedChild, last: AttemptView | None = None) -> Verdict:
    """What a job's failure means; ``last`` is its last attempt, where that is known."""
    if _is_terminated_by_a_user(child, last):
        return TERMINATED
    if last is None:
        return classify(child.status_reason, child.container_reason, child.exit_code)
    container_reason = last.container_reason or child.container_reason
    exit_code = child.exit_code if last.exit_code is None else last.exit_code
    return classify(last.status_reason or child.status_reason, container_reason, exit_code)


def is_terminated_by_a_user(
    reason: str | None, last_reason: str | None, *, is_terminated: bool | None
) -> bool:
    """Whether somebody who is not drydock ended a job: its reason is nobody's else.

    Where Batch says whether a job was terminated that decides between a text of a call and one
    that Batch did not have so far.
    """
    if not reason or reason == last_reason or is_terminated is False:
        return False
    is_known = reason.startswith(OURS) or any(
        fnmatchcase(reason.lower(), pattern.lower()) for pattern in _BATCH_ITSELF
    )
    return not is_known


def _is_terminated_by_a_user(child: FailedChild, last: AttemptView | None) -> bool:
    last_reason = None if last is None else last.status_reason
    return is_terminated_by_a_user(
        child.status_reason, last_reason, is_terminated=child.is_terminated
    )


def ends_of(children: Iterable[FailedChild], last: AttemptView | None = None) -> Ends:
    """Sum up how children failed; ``last`` is the last attempt of a plain job."""
    failures: Counter[str] = Counter()
    texts: dict[str, str] = {}
    terminated: list[int] = []
    for child in children:
        verdict = verdict_of(child, last)
        failure_class = verdict.failure_class
        failures[failure_class] += 1
        if failure_class == TERMINATED.failure_class:
            terminated.append(child.index)
        if POLICIES[failure_class] in _TOLD_POLICIES and failure_class not in texts:
            texts[failure_class] = told_of(verdict, child, last)
    return Ends(dict(failures), texts, tuple(sorted(terminated)))


def told_of(verdict: Verdict, child: FailedChild, last: AttemptView | None = None) -> str:
    """What to keep of a failure: Batch's text, after what to change where that is known."""
    text = text_of(child, last)
    return f"{verdict.advice} {text}".strip() if verdict.policy == "stop_run" else text


def text_of(child: FailedChild, last: AttemptView | None = None) -> str:
    """What Batch wrote of a failure, shortened: reasons and exit code."""
    said = [child.status_reason, child.container_reason]
    code = child.exit_code
    if last is not None:
        said += [last.status_reason, last.container_reason]
        code = last.exit_code if code is None else code
    if code is not None:
        said.append(f"exit code {code}")
    return "; ".join(dict.fromkeys(text for text in said if text))[:MAX_TEXT_CHARS]
