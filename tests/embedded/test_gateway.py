import http.client
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ClientError

from drydock.errors import AlreadyExists
from drydock.store import Store
from drydock.uris import S3Uri
from local.gateway import ApiCall, Gateway
from local.specs import BucketSpec
from worker.download import Wanted, download
from worker.stop_signals import Stop


@pytest.fixture
def bucket(aws):
    aws.create_bucket(BucketSpec("lab"))
    return "lab"


def error_of(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def test_an_unsigned_request_is_refused_in_s3s_words(aws, bucket):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{aws.endpoint_url}/{bucket}/key")
    assert refused.value.code == 403
    assert b"<Code>AccessDenied</Code>" in refused.value.read()


def test_it_listens_where_it_is_told_to_and_nowhere_else():
    gateway = Gateway()
    gateway.listen(0, ["127.0.0.2"])
    gateway.serve()
    try:
        for address in ("127.0.0.1", "127.0.0.2"):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"http://{address}:{gateway.port}/lab/key")
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(f"http://127.0.0.3:{gateway.port}/lab/key")
    finally:
        gateway.close()


def test_an_address_of_another_machine_is_refused():
    gateway = Gateway()
    with pytest.raises(OSError, match="assign"):
        gateway.listen(0, ["192.0.2.1"])
    gateway.close()


def test_a_presigned_url_is_as_good_as_a_signature(aws, bucket):
    s3 = aws.client("s3")
    s3.put_object(Bucket=bucket, Key="a b", Body=b"content")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"})
    assert urllib.request.urlopen(url).read() == b"content"


def test_a_service_that_nobody_has_is_refused(aws):
    assert error_of(aws.client("chime").list_accounts) == "UnknownOperationException"


def test_a_request_that_is_not_run_here_is_refused(aws):
    assert error_of(aws.client("lambda").list_functions) == "UnknownOperationException"
    assert error_of(aws.client("events").list_rules) == "UnknownOperationException"


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("sqs", "list_queues"),
        ("sns", "list_topics"),
        ("logs", "describe_log_groups"),
        ("secretsmanager", "list_secrets"),
        ("sts", "get_caller_identity"),
        ("stepfunctions", "list_state_machines"),
        ("batch", "list_jobs"),
        ("ecr", "describe_repositories"),
    ],
)
def test_each_service_answers(aws, service, operation):
    if operation == "list_jobs":
        assert error_of(aws.client(service).list_jobs, jobQueue="none") == "ClientException"
    else:
        response = getattr(aws.client(service), operation)()
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_every_call_is_kept_with_its_principal(aws, bucket):
    aws.gateway.calls.clear()
    aws.client("s3", "reader-role").list_objects_v2(Bucket=bucket, Prefix="runs/")
    aws.client("sqs", "poller-role").list_queues()
    assert list(aws.gateway.calls) == [
        ApiCall("s3", f"GET /{bucket}?list-type=2&prefix=runs%2F&encoding-type=url", "reader-role"),
        ApiCall("sqs", "ListQueues", "poller-role"),
    ]


def test_a_large_object_survives_expect_100_continue(aws, bucket):
    body = bytes(range(256)) * 40_000
    aws.client("s3").put_object(Bucket=bucket, Key="large", Body=body)
    assert aws.client("s3").get_object(Bucket=bucket, Key="large")["Body"].read() == body


def test_a_chunked_upload_arrives_whole(aws, bucket):
    s3 = aws.client("s3")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "chunked"})
    connection = http.client.HTTPConnection("127.0.0.1", aws.gateway.port)
    connection.request("PUT", url, iter([b"one ", b"two ", b"three"]), encode_chunked=True)
    assert connection.getresponse().status == 200
    assert s3.get_object(Bucket=bucket, Key="chunked")["Body"].read() == b"one two three"


def test_one_client_is_shared_by_many_threads(aws, bucket):
    s3 = aws.client("s3")

    def there_and_back(number):
        s3.put_object(Bucket=bucket, Key=f"many/{number}", Body=b"%d" % number)
        return s3.get_object(Bucket=bucket, Key=f"many/{number}")["Body"].read()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(there_and_back, range(40))) == [b"%d" % n for n in range(40)]


@pytest.fixture
def moto_dawdles(monkeypatch):
    """Makes moto wait between looking at a request's conditions and writing."""
    from moto.s3.responses import S3Response

    checksum = S3Response._get_checksum

    def slowly(*arguments):
        time.sleep(0.02)
        return checksum(*arguments)

    monkeypatch.setattr(S3Response, "_get_checksum", slowly)


def at_once(count, act):
    """Run `act(number)` on `count` threads that all start together."""
    barrier = threading.Barrier(count)

    def wait_and_act(number):
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(wait_and_act, range(count)))


def holds(call, **arguments):
    """Make a conditional request; whether its condition held."""
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] == "PreconditionFailed":
            return False
        raise
    return True


def test_of_many_creations_of_one_key_one_succeeds(aws, bucket, moto_dawdles):
    s3 = aws.client("s3")

    def create(number, key):
        body = b"%d" % number
        condition = {"IfNoneMatch": "*"}
        return (
            body if holds(s3.put_object, Bucket=bucket, Key=key, Body=body, **condition) else None
        )

    for attempt in range(3):
        key = f"claims/{attempt}"
        created = [body for body in at_once(8, lambda n, key=key: create(n, key)) if body]
        assert created == [s3.get_object(Bucket=bucket, Key=key)["Body"].read()]


def test_compare_and_swap_loses_no_update(aws, bucket, moto_dawdles):
    s3 = aws.client("s3")
    s3.put_object(Bucket=bucket, Key="counter", Body=b"0")

    def add_one(_):
        while True:
            seen = s3.get_object(Bucket=bucket, Key="counter")
            body = b"%d" % (int(seen["Body"].read()) + 1)
            swap = {"Bucket": bucket, "Key": "counter", "Body": body, "IfMatch": seen["ETag"]}
            if holds(s3.put_object, **swap):
                return

    at_once(8, lambda number: [add_one(number) for _ in range(5)])
    assert s3.get_object(Bucket=bucket, Key="counter")["Body"].read() == b"40"


def test_conditions_answer_as_s3_does(aws, bucket):
    s3 = aws.client("s3")
    here = {"Bucket": bucket, "Key": "conditions"}
    assert error_of(s3.put_object, **here, Body=b"x", IfMatch='"none"') == "NoSuchKey"
    etag = s3.put_object(**here, Body=b"x")["ETag"]
    assert error_of(s3.put_object, **here, Body=b"y", IfMatch='"other"') == "PreconditionFailed"
    assert error_of(s3.delete_object, **here, IfMatch='"other"') == "PreconditionFailed"
    assert error_of(s3.get_object, **here, IfMatch='"other"') == "PreconditionFailed"
    s3.delete_object(**here, IfMatch=etag)
    assert error_of(s3.get_object, **here) == "NoSuchKey"


def test_a_multipart_upload_can_be_conditional(aws, bucket):
    s3 = aws.client("s3")
    here = {"Bucket": bucket, "Key": "once"}

    def upload(body):
        part = {**here, "UploadId": s3.create_multipart_upload(**here)["UploadId"]}
        etag = s3.upload_part(**part, PartNumber=1, Body=body)["ETag"]
        parts = {"Parts": [{"ETag": etag, "PartNumber": 1}]}
        return s3.complete_multipart_upload(**part, MultipartUpload=parts, IfNoneMatch="*")

    upload(b"first")
    assert error_of(upload, body=b"second") == "PreconditionFailed"
    assert s3.get_object(**here)["Body"].read() == b"first"


def test_a_large_object_goes_up_in_parts_and_is_a_file_of_the_directory(aws, bucket, tmp_path):
    store, body = Store(aws.client("s3")), bytes(range(256)) * (17 * 4096)
    etag = store.put_once(bucket, "in-parts", body)
    assert etag.endswith("-3")
    with pytest.raises(AlreadyExists):
        store.put_once(bucket, "in-parts", body[::-1])
    download(store, Wanted(S3Uri(bucket, "in-parts"), etag), tmp_path / "back", Stop())
    assert (tmp_path / "back").read_bytes() == body
    kept = [path for path in aws.directory.rglob("in-parts") if path.is_file()]
    assert [path.read_bytes() == body for path in kept] == [True]


def test_put_events_reach_the_bus_and_nobody_speaks_as_aws(aws):
    entries = [
        {"Source": "lab.robot", "DetailType": "Plate Read", "Detail": '{"plate": 1}'},
        {"Source": "aws.s3", "DetailType": "Object Created", "Detail": "{}"},
        {"Source": "lab.robot", "DetailType": "Plate Read", "Detail": "no json"},
    ]
    answer = aws.client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 2
    assert "EventId" in answer["Entries"][0]
    assert answer["Entries"][1]["ErrorCode"] == "NotAuthorizedForSourceException"
    assert answer["Entries"][2]["ErrorCode"] == "MalformedDetail"


def test_a_bucket_may_stand_in_the_host_name(aws, bucket):
    request = urllib.request.Request(
        f"{aws.endpoint_url}/virtual/a%20b?x-id=PutObject",
        data=b"there",
        method="PUT",
        headers={
            "Host": f"{bucket}.localhost:{aws.gateway.port}",
            "Content-Type": "text/plain",
            "Authorization": "AWS4-HMAC-SHA256 Credential=me/20260101/us-east-1/s3/aws4_request, x",
        },
    )
    urllib.request.urlopen(request)
    s3 = aws.client("s3")
    assert s3.get_object(Bucket=bucket, Key="virtual/a b")["Body"].read() == b"there"
    assert (aws.directory / "s3" / bucket / "virtual" / "a b").read_bytes() == b"there"


def test_clients_need_no_path_style_of_their_own(aws, bucket):
    s3 = boto3.client("s3", endpoint_url=aws.endpoint_url, region_name=aws.region)
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert s3.head_object(Bucket=bucket, Key="plain")["ContentLength"] == 1
