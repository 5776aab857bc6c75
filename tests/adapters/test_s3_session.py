"""The session for S3 alone asks what botocore asks that has read all it comes with."""

import json
from importlib.resources import files

import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.handlers import BUILTIN_HANDLERS
from botocore.hooks import EventAliaser, HierarchicalEmitter
from botocore.utils import EVENT_ALIASES

from drydock.s3_session import S3Session, concerns_s3

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
        request = sent.request
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
