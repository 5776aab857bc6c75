"""The session for S3 alone asks what botocore asks that has read all it comes with."""

import io
import json
from datetime import UTC, datetime
from importlib.resources import files

import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.handlers import BUILTIN_HANDLERS
from botocore.hooks import EventAliaser, HierarchicalEmitter
from botocore.utils import EVENT_ALIASES

from drydock.s3_session import MODELS, S3Session, concerns_s3
from scripts import s3_model

PARTITIONS = json.loads(files("botocore").joinpath("data/partitions.json").read_bytes())[
    "partitions"
]
REGIONS = sorted(region for partition in PARTITIONS for region in partition["regions"])
KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "example"}
# What is of the moment: the date's part of the scope is the same within a test but at midnight.
OF_THE_MOMENT = ("x-amz-date", "amz-sdk-invocation-id")


@pytest.fixture(scope="module")
def whole():
    return botocore.session.get_session()


@pytest.fixture(scope="module")
def ours():
    return S3Session()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


class Sent(Exception):
    """Carries what would have been sent."""

    def __init__(self, request: AWSPreparedRequest) -> None:
        self.request = request


def keep(request, **_):
    raise Sent(request)


def asked(session, region, config=None, **more):
    """What a client would send to write an object, or why it refuses to."""
    try:
        client = session.create_client("s3", region_name=region, config=config, **KEYS, **more)
        client.meta.events.register("before-send.s3", keep)
        client.put_object(Bucket="lab", Key="a key/ü", Body=b"text", IfNoneMatch="*")
    except BotoCoreError as error:
        return f"{type(error).__name__}: {error}"
    except Sent as sent:
        return lasting(sent.request)


def lasting(request):
    """What of a request is not of the moment."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    scope, signed, _ = headers.pop("authorization").decode().split(", ")
    for name in OF_THE_MOMENT:
        del headers[name]
    return request.method, request.url, scope, signed, headers


@pytest.mark.parametrize("region", [None, "aws-global", "us-nowhere-9", "mars", *REGIONS])
def test_the_same_is_asked_in_every_region(whole, ours, region):
    expected = asked(whole, region)
    assert asked(ours, region) == expected
    assert expected[0] == "PUT"


@pytest.mark.parametrize("dual_stack", [False, True])
@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("region", ["us-east-1", "eu-north-1", "cn-north-1", "us-gov-west-1"])
def test_the_same_is_asked_of_other_endpoints(whole, ours, region, fips, dual_stack):
    config = Config(use_dualstack_endpoint=dual_stack, use_fips_endpoint=fips)
    assert asked(ours, region, config) == asked(whole, region, config)


@pytest.mark.parametrize(
    "config",
    [
        Config(s3={"addressing_style": "path", "payload_signing_enabled": False}),
        Config(s3={"use_accelerate_endpoint": True}),
    ],
    ids=["path", "accelerated"],
)
def test_the_same_is_asked_with_settings(whole, ours, config):
    assert asked(ours, "us-west-2", config) == asked(whole, "us-west-2", config)


def test_the_same_is_asked_of_an_own_endpoint(whole, ours):
    own = {"endpoint_url": "http://127.0.0.1:9000"}
    expected = asked(whole, "us-west-2", **own)
    assert asked(ours, "us-west-2", **own) == expected
    assert expected[1].startswith("http://127.0.0.1:9000/")


AN_OBJECT = {"Bucket": "lab", "Key": "a key/ü"}
A_PART = AN_OBJECT | {"UploadId": "an upload"}
PARTS = {"Parts": [{"PartNumber": 1, "ETag": '"e"', "ChecksumCRC32": "AAAAAA=="}]}
LIST = b"""<ListBucketResult><IsTruncated>true</IsTruncated><KeyCount>2</KeyCount>
<NextContinuationToken>on</NextContinuationToken>
<Contents><Key>a%2B&amp;b</Key><LastModified>2026-11-20T01:02:03.000Z</LastModified>
<ETag>"e"</ETag><Size>7</Size></Contents>
<Contents><Key>c</Key><LastModified>2026-11-20T01:02:04.000Z</LastModified>
<ETag>"f"</ETag><Size>0</Size></Contents>
<EncodingType>url</EncodingType></ListBucketResult>"""
CREATED = b"<R><Bucket>lab</Bucket><Key>a</Key><UploadId>an upload</UploadId></R>"
SESSION = b"""<CreateSessionResult><Credentials><SessionToken>t</SessionToken>
<SecretAccessKey>s</SecretAccessKey><AccessKeyId>k</AccessKeyId>
<Expiration>2026-11-20T01:02:03Z</Expiration></Credentials></CreateSessionResult>"""
ASKED = {
    "get_object": (AN_OBJECT | {"Range": "bytes=1-2", "IfMatch": '"e"'}, b"text"),
    "head_object": (AN_OBJECT, b""),
    "list_objects_v2": ({"Bucket": "lab", "Prefix": "a", "StartAfter": "ab", "MaxKeys": 2}, LIST),
    "put_object": (
        AN_OBJECT | {"Body": b"text", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"},
        b"",
    ),
    "delete_object": (AN_OBJECT | {"IfMatch": '"e"'}, b""),
    "create_multipart_upload": (AN_OBJECT | {"ChecksumAlgorithm": "CRC32"}, CREATED),
    "upload_part": (A_PART | {"PartNumber": 1, "Body": b"text", "ChecksumCRC32": "AAAAAA=="}, b""),
    "complete_multipart_upload": (
        A_PART | {"MultipartUpload": PARTS, "IfNoneMatch": "*", "MpuObjectSize": 4},
        b'<R><ETag>"e"</ETag><ChecksumType>FULL_OBJECT</ChecksumType></R>',
    ),
    "abort_multipart_upload": (A_PART, b""),
    "head_bucket": ({"Bucket": "lab"}, b""),
    "create_session": ({"Bucket": "lab--usw2-az1--x-s3"}, SESSION),
}
REFUSED = b"<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"
ANSWERED = {
    "ETag": '"e"',
    "Content-Length": "4",
    "Last-Modified": "Fri, 20 Nov 2026 01:02:03 GMT",
    "Expires": "never",
    "x-amz-meta-lab": "ours",
    "x-amz-bucket-region": "eu-north-1",
}


def answered(session, name, status, body):
    """What a client sends, and what it makes of an answer."""
    sent = []

    def answer(request, **_):
        sent.append(lasting(request))
        raw = io.BytesIO(body)
        raw.stream = lambda *_, **__: iter([body])
        return AWSResponse(request.url, status, ANSWERED, raw)

    client = session.create_client("s3", region_name="us-west-2", **KEYS)
    client.meta.events.register("before-send.s3", answer)
    try:
        found = getattr(client, name)(**ASKED[name][0])
    except client.exceptions.ClientError as error:
        found = error.response
    if "Body" in found:
        found["Body"] = found["Body"].read()
    return sent, found


def without_moments(found):
    """An answer without its moments, and the list of them."""
    if isinstance(found, list):
        return [without_moments(each) for each in found]
    if not isinstance(found, dict):
        return found
    moments = ("LastModified", "Expiration", "Expires")
    return {key: without_moments(value) for key, value in found.items() if key not in moments}


@pytest.mark.parametrize(("status", "body"), [(200, None), (412, REFUSED)], ids=["well", "refused"])
@pytest.mark.parametrize("name", ASKED)
def test_the_same_is_asked_and_understood(whole, ours, name, status, body):
    body = ASKED[name][1] if body is None else body
    sent, found = answered(whole, name, status, body)
    expected = sent, without_moments(found)
    sent, found = answered(ours, name, status, body)
    assert (sent, without_moments(found)) == expected
    assert len(sent) == 1
    assert found["ResponseMetadata"]["HTTPStatusCode"] == status


def test_there_is_a_model_of_all_that_is_asked_and_of_nothing_else(ours):
    client = ours.create_client("s3", region_name="us-west-2", **KEYS)
    operations = {client.meta.method_to_api_mapping[name] for name in ASKED}
    assert operations == s3_model.OPERATIONS == {*client.meta.service_model.operation_names}


def test_moments_stay_as_s3_writes_them(ours):
    found = answered(ours, "list_objects_v2", 200, LIST)[1]
    assert found["Contents"][0]["LastModified"] == "2026-11-20T01:02:03.000Z"


def test_the_models_are_those_of_botocore():
    """What mends it: ``python scripts/s3_model.py``."""
    found = {name: (MODELS / name).read_text().rstrip("\n") for name in s3_model.models()}
    assert found == s3_model.models()
    below = {path.relative_to(MODELS).as_posix() for path in MODELS.rglob("*.json")}
    assert below == set(found)


def test_only_what_other_services_have_done_is_left_out(whole):
    # Events have some services' names otherwise than models have.
    named = {*whole.get_available_services(), *EVENT_ALIASES.values(), "docs"}
    named |= {"lex-runtime-v2", "s3-control"}
    others = named - {"s3", "sts", "sso", "sso-oidc", "signin"}
    names = [name for name, *_ in BUILTIN_HANDLERS]
    left_out = [name for name in names if not concerns_s3(name)]
    assert {name.split(".")[0 if name.startswith("docs") else 1] for name in left_out} <= others
    assert [
        name for name in left_out if f"{name}.".split(".")[1] == "s3" and "docs" not in name
    ] == []
    assert len(left_out) > len(names) / 2


class Names(HierarchicalEmitter):
    """Takes note of the names by which events are asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def emit(self, event_name, **_):
        self.asked.append(event_name)
        return []


def test_no_event_of_these_services_has_another_name():
    services = ("s3", "sts", "sso", "sso-oidc", "signin")
    events = [f"before-call.{service}.Operation" for service in services]
    events += [name for name, *_ in BUILTIN_HANDLERS if concerns_s3(name)]
    emitter = Names()
    aliaser = EventAliaser(emitter)
    for name in [*events, "before-call.elb.Operation"]:
        aliaser.emit(name)
    assert emitter.asked == [*events, "before-call.elastic-load-balancing.Operation"]


@pytest.fixture(params=["us-west-2", None])
def region(request):
    """The Region of the shared configuration."""
    return request.param


@pytest.fixture(params=["keys", "token"])
def role(request, region, monkeypatch, tmp_path):
    """A role that keys, or the token of a web identity, may take on."""
    source = {
        "keys": "source_profile = people",
        "token": f"web_identity_token_file = {tmp_path / 'token'}",
    }
    (tmp_path / "token").write_text("a token")
    (tmp_path / "config").write_text(
        "[profile worker]\nrole_arn = arn:aws:iam::123456789012:role/worker\n"
        f"{source[request.param]}\nrole_session_name = test\n"
        + (f"region = {region}\n" if region else "")
        + "[profile people]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = example\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "worker")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("role")
def test_a_role_is_asked_for_as_ever(region):
    """By a client of STS that the session itself makes."""

    def asked_of_sts(session):
        session.get_component("event_emitter").register("before-send.sts", keep)
        with pytest.raises(Sent) as sent:
            session.get_credentials().get_frozen_credentials()
        request = sent.value.request
        signature = request.headers.get("Authorization", b"").split(b", ")[:2]
        return request.url, request.body, signature

    expected = asked_of_sts(botocore.session.get_session())
    assert asked_of_sts(S3Session()) == expected
    host = f"sts.{region}.amazonaws.com" if region else "sts.amazonaws.com"
    assert expected[0] == f"https://{host}/"


@pytest.mark.usefixtures("role")
def test_what_a_role_gives_ends_when_sts_says(region):
    """Moments are not read, and that is one of them."""
    given = b"""<R><AssumeRoleResult><Credentials><AccessKeyId>k</AccessKeyId>
        <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
        <Expiration>2126-11-20T01:02:03Z</Expiration></Credentials></AssumeRoleResult></R>"""

    def answer(request, **_):
        raw = io.BytesIO()
        raw.stream = lambda *_, **__: iter(
            [given.replace(b"AssumeRoleResult", b"AssumeRoleWithWebIdentityResult")]
            if b"WebIdentity" in str(request.body).encode()
            else [given]
        )
        return AWSResponse(request.url, 200, {}, raw)

    session = S3Session()
    session.get_component("event_emitter").register("before-send.sts", answer)
    credentials = session.get_credentials()
    assert credentials.get_frozen_credentials()[:3] == ("k", "s", "t")
    assert credentials._expiry_time == datetime(2126, 11, 20, 1, 2, 3, tzinfo=UTC)
