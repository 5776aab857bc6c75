"""How jobs end, told by events as EventBridge delivers them: parents, children, plain jobs.

The shapes are those of the recorded events below ``events/``; each row of what AWS Batch and the
ECS agent are known to write is a case.
"""

import copy
import json
from pathlib import Path

import pytest

from drydock.ends import ends_of, is_terminated_by_a_user, text_of, verdict_of
from drydock.failures import RULES
from drydock.job_views import (
    AttemptView,
    FailedChild,
    JobView,
    attempt_of,
    failed_child_of,
    is_terminated,
    view_of,
)

EVENTS = Path(__file__).parents[2] / "events"
ESSENTIAL = "Essential container in task exited"
START = "Task failed to start"
HOST = "Host EC2 (instance i-0a1b2c3d4e5f) terminated."
LIMIT = "Canceled by JobStateTimeLimit action due to reason: "
PULL = "CannotPullContainerError: Error response from daemon: "
ECR = "CannotPullECRContainerError: AccessDeniedException: User is not authorized to perform"
CREATE = "CannotCreateContainerError: Error response from daemon: "
RUNC = "CannotStartContainerError: Error response from daemon: OCI runtime create failed: "
INIT = "ResourceInitializationError: "


def recorded(name):
    """The detail of a recorded event."""
    (record,) = json.loads((EVENTS / f"resubmit_interrupted{name}.json").read_text())["Records"]
    return json.loads(record["body"])["detail"]


CHILD, PARENT, PLAIN = recorded(".child_misconfigured"), recorded(""), recorded(".plain_job_failed")


def detail_of(base, status_reason, container_reason, exit_code, **changes):
    """An event's detail: the last of two attempts ended so, the first on a lost machine."""
    detail = copy.deepcopy(base)
    detail["statusReason"] = status_reason
    told = {"reason": container_reason, "exitCode": exit_code}
    told = {key: value for key, value in told.items() if value is not None}
    last = {"statusReason": status_reason, "container": told, "startedAt": 1, "stoppedAt": 2}
    detail["attempts"] = [{"statusReason": HOST, "container": {}}, last]
    for key in ("reason", "exitCode"):
        detail["container"].pop(key, None)
    detail["container"] |= told
    return detail | changes


def verdict_of_detail(detail):
    attempts = detail["attempts"]
    return verdict_of(failed_child_of(detail), attempt_of(attempts[-1]) if attempts else None)


ROWS = [
    # status reason, container reason, exit code -> class, policy
    (HOST, None, None, "interrupted", "again"),
    ("Host EC2 (instance i-0a1b) stopped.", None, None, "interrupted", "again"),
    ("Your Spot Task was interrupted.", None, 137, "interrupted", "again"),
    ("Your Spot Task was interrupted.", None, 1, "interrupted", "again"),
    ("Your Spot Task was interrupted.", None, 0, "interrupted", "again"),
    ("Task stopped during instance draining", None, None, "interrupted", "again"),
    (START, PULL + "context canceled", None, "image_pull", "few_times"),
    (START, PULL + "net/http: i/o timeout", None, "image_pull", "few_times"),
    (START, PULL + "503 SlowDown: Please reduce your rate", None, "image_pull", "few_times"),
    (START, PULL + "toomanyrequests: Rate exceeded (429)", None, "image_pull", "few_times"),
    (START, PULL + "write: no space left on device", None, "image_disk_full", "few_times"),
    (START, PULL + "unauthorized: authentication required", None, "image", "stop_run"),
    (START, ECR, None, "image", "stop_run"),
    (START, PULL + "lab/vina:9: not found", None, "image", "stop_run"),
    (START, PULL + "manifest unknown", None, "image", "stop_run"),
    (START, PULL + "invalid reference format", None, "image", "stop_run"),
    (
        START,
        "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
        None,
        "start",
        "few_times",
    ),
    (
        START,
        "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s",
        None,
        "start",
        "few_times",
    ),
    (
        ESSENTIAL,
        "CannotInspectContainerError: Could not transition to inspecting; timed out after 30s",
        None,
        "start",
        "few_times",
    ),
    (START, RUNC + "exec format error: unknown", None, "command", "stop_run"),
    (START, RUNC + 'exec: "drydock-worker": executable file not found', 127, "command", "stop_run"),
    (START, RUNC + "Is a directory: unknown", None, "command", "stop_run"),
    (START, CREATE + "devmapper: Thin Pool has 4 free data blocks", None, "image_disk_full", None),
    (START, INIT + "unable to pull secrets: AccessDenied", None, "configuration", "stop_run"),
    (START, INIT + "failed to initialize logging driver", None, "configuration", "stop_run"),
    (START, INIT + "unable to pull registry auth: i/o timeout", None, "start", "few_times"),
    (
        ESSENTIAL,
        "OutOfMemoryError: Container killed due to memory usage",
        137,
        "out_of_memory",
        "more_memory",
    ),
    (ESSENTIAL, None, 137, "killed", "again"),
    (ESSENTIAL, None, 143, "interrupted", "again"),
    (ESSENTIAL, None, 130, "interrupted", "again"),
    (ESSENTIAL, None, 1, "again", "again"),
    (ESSENTIAL, None, 2, "unknown", "few_times"),
    (ESSENTIAL, None, 71, "out_of_memory", "more_memory"),
    (ESSENTIAL, None, 74, "scratch_full", "few_times"),
    (ESSENTIAL, None, 75, "later", "with_progress"),
    (ESSENTIAL, None, 78, "misconfiguration", "stop_run"),
    (ESSENTIAL, None, 126, "command", "stop_run"),
    (ESSENTIAL, None, 127, "command", "stop_run"),
    *((ESSENTIAL, None, code, "crashed", "few_times") for code in (132, 134, 136, 139)),
    ("Job attempt duration exceeded timeout", None, 137, "timeout", "with_progress"),
    ("Job attempt duration exceeded timeout", None, None, "timeout", "with_progress"),
    ("Array Child Job failed", None, None, "derived", "again"),
    ("Dependent Job failed", None, None, "derived", "again"),
    ("JobQueue deleted", None, None, "configuration", "stop_run"),
    ("Job definition drydock-worker:1 does not exist", None, None, "configuration", "stop_run"),
    ("Container Overrides length must be at most 8192", None, None, "configuration", "stop_run"),
    ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too large", None, None, "blocked", "stop_run"),
    (
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - full",
        None,
        None,
        "blocked",
        "stop_run",
    ),
    ("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS - none", None, None, "blocked", "stop_run"),
    (
        "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED - x",
        None,
        None,
        "blocked",
        "stop_run",
    ),
    ("ACTION_REQUIRED - CE(s) of the queue are invalid", None, None, "blocked", "stop_run"),
    ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - [c7i.xlarge]", None, None, "capacity", "again"),
    ("UNDETERMINED - Batch job is blocked", None, None, "unknown", "few_times"),
    (f"{LIMIT}MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - x", None, None, "blocked", "stop_run"),
    (f"{LIMIT}CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - x", None, None, "capacity", "again"),
    (f"{LIMIT}UNDETERMINED - x", None, None, "unknown", "few_times"),
    ("drydock: aborted", None, None, "aborted", "later"),
    ("drydock: superseded", None, None, "aborted", "later"),
    ("drydock: stopped", None, 143, "aborted", "later"),
    ("drydock: no machine is large enough", None, None, "too_large", "with_progress"),
]


@pytest.mark.parametrize("base", [CHILD, PLAIN], ids=["child", "plain"])
@pytest.mark.parametrize(("status", "container", "code", "expected", "policy"), ROWS)
def test_each_row_is_told_alike_of_children_and_of_plain_jobs(
    base, status, container, code, expected, policy
):
    verdict = verdict_of_detail(detail_of(base, status, container, code))
    assert (verdict.failure_class, verdict.policy) == (expected, policy or "few_times")


def test_the_rows_hit_every_class_of_the_table():
    assert {row[3] for row in ROWS} == {rule.failure_class for rule in RULES} | {"unknown"}


@pytest.mark.parametrize(
    "text",
    [
        "terminated by snakemake",
        "Job killed by NF",
        "cromwell abort called",
        "Operator cancelled it",
        "Terminated by user",
        "Task has the wrong receptor",
        "Job definition is the old one",
    ],
)
@pytest.mark.parametrize("flag", [{"isTerminated": True}, {"isCancelled": True}, {}])
def test_a_text_that_nobody_of_aws_writes_is_a_users(text, flag):
    detail = detail_of(CHILD, ESSENTIAL, None, 143, statusReason=text, **flag)
    assert verdict_of_detail(detail).failure_class == "terminated"
    assert verdict_of(failed_child_of(detail)).failure_class == "terminated"


def test_a_text_that_is_new_is_not_a_users_where_batch_says_so():
    flags = {"isTerminated": False, "isCancelled": False}
    detail = detail_of(CHILD, "Something that is new", None, None, **flags)
    assert verdict_of_detail(detail).failure_class == "unknown"
    listed = FailedChild(0, "Something that is new", is_terminated=False)
    assert verdict_of(listed).failure_class == "unknown"
    # Its last attempt says the same: nobody put another text over it.
    detail = detail_of(CHILD, "Something that is new", None, None)
    assert verdict_of_detail(detail).failure_class == "unknown"


def test_what_we_ended_ourselves_has_the_class_of_its_last_attempt():
    lost = detail_of(CHILD, HOST, None, None, statusReason="drydock: aborted", isTerminated=True)
    assert verdict_of_detail(lost).failure_class == "interrupted"
    misconfigured = detail_of(CHILD, ESSENTIAL, None, 78, statusReason="drydock: stopped")
    assert verdict_of_detail(misconfigured).failure_class == "misconfiguration"


@pytest.mark.parametrize("reason", sorted({row[0] for row in ROWS}))
def test_what_batch_and_we_write_is_never_a_users(reason):
    assert not is_terminated_by_a_user(reason, None, is_terminated=True)
    assert not is_terminated_by_a_user(reason, None, is_terminated=None)


def test_no_reason_at_all_is_nobodys():
    assert not is_terminated_by_a_user(None, None, is_terminated=True)
    assert verdict_of(FailedChild(0)).failure_class == "unknown"


def test_a_parent_says_nothing_and_its_children_all():
    view = view_of(PARENT)
    assert (view.state, view.has_failed, view.reason) == ("ended", True, "Array Child Job failed")
    assert (view.last, view.is_terminated) == (None, None)
    children = [
        FailedChild(3, HOST),
        FailedChild(1, HOST),
        FailedChild(2, "enough", is_terminated=True),
        FailedChild(9, "enough of it", is_terminated=True),
        FailedChild(4, ESSENTIAL, None, 2),
        FailedChild(5, START, PULL + "manifest unknown"),
    ]
    ends = ends_of(children)
    assert ends.failures == {"interrupted": 2, "terminated": 2, "unknown": 1, "image": 1}
    assert ends.terminated == (2, 9)
    assert ends.texts == {
        "terminated": "enough",
        "unknown": f"{ESSENTIAL}; exit code 2",
        "image": f"The image does not exist: check its name and tag in the request. {START}; "
        f"{PULL}manifest unknown",
    }


def test_a_text_is_kept_to_three_hundred_characters():
    assert len(text_of(FailedChild(0, "x" * 1000))) == 300
    assert text_of(FailedChild(0, ESSENTIAL, None, None), AttemptView(ESSENTIAL, "why", 7)) == (
        f"{ESSENTIAL}; why; exit code 7"
    )
    assert text_of(FailedChild(0)) == ""


def test_recorded_events_are_read_as_describe_jobs_is():
    assert failed_child_of(CHILD) == FailedChild(7, ESSENTIAL, None, 78, None)
    assert view_of(recorded(".parent_succeeded")) == JobView("ended")
    plain = view_of(PLAIN)
    assert plain.has_failed
    assert plain.last.started_at < plain.last.stopped_at < 10_000_000_000
    assert view_of({"status": "RUNNABLE"}) == JobView("active")
    assert is_terminated({"isTerminated": False, "isCancelled": True}) is True
    assert is_terminated({"isTerminated": False}) is False
    assert is_terminated({}) is None
    assert attempt_of({}) == AttemptView()
