"""The table of failures: what AWS Batch and the ECS agent write, and what it means for a run."""

from fnmatch import fnmatchcase

import pytest

from drydock.failures import POLICIES, RULES, TERMINATED, UNKNOWN, classify

ESSENTIAL = "Essential container in task exited"
FETCHING = "Fetching secret data from AWS Secrets Manager in region us-west-2: "
PULL = "CannotPullContainerError: Error response from daemon: "

CASES = [
    (ESSENTIAL, None, 74, "scratch_full", "few_times"),
    # status reason, container reason, exit code -> class, policy
    ("Host EC2 (instance i-0abc) terminated.", None, None, "interrupted", "again"),
    ("Host EC2 (instance i-0abc) terminated.", None, 137, "interrupted", "again"),
    ("Host EC2 (instance i-0abc) stopped.", None, None, "interrupted", "again"),
    ("Your Spot Task was interrupted.", None, 137, "interrupted", "again"),
    ("Your Spot Task was interrupted.", None, 1, "interrupted", "again"),
    ("Your Spot Task was interrupted.", None, 0, "interrupted", "again"),
    ("Task failed to start", PULL + "context canceled", None, "image_pull", "few_times"),
    ("Task failed to start", PULL + "dial tcp: i/o timeout", None, "image_pull", "few_times"),
    (
        "Task failed to start",
        PULL + "toomanyrequests: You have reached your pull rate limit",
        None,
        "image_pull",
        "few_times",
    ),
    (
        "Task failed to start",
        PULL + "failed to register layer: write /x: no space left on device",
        None,
        "image_disk_full",
        "few_times",
    ),
    ("Task failed to start", PULL + "unauthorized: not logged in", None, "image", "stop_run"),
    (
        "Task failed to start",
        "CannotPullECRContainerError: AccessDeniedException: User is not authorized",
        None,
        "image",
        "stop_run",
    ),
    ("Task failed to start", PULL + "pull access denied for x", None, "image", "stop_run"),
    ("Task failed to start", PULL + "x:1: not found", None, "image", "stop_run"),
    ("Task failed to start", PULL + "manifest unknown", None, "image", "stop_run"),
    ("Task failed to start", PULL + "invalid reference format", None, "image", "stop_run"),
    (
        "Task failed to start",
        "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
        None,
        "start",
        "few_times",
    ),
    (
        ESSENTIAL,
        "CannotInspectContainerError: Could not transition to inspecting; timed out",
        None,
        "start",
        "few_times",
    ),
    (
        "Task failed to start",
        "CannotStartContainerError: Error response from daemon: exec format error",
        None,
        "command",
        "stop_run",
    ),
    (
        "Task failed to start",
        'CannotStartContainerError: exec: "vina": executable file not found in $PATH',
        127,
        "command",
        "stop_run",
    ),
    (
        "Task failed to start",
        'CannotStartContainerError: exec: "/opt/a": stat /opt/a: no such file or directory',
        None,
        "command",
        "stop_run",
    ),
    (
        "Task failed to start",
        "CannotStartContainerError: libnvidia-ml.so.1: cannot open: no such file or directory",
        None,
        "start",
        "few_times",
    ),
    (
        "Task failed to start",
        "CannotCreateContainerError: OCI runtime create failed: Is a directory: unknown",
        None,
        "command",
        "stop_run",
    ),
    (
        "Task failed to start",
        'CannotStartContainerError: exec: "/run": permission denied: unknown',
        126,
        "command",
        "stop_run",
    ),
    (
        "Task failed to start",
        "CannotCreateContainerError: devmapper: Thin Pool has 10 free data blocks",
        None,
        "image_disk_full",
        "few_times",
    ),
    (
        FETCHING + "User x is not authorized: AccessDeniedException",
        None,
        None,
        "configuration",
        "stop_run",
    ),
    (
        "Task failed to start",
        FETCHING + "ResourceNotFoundException: Secrets Manager can't find the specified secret.",
        None,
        "configuration",
        "stop_run",
    ),
    (FETCHING + "invalid parameters: /lab/code", None, None, "configuration", "stop_run"),
    (FETCHING + "RequestCanceled: context deadline exceeded", None, None, "start", "few_times"),
    ("Task failed to start", FETCHING + "dial tcp: i/o timeout", None, "start", "few_times"),
    (
        "Task failed to start",
        "ResourceInitializationError: unable to pull secrets or registry auth: AccessDenied",
        None,
        "configuration",
        "stop_run",
    ),
    (
        "Task failed to start",
        "ResourceInitializationError: unable to pull secrets: dial tcp: i/o timeout",
        None,
        "start",
        "few_times",
    ),
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
    (ESSENTIAL, None, 71, "out_of_memory", "more_memory"),
    (ESSENTIAL, None, 75, "later", "with_progress"),
    (ESSENTIAL, None, 78, "misconfiguration", "stop_run"),
    (ESSENTIAL, None, 126, "command", "stop_run"),
    (ESSENTIAL, None, 127, "command", "stop_run"),
    *((ESSENTIAL, None, code, "crashed", "few_times") for code in (132, 134, 136, 139)),
    (ESSENTIAL, None, 2, "unknown", "few_times"),
    ("Job attempt duration exceeded timeout", None, 137, "timeout", "with_progress"),
    ("Job attempt duration exceeded timeout", None, None, "timeout", "with_progress"),
    ("drydock: aborted", None, 143, "aborted", "later"),
    ("drydock: superseded", None, None, "aborted", "later"),
    ("drydock: no machine is large enough", None, None, "too_large", "with_progress"),
    ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - x", None, None, "blocked", "stop_run"),
    (
        (
            "Canceled by JobStateTimeLimit action due to reason: "
            "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - x"
        ),
        None,
        None,
        "blocked",
        "stop_run",
    ),
    (
        "ACTION_REQUIRED - CE(s) associated with the job queue are invalid",
        None,
        None,
        "blocked",
        "stop_run",
    ),
    ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - x", None, None, "capacity", "again"),
    (
        (
            "Canceled by JobStateTimeLimit action due to reason: "
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no [c7i.large]"
        ),
        None,
        None,
        "capacity",
        "again",
    ),
    (
        "Canceled by JobStateTimeLimit action due to reason: Host EC2 (instance i-1) terminated.",
        None,
        None,
        "interrupted",
        "again",
    ),
    ("Task stopped during instance draining", None, None, "interrupted", "again"),
    ("Array Child Job failed", None, None, "derived", "again"),
    ("Dependent Job failed", None, None, "derived", "again"),
    ("Job definition drydock:1 deregistered", None, None, "configuration", "stop_run"),
    (
        (
            "Error executing request, Exception : Job Queue is attached to Compute Environment "
            "that can not run Jobs with capability EC2, RequestId: 1"
        ),
        None,
        None,
        "configuration",
        "stop_run",
    ),
    (
        "Error executing request, Exception : JobQueue spot not found, RequestId: 1",
        None,
        None,
        "configuration",
        "stop_run",
    ),
    ("Command field cannot have empty strings", None, None, "configuration", "stop_run"),
    ("Job definition drydock:1 does not exist", None, None, "configuration", "stop_run"),
    ("UNDETERMINED - Batch job is blocked", None, None, "unknown", "few_times"),
    ("Container Overrides length must be at most 8192", None, None, "configuration", "stop_run"),
    ("JobQueue deleted", None, None, "configuration", "stop_run"),
    ("Operator cancelled it", None, None, "unknown", "few_times"),
    (None, None, None, "unknown", "few_times"),
]


@pytest.mark.parametrize(("status", "container", "code", "expected", "policy"), CASES)
def test_what_a_container_s_end_means(status, container, code, expected, policy):
    verdict = classify(status, container, code)
    assert (verdict.failure_class, verdict.policy) == (expected, policy)
    assert verdict.advice.endswith(".")


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ('CannotStartContainerError: exec: "drydock-worker": executable file not found', None),
        ('CannotStartContainerError: exec: "tini": executable file not found in $PATH', 127),
        ('CannotStartContainerError: exec: "/init": stat /init: no such file or directory', None),
        (None, 127),
    ],
)
def test_an_image_without_the_worker_gets_the_command_that_wraps_it(reason, code):
    verdict = classify("Task failed to start", reason, code)
    assert verdict.policy == "stop_run"
    assert "`make image FROM=<image>`" in verdict.advice


def test_no_rule_is_without_a_case():
    hit = {classify(status, container, code).advice for status, container, code, *_ in CASES} - {
        UNKNOWN.advice
    }
    assert hit == {rule.advice for rule in RULES}


def test_no_rule_says_nothing():
    for rule in RULES:
        assert (rule.status_reason, rule.container_reason, rule.exit_codes) != ("*", "*", None)
        assert (
            not fnmatchcase("", rule.status_reason)
            or not fnmatchcase("", rule.container_reason)
            or rule.exit_codes
        )


def test_a_class_has_one_policy():
    for rule in RULES:
        assert POLICIES[rule.failure_class] == rule.policy
    assert POLICIES["terminated"] == TERMINATED.policy == "never"
    assert POLICIES["unknown"] == "few_times"
