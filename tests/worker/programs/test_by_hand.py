"""Fetch-and-run by hand: the variables and the arguments that its users know."""

import io
import json
import os
import signal
import subprocess
import sys
import zipfile

import boto3
import pytest

import worker.attempt
import worker.tools.program_session as module
from tests.worker.support import DATA, ROOT
from worker.agent import main
from worker.nowhere import KeepingNothing

MYJOB = """#!/bin/bash
echo "Args: $@"
echo "jobId: $AWS_BATCH_JOB_ID"
env > "$OUTPUT_DIR/env"
exit ${1:-0}
"""


@pytest.fixture
def by_hand(client, store, scratch, monkeypatch):
    """Starts the worker as `docker run IMAGE arguments` would."""
    monkeypatch.setattr(worker.attempt, "_POLL_S", 0.005)
    for name in [name for name in os.environ if name.startswith("AWS_BATCH_")]:
        monkeypatch.delenv(name)

    def start(*arguments, text=MYJOB, output=f"s3://{DATA}/out", **extra):
        body = text if isinstance(text, bytes) else text.encode()
        store.put(DATA, "jobs/myjob.sh", body)
        environment = {
            "BATCH_FILE_TYPE": "script",
            "BATCH_FILE_S3_URL": f"s3://{DATA}/jobs/myjob.sh",
            "SHRTCACHE": str(scratch),
            "AWS_EC2_METADATA_DISABLED": "true",
            **({"S3_OUTPUT_LOCATION": output} if output else {}),
            **extra,
        }
        environment = {name: value for name, value in environment.items() if value is not None}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        used = store if output else KeepingNothing(client)
        return main(environment, used, arguments=arguments)

    return start


def keys(store, prefix="out/"):
    return [found.key for found in store.list(DATA, prefix)]


def test_the_blogs_job_runs_without_an_input(by_hand, store, capsys):
    assert by_hand("myjob.sh", "0", "{sixty}", AWS_BATCH_JOB_ID="job-1", MINE="yes") == 0
    said = capsys.readouterr().out
    assert "Args: 0 {sixty}" in said
    assert "jobId: job-1" in said
    assert keys(store) == [
        "out/0/0/env",
        "out/0/program.json.0",
        "out/markers/by-hand/000000/00000-00000.done",
    ]
    environment = store.get(DATA, "out/0/0/env").body.decode().splitlines()
    assert "MINE=yes" in environment
    assert any(line.startswith("AWS_ACCESS_KEY_ID=") for line in environment)
    assert any(line.startswith("BATCH_FILE_S3_URL=") for line in environment)


def test_options_can_take_the_credentials_away(by_hand, store):
    store.put(DATA, "dock/options.json", b'{"allow_aws": false, "outputs": ["e*"]}')
    assert by_hand("myjob.sh", S3_DOCKFILES_LOCATION=f"s3://{DATA}/dock/") == 0
    environment = store.get(DATA, "out/0/0/env").body.decode()
    assert "AWS_ACCESS_KEY_ID=" not in environment


def test_nothing_is_kept_without_an_output_location(by_hand, store, capsys):
    assert by_hand("myjob.sh", output=None) == 0
    assert "Args: " in capsys.readouterr().out
    assert keys(store, "") == ["jobs/myjob.sh"]
    assert by_hand("myjob.sh", "4", output=None) == 4
    assert keys(store, "") == ["jobs/myjob.sh"]


@pytest.mark.parametrize(("ends", "code"), [("exit 3", 3), ("exit 42", 42), ("kill -9 $$", 137)])
def test_the_scripts_exit_code_is_the_jobs(by_hand, ends, code):
    assert by_hand("myjob.sh", text=f"#!/bin/sh\n{ends}\n") == code


def test_a_second_failure_settles_it_with_its_code(by_hand, store):
    assert [by_hand("myjob.sh", "5") for _ in range(2)] == [5, 5]
    (marker,) = keys(store, "out/markers/")
    assert marker.endswith(".tool_failed.failed")
    failure, _end = store.get(DATA, marker).body.splitlines()
    assert json.loads(failure)["exit_code"] == 5
    assert json.loads(failure)["reason"].startswith("myjob.sh ended with exit code 5")


def test_an_array_of_inputs_is_worked_through_as_ever(by_hand, store):
    store.put(DATA, "in/a", b"1")
    store.put(DATA, "in/b", b"2")
    text = '#!/bin/sh\ncp "$INPUT" "$OUTPUT_DIR/copy"\n'
    where = {"S3_INPUT_LOCATION": f"s3://{DATA}/in/", "AWS_BATCH_JOB_ARRAY_INDEX": "1"}
    assert by_hand("myjob.sh", text=text, **where) == 0
    assert store.get(DATA, "out/1/0/copy").body == b"2"


def test_a_zip_runs_the_file_that_the_first_argument_names(by_hand, store):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("run/me.sh", '#!/bin/sh\necho "$@" > "$OUTPUT_DIR/x"\n')
    code = by_hand("./run/me.sh", "1", "2", text=body.getvalue(), BATCH_FILE_TYPE="zip")
    assert code == 0
    assert store.get(DATA, "out/0/0/x").body == b"1 2\n"


def stop_at_the_first_checkpoint(monkeypatch):
    """SIGTERM, once, as soon as a script has written x."""
    look = module.ProgramSession.poll
    asked = []

    def poll(self):
        if not asked and (self._folders.checkpoint / "x").exists():
            asked.append(os.kill(os.getpid(), signal.SIGTERM))
        return look(self)

    monkeypatch.setattr(module.ProgramSession, "poll", poll)


def test_a_stop_keeps_the_checkpoint_and_the_next_start_goes_on(by_hand, store, monkeypatch):
    text = (
        '#!/bin/bash\ntest -e "$CHECKPOINT_DIR/x" && { echo again > "$OUTPUT_DIR/y"; exit 0; }\n'
        'echo 1 > "$CHECKPOINT_DIR/x"\nsleep 60\n'
    )
    stop_at_the_first_checkpoint(monkeypatch)
    assert by_hand("myjob.sh", text=text) == 1
    assert "out/0/checkpoint.tar.0" in keys(store)
    assert by_hand("myjob.sh", text=text) == 0
    assert store.get(DATA, "out/0/1/y").body == b"again\n"


# -- an output location that another job has used


def events(capsys, kind):
    lines = capsys.readouterr().out.splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [event for event in found if event["event"] == kind]


@pytest.mark.parametrize(("code", "how", "again"), [("0", "done", 0), ("5", "failed", 1)])
def test_the_same_job_again_says_that_it_is_settled_and_by_what(
    by_hand, store, capsys, code, how, again
):
    for _ in range(2):
        by_hand("myjob.sh", code)
    capsys.readouterr()
    before = keys(store)
    assert by_hand("./myjob.sh", code) == again
    (event,) = events(capsys, "settled")
    (marker,) = keys(store, "out/markers/")
    assert (event["how"], event["key"], event["index"]) == (how, marker, 0)
    assert keys(store) == before


@pytest.mark.parametrize("code", ["0", "5"])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [(("myjob.sh", "0", "more"), MYJOB), (("myjob.sh", "0"), MYJOB + "# another\n")],
)
def test_another_job_where_one_has_ended_is_refused(by_hand, store, capsys, code, arguments, text):
    for _ in range(2):
        by_hand("myjob.sh", code)
    before = keys(store)
    capsys.readouterr()
    assert by_hand(*arguments, text=text) == 78
    told = capsys.readouterr().err
    assert told.startswith(f"drydock: S3_OUTPUT_LOCATION: s3://{DATA}/out/markers/")
    assert "choose another S3_OUTPUT_LOCATION" in told
    assert told.count("\n") == 1
    assert keys(store) == before
    assert by_hand(*arguments, text=text, output=f"s3://{DATA}/elsewhere") == 0


def test_jobs_of_one_script_share_a_location_and_others_are_refused(by_hand, store):
    for folder in ("in", "more"):
        for name in ("a", "b"):
            store.put(DATA, f"{folder}/{name}", f"{folder}/{name}".encode())

    def start(index, folder="in", text=MYJOB):
        where = {"S3_INPUT_LOCATION": f"s3://{DATA}/{folder}/"}
        return by_hand("myjob.sh", "0", text=text, AWS_BATCH_JOB_ARRAY_INDEX=f"{index}", **where)

    assert [start(0), start(1), start(1)] == [0, 0, 0]
    assert start(1, folder="more") == 78
    assert start(1, text=MYJOB + "# another\n") == 78
    assert len(keys(store, "out/markers/")) == 2


def test_a_job_with_other_arguments_begins_anew_where_one_was_interrupted(
    by_hand, store, monkeypatch
):
    text = (
        '#!/bin/bash\ntest -e "$CHECKPOINT_DIR/x" && { echo again > "$OUTPUT_DIR/y"; exit 0; }\n'
        'test "$1" = two && { echo two > "$OUTPUT_DIR/y"; exit 0; }\n'
        'echo 1 > "$CHECKPOINT_DIR/x"\nsleep 60\n'
    )
    stop_at_the_first_checkpoint(monkeypatch)
    assert by_hand("myjob.sh", "one", text=text) == 1
    assert by_hand("myjob.sh", "two", text=text) == 0
    assert store.get(DATA, "out/0/1/y").body == b"two\n"
    assert by_hand("myjob.sh", "one", text=text) == 78


@pytest.mark.parametrize(
    ("arguments", "values", "sentence"),
    [
        ((), {"BATCH_FILE_TYPE": "zip"}, "first argument must name the script"),
        ((), {"BATCH_FILE_TYPE": "tar"}, "BATCH_FILE_TYPE is 'tar'"),
        ((), {"BATCH_FILE_TYPE": None}, "BATCH_FILE_TYPE is ''"),
        ((), {"BATCH_FILE_S3_URL": None}, "BATCH_FILE_S3_URL: '' is no S3 URI"),
        ((), {"BATCH_FILE_S3_URL": "https://lab.example/x.sh"}, "must begin with s3://"),
        ((), {"BATCH_FILE_S3_URL": f"s3://{DATA}/jobs/"}, "not a prefix"),
        ((), {"BATCH_FILE_S3_URL": f"s3://{DATA}/jobs/none"}, "does not exist"),
        ((), {"TOOL": "vina"}, "TOOL is 'vina'"),
        (("../x",), {}, "leads out"),
    ],
)
def test_what_cannot_be_run_is_told_and_leaves_nothing(
    by_hand, store, capsys, arguments, values, sentence
):
    assert by_hand(*arguments, **values) == 78
    assert sentence in capsys.readouterr().err
    assert keys(store) == []


def test_a_command_by_hand_has_its_options_among_the_dockfiles(by_hand, store):
    options = {"command": ["sort", "{input}"], "stdout": "{stem}.sorted"}
    store.put(DATA, "dock/options.json", json.dumps(options).encode())
    store.put(DATA, "in/a.txt", b"b\na\n")
    code = by_hand(
        BATCH_FILE_TYPE=None,
        BATCH_FILE_S3_URL=None,
        TOOL="command",
        S3_DOCKFILES_LOCATION=f"s3://{DATA}/dock/",
        S3_INPUT_LOCATION=f"s3://{DATA}/in/",
    )
    assert code == 0
    assert store.get(DATA, "out/0/0/a.sorted").body == b"a\nb\n"


def test_the_containers_arguments_reach_the_script(endpoint, scratch):
    """The very process that a container starts; other arguments than a script's are refused."""
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="jobs-bucket")
    client.put_object(Bucket="jobs-bucket", Key="myjob.sh", Body=MYJOB.replace("env >", "env #"))
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        "SHRTCACHE": str(scratch),
    }

    def start(*arguments, **extra):
        return subprocess.run(
            [sys.executable, "-m", "worker", *arguments],
            env=environment | extra,
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )

    url = {"BATCH_FILE_TYPE": "script", "BATCH_FILE_S3_URL": "s3://jobs-bucket/myjob.sh"}
    ended = start("myjob.sh", "7", "--help", **url)
    assert ended.returncode == 7, ended.stderr
    assert "Args: 7 --help" in ended.stdout
    assert start("myjob.sh", "7").returncode == 78
