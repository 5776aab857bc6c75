import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from local.embedded import DefinitionRefusedError, EmbeddedAws
from local.s3_mirror import S3Mirror
from local.specs import BucketSpec, StateMachineSpec
from local.surroundings import DirectoryInUseError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def other(tmp_path):
    """An embedded AWS in a process of its own, and a client of its S3."""
    owner = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("embedded_owner.py"), tmp_path],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )
    endpoint_url = owner.stdout.readline().strip()
    yield owner, boto3.client("s3", endpoint_url=endpoint_url)
    owner.kill()
    owner.wait()


def multipart(s3, bucket, key, parts):
    upload = {"Bucket": bucket, "Key": key}
    upload["UploadId"] = s3.create_multipart_upload(**upload, ContentType="text/x")["UploadId"]
    etags = [
        {"PartNumber": n, "ETag": s3.upload_part(**upload, PartNumber=n, Body=part)["ETag"]}
        for n, part in enumerate(parts, start=1)
    ]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": etags})


def facts(s3, bucket, key):
    head = s3.head_object(Bucket=bucket, Key=key)
    names = ("ETag", "ContentLength", "ContentType", "Metadata", "ServerSideEncryption")
    return {name: head.get(name) for name in names}


def test_objects_survive_a_kill_of_the_embedded_aws(tmp_path, other):
    owner, s3 = other
    s3.create_bucket(Bucket="lab")
    s3.create_bucket(Bucket="empty")
    s3.put_object(Bucket="lab", Key="plain", Body=b"plain", Metadata={"epoch": "3"})
    s3.put_object(
        Bucket="lab", Key="a//b/", Body=b"", ContentType="x/y", ServerSideEncryption="AES256"
    )
    s3.put_object(Bucket="lab", Key="a", Body=b"beside a folder")
    s3.put_object(Bucket="lab", Key="gone", Body=b"x")
    s3.put_object(Bucket="lab", Key="gone-too", Body=b"x")
    s3.copy_object(Bucket="lab", Key="copy", CopySource={"Bucket": "lab", "Key": "plain"})
    multipart(s3, "lab", "parts", [b"x" * 5_242_880, b"y"])
    s3.delete_object(Bucket="lab", Key="gone")
    s3.delete_objects(Bucket="lab", Delete={"Objects": [{"Key": "gone-too"}]})
    s3.put_object(Bucket="lab", Key="never", Body=b"x", ContentType="was/there")
    s3.put_object(Bucket="lab", Key="never", Body=b"replaced")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket="lab")["Contents"]]
    before = {key: facts(s3, "lab", key) for key in keys}
    assert keys == ["a", "a//b/", "copy", "never", "parts", "plain"]
    assert before["parts"]["ETag"].endswith('-2"')

    owner.kill()
    owner.wait()
    with EmbeddedAws(tmp_path) as again:
        s3 = again.client("s3")
        assert {each["Name"] for each in s3.list_buckets()["Buckets"]} == {"empty", "lab"}
        listed = s3.list_objects_v2(Bucket="lab")["Contents"]
        assert {each["Key"]: each["ETag"] for each in listed} == {
            key: before[key]["ETag"] for key in keys
        }
        assert {key: facts(s3, "lab", key) for key in keys} == before
        assert s3.get_object(Bucket="lab", Key="plain")["Body"].read() == b"plain"
        again.create_bucket(BucketSpec("lab", event_bridge=True))  # what a deployment does again
        s3.put_object(Bucket="lab", Key="plain", Body=b"2", IfMatch=before["plain"]["ETag"])


def test_a_directory_has_one_embedded_aws(tmp_path, other):
    owner, _ = other
    with pytest.raises(DirectoryInUseError, match=f"process {owner.pid}"):
        EmbeddedAws(tmp_path)


def test_a_process_has_one_embedded_aws(tmp_path):
    with (
        EmbeddedAws(tmp_path / "one"),
        pytest.raises(DirectoryInUseError, match="this process"),
    ):
        EmbeddedAws(tmp_path / "two")
    with EmbeddedAws(tmp_path / "two"):
        pass


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_an_end_leaves_no_process_whatever_was_running(other, eventually, end):
    owner, s3 = other
    warm = children_of(owner.pid)
    lambdas = boto3.client("lambda", endpoint_url=s3.meta.endpoint_url)
    lambdas.invoke(FunctionName="sleep", InvocationType="Event", Payload='{"seconds": 600}')
    eventually(lambda: len(children_of(owner.pid)) > len(warm) > 0)
    pids = children_of(owner.pid)
    owner.send_signal(end)
    owner.wait(20)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def children_of(pid):
    """The processes below `pid`."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    below, grown = {pid}, set()
    while below != grown:
        grown = below
        below = below | {child for child, parent in parents.items() if parent in below}
    return below - {pid}


def test_a_start_forgets_what_was_no_data(tmp_path):
    with EmbeddedAws(tmp_path) as aws:
        aws.client("sqs").create_queue(QueueName="lost")
    with EmbeddedAws(tmp_path) as aws:
        assert "QueueUrls" not in aws.client("sqs").list_queues()


def test_an_end_puts_the_environment_back(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    before = dict(os.environ)
    with EmbeddedAws(tmp_path) as aws:
        assert os.environ["MOTO_PORT"] == str(aws.gateway.port)
        assert "AWS_ENDPOINT_URL" not in os.environ
    assert dict(os.environ) == before


def test_the_region_is_the_environments(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with EmbeddedAws(tmp_path) as aws:
        aws.create_bucket(BucketSpec("here"))
        location = aws.client("s3").get_bucket_location(Bucket="here")
        assert location["LocationConstraint"] == "eu-central-1"
    with EmbeddedAws(tmp_path) as aws:
        assert aws.client("s3").head_bucket(Bucket="here")["BucketRegion"] == "eu-central-1"


def test_a_definition_with_holes_is_refused_with_all_of_them(tmp_path):
    holes = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "${Next}"}}}
    with EmbeddedAws(tmp_path) as aws:
        with pytest.raises(DefinitionRefusedError) as refused:
            aws.create_state_machine(StateMachineSpec("m", holes))
        assert "no state beside it" in str(refused.value)
        assert "was not substituted" in str(refused.value)


def test_a_full_disk_is_an_error_of_the_request(tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    with EmbeddedAws(tmp_path) as aws:
        aws.create_bucket(BucketSpec("lab"))
        monkeypatch.setattr(S3Mirror, "write", no_space)
        s3 = aws.client("s3")
        with pytest.raises(s3.exceptions.ClientError, match="No space left on device"):
            s3.put_object(Bucket="lab", Key="a", Body=b"x")
