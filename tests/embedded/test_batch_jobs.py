"""The embedded Batch runs jobs: states, environment, exit codes, attempts and their texts."""

from pathlib import Path

import pytest

from tests.embedded.batch_support import Bench, bench, lives, until

ROLE = "arn:aws:iam::123456789012:role/stack-JobRole-1ABC"
RULES = {
    "attempts": 3,
    "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onExitCode": "1", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
    ],
}
FIRST_1_THEN_0 = 'test "$AWS_BATCH_JOB_ATTEMPT" = 2 || exit 1'


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with bench(tmp_path_factory.mktemp("batch")) as running:
        yield running


def variables(aws: Bench, job_id: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in aws.log(job_id).splitlines())


def test_a_plain_job_goes_through_the_states_and_succeeds(aws):
    job_id = aws.submit(["true"])
    job = aws.wait(job_id)
    assert job["status"] == "SUCCEEDED"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == 0
    assert "arrayProperties" not in job
    until(lambda: aws.statuses(job_id)[-1:] == ["SUCCEEDED"])
    assert aws.statuses(job_id) == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]


def test_an_array_runs_each_child_once_and_its_parent_follows(aws):
    job_id = aws.submit(["env"], size=5)
    parent = aws.wait(job_id)
    assert parent["status"] == "SUCCEEDED"
    assert parent["attempts"] == []
    assert parent["arrayProperties"] == {"size": 5, "statusSummary": {"SUCCEEDED": 5}}
    until(lambda: aws.statuses(job_id)[-1:] == ["SUCCEEDED"])
    assert aws.statuses(job_id) == ["PENDING", "SUCCEEDED"]
    given = [variables(aws, f"{job_id}:{n}") for n in range(5)]
    assert [env["AWS_BATCH_JOB_ARRAY_INDEX"] for env in given] == list("01234")
    assert [env["AWS_BATCH_JOB_ID"] for env in given] == [f"{job_id}:{n}" for n in range(5)]
    assert {env["AWS_BATCH_JOB_ARRAY_SIZE"] for env in given} == {"5"}


def test_one_failed_child_fails_the_parent_and_not_the_others(aws):
    job_id = aws.sh('test "$AWS_BATCH_JOB_ARRAY_INDEX" != 2', size=4)
    parent = aws.wait(job_id)
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert parent["arrayProperties"]["statusSummary"] == {"SUCCEEDED": 3, "FAILED": 1}
    child = aws.describe(f"{job_id}:2")
    assert child["status"] == "FAILED"
    assert child["arrayProperties"]["index"] == 2


def test_events_have_the_shape_that_rules_match_on(aws):
    job_id = aws.submit(["false"], size=2, jobName="drydock-x-000000-0", tags={"grant": "R35"})
    aws.wait(job_id)
    last = until(lambda: [e for e in aws.events if e["resources"][0].endswith(job_id)][1:2])[0]
    child = next(e for e in aws.events if e["detail"]["jobId"] == f"{job_id}:1")
    for event in (last, child):
        assert event["source"] == "aws.batch"
        assert event["detail-type"] == "Batch Job State Change"
        assert event["detail"]["jobName"] == "drydock-x-000000-0"
        assert event["detail"]["jobQueue"].endswith(":job-queue/spot")
        assert isinstance(event["detail"]["createdAt"], int)
    assert last["detail"]["status"] == "FAILED"
    assert last["detail"]["attempts"] == []
    assert "index" not in last["detail"]["arrayProperties"]
    assert last["detail"]["tags"]["grant"] == "R35"
    assert child["detail"]["arrayProperties"] == {"index": 1, "statusSummary": {}}
    assert child["detail"]["tags"] == {"resourceArn": last["resources"][0]}


def test_the_environment_is_the_jobs_and_nothing_else(aws, monkeypatch):
    monkeypatch.setenv("NOT_FOR_JOBS", "1")
    definition = aws.define(
        "environment",
        jobRoleArn=ROLE,
        environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    )
    job_id = aws.submit(
        ["env"],
        jobDefinition=definition,
        containerOverrides={"environment": [{"name": "B", "value": "3"}]},
    )
    aws.wait(job_id)
    env = variables(aws, job_id)
    assert (env["A"], env["B"]) == ("1", "3")
    assert "NOT_FOR_JOBS" not in env
    assert "AWS_BATCH_JOB_ARRAY_INDEX" not in env
    assert "AWS_BATCH_JOB_ARRAY_SIZE" not in env
    assert env["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert (env["AWS_BATCH_JQ_NAME"], env["AWS_BATCH_CE_NAME"]) == ("spot", "spot")
    assert env["AWS_ACCESS_KEY_ID"] == "stack-JobRole-1ABC"
    assert env["AWS_ENDPOINT_URL"] == aws.endpoint
    assert env["AWS_REGION"] == "us-west-2"
    assert not Path(env["HOME"]).exists()


def test_paths_on_a_mount_lead_to_a_directory_of_the_machine(aws):
    definition = aws.define(
        "mounts",
        volumes=[{"name": "scratch", "host": {"sourcePath": "/scratch"}}],
        mountPoints=[{"sourceVolume": "scratch", "containerPath": "/scratch"}],
        environment=[
            {"name": "SHRTCACHE", "value": "/scratch"},
            {"name": "BELOW", "value": "/scratch/a/b"},
            {"name": "OTHER", "value": "/scratchy"},
        ],
    )
    job_id = aws.submit(["env"], jobDefinition=definition)
    aws.wait(job_id)
    env = variables(aws, job_id)
    assert env["SHRTCACHE"].startswith(str(aws.directory / "machines"))
    assert Path(env["SHRTCACHE"]).is_dir()
    assert env["BELOW"] == env["SHRTCACHE"] + "/a/b"
    assert env["OTHER"] == "/scratchy"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["exit", "0"], 0),
        (["exit", "78"], 78),
        (["say-and-exit", "no vina here"], 1),
        (["raise"], 1),
        (["die", "SIGSEGV"], 139),
        (["die", "SIGTERM"], 143),
        (["die", "SIGINT"], 130),
        (["thread"], 0),
        (["spawn"], 0),
    ],
)
def test_a_module_ends_as_under_its_own_interpreter(aws, arguments, code):
    job_id = aws.submit(["python", "-m", "tests.embedded.batch_job", *arguments])
    job = aws.wait(job_id)
    assert job["container"]["exitCode"] == code
    assert job["attempts"][-1]["container"]["exitCode"] == code
    said = {
        "say-and-exit": "no vina here",
        "raise": "RuntimeError: deliberately",
        "thread": "the thread ended",
        "spawn": "from another process",
    }
    assert said.get(arguments[0], "") in aws.log(job_id)


def test_a_module_sees_arguments_streams_and_signals_of_its_own(aws):
    job_id = aws.submit(["python", "-m", "tests.embedded.batch_job", "tell", "a b"])
    aws.wait(job_id)
    assert aws.log(job_id).splitlines() == ["['tell', 'a b'] __main__ True", "True True"]


def test_a_module_has_the_jobs_environment_alone(aws):
    job_id = aws.submit(["python", "-m", "tests.embedded.batch_job", "name-variables"])
    aws.wait(job_id)
    assert aws.log(job_id).split() == [
        "AWS_ACCESS_KEY_ID",
        "AWS_BATCH_CE_NAME",
        "AWS_BATCH_JOB_ATTEMPT",
        "AWS_BATCH_JOB_ID",
        "AWS_BATCH_JQ_NAME",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "HOME",
        "LANG",
        "PATH",
        "PYTHONPATH",
        "TMPDIR",
    ]


def test_other_python_commands_run_too(aws):
    job_id = aws.submit(["python", "-c", "import drydock; print(drydock.__name__)"])
    aws.wait(job_id)
    assert aws.log(job_id) == "drydock\n"


def test_a_killed_process_gives_128_and_its_signal(aws):
    job = aws.wait(aws.sh("kill -9 $$"))
    assert job["status"] == "FAILED"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == 137


def test_parameters_are_put_into_the_command(aws):
    job_id = aws.submit(["echo", "Ref::what", "Ref::unknown"], parameters={"what": "this"})
    aws.wait(job_id)
    assert aws.log(job_id) == "this Ref::unknown\n"


def test_what_a_container_started_ends_with_it(aws, tmp_path):
    job_id = aws.sh(f"sleep 300 & echo $! > {tmp_path}/pid")
    aws.wait(job_id)
    until(lambda: not lives(int((tmp_path / "pid").read_text())))


def test_a_failed_attempt_is_retried_as_its_rules_say(aws):
    job_id = aws.sh(FIRST_1_THEN_0, retryStrategy=RULES)
    job = aws.wait(job_id)
    assert job["status"] == "SUCCEEDED"
    assert [each["container"]["exitCode"] for each in job["attempts"]] == [1, 0]
    assert job["attempts"][0]["statusReason"] == "Essential container in task exited"
    assert job["attempts"][0]["container"] != job["attempts"][1]["container"]
    until(lambda: aws.statuses(job_id)[-1:] == ["SUCCEEDED"])
    once = ["RUNNABLE", "STARTING", "RUNNING"]
    assert aws.statuses(job_id) == [*once, *once, "SUCCEEDED"]
    again = [e for e in aws.events if e["detail"]["jobId"] == job_id][3]
    assert len(again["detail"]["attempts"]) == 1


@pytest.mark.parametrize(
    ("code", "rules", "attempts"),
    [
        (1, RULES, 3),
        (75, RULES, 1),
        (75, {"attempts": 2, "evaluateOnExit": RULES["evaluateOnExit"][:2]}, 2),
        (1, {}, 1),
    ],
    ids=["exhausted", "the last rule exits", "no rule matches", "no strategy"],
)
def test_attempts_end(aws, code, rules, attempts):
    job = aws.wait(aws.sh(f"exit {code}", **({"retryStrategy": rules} if rules else {})))
    assert job["status"] == "FAILED"
    assert len(job["attempts"]) == attempts
    assert job["container"]["exitCode"] == code


def test_an_image_that_is_not_the_stacks_own_cannot_be_pulled(aws):
    definition = aws.define("foreign", image="docker.io/library/other:1")
    job_id = aws.submit(["true"], jobDefinition=definition)
    job = aws.wait(job_id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "Task failed to start")
    assert job["container"]["reason"].startswith("CannotPullContainerError: ")
    assert "docker.io/library/other:1" in job["container"]["reason"]
    assert "runs only the stack's own image" in job["container"]["reason"]
    for container in (job["container"], job["attempts"][0]["container"]):
        assert "exitCode" not in container
    assert "startedAt" not in job["attempts"][0]


def test_a_program_that_is_not_there_cannot_be_started(aws):
    job = aws.wait(aws.submit(["no-such-program"]))
    assert job["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith("CannotStartContainerError: ")
    assert 'exec: "no-such-program": executable file not found' in job["container"]["reason"]


def test_too_long_overrides_are_accepted_and_fail(aws):
    long = {"environment": [{"name": "LIST", "value": "x" * 8192}]}
    job_id = aws.submit(["true"], size=2, containerOverrides=long, retryStrategy=RULES)
    assert aws.wait(job_id)["status"] == "FAILED"
    child = aws.describe(f"{job_id}:0")
    assert child["statusReason"] == "Container Overrides length must be at most 8192"
    assert child["attempts"] == []


def test_what_cannot_be_started_for_lack_of_anything_else_says_so(tmp_path):
    with bench(tmp_path) as aws:
        aws.batch._launcher.close()
        job = aws.wait(aws.submit(["true"], retryStrategy={"attempts": 2}))
        assert (job["status"], job["statusReason"]) == ("FAILED", "Task failed to start")
        assert job["container"]["reason"].startswith("CannotCreateContainerError: ")
        assert len(job["attempts"]) == 2


def test_of_files_only_the_logs_stay(tmp_path):
    (tmp_path / "containers" / "of-one-that-died").mkdir(parents=True)
    with bench(tmp_path) as aws:
        assert not (tmp_path / "containers").exists()
        aws.sh("echo said; sleep 300")
        until(lambda: aws.batch.running() == 1)
        assert (tmp_path / "containers").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
