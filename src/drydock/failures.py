"""Why a container ended, as data and one pure function.

The texts are those that AWS Batch and the ECS agent write
(https://docs.aws.amazon.com/batch/latest/userguide/troubleshooting.html,
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html).
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

EXIT_DONE = 0
EXIT_AGAIN = 1
EXIT_OUT_OF_MEMORY = 71
EXIT_SCRATCH_FULL = 74
EXIT_LATER = 75
EXIT_MISCONFIGURED = 78

# Why we end a job that grew too large for every machine.
TOO_LARGE = "drydock: no machine is large enough"
# The class of a job that no machine can take.
BLOCKED = "blocked"
# The class of what the worker itself found, and left a sentence about.
MISCONFIGURATION = "misconfiguration"

# https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html
_TIME_LIMIT = "Canceled by JobStateTimeLimit action due to reason: "

# `<image>` is put in by who tells people.
NO_WORKER = (
    "The image has no drydock worker: its command drydock-worker cannot be found. Wrap the image "
    "with `make image FROM=<image>`, push what that makes, and give the stack or the request its "
    "name."
)

# again: as long as max_rounds allows. few_times: twice more. with_progress: after a round with
# progress alone. later: we took it away, and go on where a run goes on. never: not in this epoch.
Policy = Literal["again", "few_times", "with_progress", "more_memory", "stop_run", "later", "never"]


class Rule(NamedTuple):
    """A class of failures. All given conditions must hold; patterns are shell globs."""

    failure_class: str
    policy: Policy
    advice: str
    status_reason: str = "*"
    container_reason: str = "*"
    exit_codes: tuple[int, ...] | None = None


class Verdict(NamedTuple):
    """What a container's end means: the class, what to do, and a sentence for people."""

    failure_class: str
    policy: Policy
    advice: str


_UNREADABLE = (
    "A secret cannot be read: check that it exists, the execution role, and the policy of its key."
)
_NOT_NOW = "Secrets, logs or the registry did not answer this time."


def _secret_rules() -> Iterator[Rule]:
    """On EC2 the agent fetches secrets itself; its text is the one reason of a job or the other."""
    fetching = "Fetching secret data*"
    for said in ("AccessDenied", "ResourceNotFound", "invalid parameters", "json key"):
        pattern = f"{fetching}{said}*"
        yield Rule("configuration", "stop_run", _UNREADABLE, status_reason=pattern)
        yield Rule("configuration", "stop_run", _UNREADABLE, container_reason=pattern)
    yield Rule("start", "few_times", _NOT_NOW, status_reason=fetching)
    yield Rule("start", "few_times", _NOT_NOW, container_reason=fetching)


RULES: tuple[Rule, ...] = (
    Rule("interrupted", "again", "The machine was taken away.", status_reason="Host EC2*"),
    Rule(
        "interrupted",
        "again",
        "The machine was taken away.",
        status_reason="Your Spot Task was interrupted*",
    ),
    Rule(
        "interrupted",
        "again",
        "The machine was taken away.",
        status_reason="Task stopped during instance draining*",
    ),
    Rule(
        "derived",
        "again",
        "The job failed because another one did, which says why.",
        status_reason="Array Child Job failed*",
    ),
    Rule(
        "derived",
        "again",
        "The job failed because another one did, which says why.",
        status_reason="Dependent Job failed*",
    ),
    Rule(
        "too_large",
        "with_progress",
        "No machine of the stack has the memory that a child was given after it ran out of it: "
        "lower MaxMemoryMib, or let the stack have larger machines.",
        status_reason=f"{TOO_LARGE}*",
    ),
    Rule(
        "aborted",
        "later",
        "drydock ended the job; starting the same request again goes on.",
        status_reason="drydock: *",
    ),
    Rule(
        "timeout",
        "with_progress",
        "The attempt ran out of time; raise attempt_seconds.",
        status_reason="Job attempt duration exceeded timeout*",
    ),
    Rule(
        "image_disk_full",
        "few_times",
        "The machine's disk had no room for the image.",
        container_reason="CannotPull*no space left on device*",
    ),
    Rule(
        "image_disk_full",
        "few_times",
        "The machine's disk had no room for the container.",
        container_reason="Cannot*Container*Thin Pool*",
    ),
    Rule(
        "image",
        "stop_run",
        "The image cannot be pulled: check that it exists and that the instance role may pull it.",
        container_reason="CannotPull*denied*",
    ),
    Rule(
        "image",
        "stop_run",
        "The image cannot be pulled: check that it exists and that the instance role may pull it.",
        container_reason="CannotPull*unauthorized*",
    ),
    Rule(
        "image",
        "stop_run",
        "The image does not exist: check its name and tag in the request.",
        container_reason="CannotPull*not found*",
    ),
    Rule(
        "image",
        "stop_run",
        "The image does not exist: check its name and tag in the request.",
        container_reason="CannotPull*manifest unknown*",
    ),
    Rule(
        "image",
        "stop_run",
        "The image's name is malformed: check it in the request.",
        container_reason="CannotPull*invalid reference*",
    ),
    Rule(
        "image_pull",
        "few_times",
        "The image could not be pulled this time.",
        container_reason="CannotPull*",
    ),
    Rule(
        "command",
        "stop_run",
        "The container cannot be started: check the image's architecture and its command.",
        container_reason="Cannot*Container*exec format error*",
    ),
    Rule(
        "command",
        "stop_run",
        NO_WORKER,
        container_reason="Cannot*Container*executable*not found*",
    ),
    Rule(
        "command",
        "stop_run",
        NO_WORKER,
        container_reason='Cannot*Container*exec: "*no such file or directory*',
    ),
    Rule(
        "command",
        "stop_run",
        "The container cannot be started: its entry point is no program.",
        container_reason="Cannot*Container*is a directory*",
    ),
    Rule(
        "command",
        "stop_run",
        "The container cannot be started: its entry point may not be executed.",
        container_reason="Cannot*Container*permission denied*",
    ),
    Rule(
        "start",
        "few_times",
        _NOT_NOW,
        container_reason="ResourceInitializationError*i/o timeout*",
    ),
    Rule(
        "configuration",
        "stop_run",
        "Secrets or logs cannot be reached: check the execution role and the network.",
        container_reason="ResourceInitializationError*",
    ),
    *_secret_rules(),
    Rule(
        "start",
        "few_times",
        "The container agent could not start the container this time.",
        container_reason="DockerTimeoutError*",
    ),
    Rule(
        "start",
        "few_times",
        "The container agent lost sight of the container.",
        container_reason="Cannot*ContainerError*",
    ),
    Rule(
        "out_of_memory",
        "more_memory",
        "The container needed more memory than resources.memory_mib.",
        container_reason="OutOfMemoryError*",
    ),
    Rule(
        "out_of_memory",
        "more_memory",
        "The tool needed more memory than resources.memory_mib.",
        exit_codes=(EXIT_OUT_OF_MEMORY,),
    ),
    Rule(
        MISCONFIGURATION,
        "stop_run",
        "The worker says that nothing in this run can work; its log says why.",
        exit_codes=(EXIT_MISCONFIGURED,),
    ),
    Rule(
        "command",
        "stop_run",
        "The container's command may not be executed: check the image and its entry point.",
        exit_codes=(126,),
    ),
    # The image's own entry point is a shell that was to run the command.
    Rule("command", "stop_run", NO_WORKER, exit_codes=(127,)),
    Rule(
        "scratch_full",
        "few_times",
        "The scratch was full: give the machines more disk, or SHRTCACHE a folder with more room; "
        "the log says how many bytes were needed and how many were free.",
        exit_codes=(EXIT_SCRATCH_FULL,),
    ),
    Rule(
        "later",
        "with_progress",
        "The worker left the rest to a later round: its deadline came before any progress.",
        exit_codes=(EXIT_LATER,),
    ),
    Rule("again", "again", "The worker asked to be tried again.", exit_codes=(EXIT_AGAIN,)),
    Rule("interrupted", "again", "The container was told to stop.", exit_codes=(130, 143)),
    Rule("killed", "again", "The container was killed.", exit_codes=(137,)),
    # SIGILL, SIGABRT, SIGFPE, SIGSEGV.
    Rule(
        "crashed",
        "few_times",
        "The container's own program crashed: check that the image suits the processors.",
        exit_codes=(132, 134, 136, 139),
    ),
    Rule(
        "capacity",
        "again",
        "There were no machines to be had.",
        status_reason="*CAPACITY:*",
    ),
    Rule(
        BLOCKED,
        "stop_run",
        "No machine of the stack can ever run the job: check resources and instance types.",
        status_reason="*MISCONFIGURATION:*",
    ),
    Rule(
        BLOCKED,
        "stop_run",
        "The stack's compute environment is not usable: AWS Batch says what to change.",
        status_reason="*ACTION_REQUIRED*",
    ),
    Rule(
        "configuration",
        "stop_run",
        "The request's environment is longer than AWS Batch takes.",
        status_reason="*Container Overrides length*",
    ),
    Rule(
        "configuration",
        "stop_run",
        "The stack's queue or job definition is gone: deploy the stack again.",
        status_reason="*JobQueue*",
    ),
    Rule(
        "configuration",
        "stop_run",
        "The stack's queue or job definition is gone: deploy the stack again.",
        status_reason="*Job definition*does not exist*",
    ),
    Rule(
        "configuration",
        "stop_run",
        "The stack's queue or job definition is gone: deploy the stack again.",
        status_reason="*Job definition*deregistered*",
    ),
    Rule(
        "configuration",
        "stop_run",
        "The queue's machines cannot run containers on EC2: check its compute environment.",
        status_reason="*Job Queue is attached to Compute Environment*",
    ),
    Rule(
        "configuration",
        "stop_run",
        "The job's command is malformed: no word of it may be empty.",
        status_reason="*Command field cannot have empty strings*",
    ),
)
TERMINATED = Verdict(
    "terminated",
    "never",
    "Somebody terminated the job; starting the same request again goes on.",
)
UNKNOWN = Verdict("unknown", "few_times", "Batch gave a reason that is not in the table.")
# A class has one policy.
POLICIES: dict[str, Policy] = {each.failure_class: each.policy for each in RULES}
POLICIES |= {each.failure_class: each.policy for each in (TERMINATED, UNKNOWN)}


def classify(
    status_reason: str | None, container_reason: str | None, exit_code: int | None
) -> Verdict:
    """Say what a container's end means: the first rule of :data:`RULES` all of which holds.

    A job that its queue's time limit cancelled has the reason for which it could not start.
    """
    status_reason = (status_reason or "").removeprefix(_TIME_LIMIT)
    for rule in RULES:
        if rule.exit_codes is not None and exit_code not in rule.exit_codes:
            continue
        if not _matches(status_reason, rule.status_reason):
            continue
        if not _matches(container_reason, rule.container_reason):
            continue
        return Verdict(rule.failure_class, rule.policy, rule.advice)
    return UNKNOWN


def _matches(text: str | None, pattern: str) -> bool:
    """The services write one thing in several ways: ``AccessDenied``, ``access denied``."""
    return fnmatchcase((text or "").lower(), pattern.lower())
