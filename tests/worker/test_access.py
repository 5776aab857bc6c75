"""Whose credentials S3 is used with by hand, on an S3 that looks at them; and what a role needs."""

import json
from pathlib import Path

import boto3
import pytest
import requests

from tests.worker.support import DATA, EXAMPLE, ROOT, ligand
from worker.agent import main

POLICY = ROOT / "docs" / "s3-role-policy.json"
REGION = "us-east-1"
ALL_SECRETS = {"Action": "secretsmanager:GetSecretValue", "Resource": "*"}


@pytest.fixture
def aws(endpoint, client, store, monkeypatch):
    """An AWS that knows users and their policies, once :meth:`Aws.guard` was called."""
    made = Aws(endpoint, monkeypatch)
    store.put(DATA, "dockfiles/receptor.pdbqt", (EXAMPLE / "receptor.pdbqt").read_bytes())
    options = {"center": [12.8, 95.1, 58.6], "size": [9, 9, 9], "max_evals": 500}
    store.put(DATA, "dockfiles/options.json", json.dumps(options).encode())
    store.put(DATA, "input/a.pdbqt", ligand("caffeine"))
    yield made
    made.open()


class Aws:
    def __init__(self, endpoint, monkeypatch):
        self._endpoint, self._monkeypatch = endpoint, monkeypatch
        requests.post(f"{endpoint}/moto-api/reset-auth", data=b"inf", timeout=10)
        self._iam = self._client("iam")
        self._secrets = self._client("secretsmanager")
        self._made, self._roles = [], []

    def _client(self, service):
        return boto3.client(service, endpoint_url=self._endpoint, region_name=REGION)

    def user(self, name, *statements):
        """A user who may do that; his keys."""
        self._iam.create_user(UserName=name)
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow"} | each for each in statements],
        }
        if statements:
            self._iam.put_user_policy(
                UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy)
            )
        key = self._iam.create_access_key(UserName=name)["AccessKey"]
        self._made.append((name, key["AccessKeyId"], bool(statements)))
        return key["AccessKeyId"], key["SecretAccessKey"]

    def role(self, name, *statements):
        """Keys and token of somebody who took on a role that may do that."""
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow"} | each for each in statements],
        }
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        made = self._iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        self._iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        self._roles.append(name)
        taken = self._client("sts").assume_role(RoleArn=made["Role"]["Arn"], RoleSessionName="lab")
        keys = taken["Credentials"]
        return keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]

    def secret(self, name, value):
        self._secrets.create_secret(Name=name, SecretString=value)

    def guard(self):
        """From now on nobody may do what no policy allows."""
        requests.post(f"{self._endpoint}/moto-api/reset-auth", data=b"0", timeout=10)

    def open(self):
        """Let everybody do everything again, and forget users and secrets."""
        requests.post(f"{self._endpoint}/moto-api/reset-auth", data=b"inf", timeout=10)
        for name, key, has_policy in self._made:
            self._iam.delete_access_key(UserName=name, AccessKeyId=key)
            if has_policy:
                self._iam.delete_user_policy(UserName=name, PolicyName="p")
            self._iam.delete_user(UserName=name)
        for name in self._roles:
            self._iam.delete_role_policy(RoleName=name, PolicyName="p")
            self._iam.delete_role(RoleName=name)
        self._made.clear()
        self._roles.clear()
        for found in self._secrets.list_secrets()["SecretList"]:
            self._secrets.delete_secret(SecretId=found["Name"], ForceDeleteWithoutRecovery=True)

    def work(self, scratch, keys, **variables):
        """The worker by hand with these keys in its environment; its exit code."""
        given = {
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": keys[0],
            "AWS_SECRET_ACCESS_KEY": keys[1],
            "S3_INPUT_LOCATION": f"s3://{DATA}/input/",
            "S3_OUTPUT_LOCATION": f"s3://{DATA}/output/",
            "S3_DOCKFILES_LOCATION": f"s3://{DATA}/dockfiles/",
            "SHRTCACHE": str(scratch),
            "AWS_EC2_METADATA_DISABLED": "true",
        } | variables
        if keys[2:]:
            given["AWS_SESSION_TOKEN"] = keys[2]
        with self._monkeypatch.context() as patched:
            patched.delenv("AWS_SESSION_TOKEN", raising=False)
            for name, value in given.items():
                patched.setenv(name, value)
            return main(given)


def statements(leaving_out=()):
    """The role's policy of docs/, for the tests' bucket."""
    text = POLICY.read_text().replace("OUTPUT-PREFIX", "output")
    for name in ("INPUT-BUCKET", "OUTPUT-BUCKET"):
        text = text.replace(name, DATA)
    found = json.loads(text)["Statement"]
    for each in found:
        del each["Sid"]
        actions = [each["Action"]] if isinstance(each["Action"], str) else each["Action"]
        each["Action"] = [action for action in actions if action not in leaving_out]
    return [each for each in found if each["Action"]]


def written(store):
    return [found.key for found in store.list(DATA, "output/")]


def test_explicit_keys_with_the_policy_of_the_docs_are_all_that_is_needed(aws, store, scratch):
    keys = aws.user("lab", *statements())
    aws.guard()
    assert aws.work(scratch, keys, NO_ACCESS_KEY="T") == 0
    aws.open()
    assert "output/markers/by-hand/000000/00000-00000.done" in written(store)


def test_keys_with_a_session_token_work(aws, store, scratch):
    *keys, token = aws.role("lab", *statements())
    aws.guard()
    assert aws.work(scratch, (*keys, "another token"), NO_ACCESS_KEY="T") == 78
    assert aws.work(scratch, (*keys, token), NO_ACCESS_KEY="T") == 0
    aws.open()
    assert "output/markers/by-hand/000000/00000-00000.done" in written(store)


def test_the_secrets_keys_take_no_token_of_the_environment(aws, store, scratch):
    access, secret = aws.user("writer", *statements())
    reader = aws.role("reader", ALL_SECRETS)
    aws.secret("aws_access_key", access)
    aws.secret("aws_secret_key", secret)
    aws.guard()
    assert aws.work(scratch, reader) == 0
    aws.open()
    assert written(store)


@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:GetObject", "s3:PutObject"])
def test_without_any_of_it_the_worker_says_so(aws, store, scratch, capsys, action):
    keys = aws.user("lab", *statements(leaving_out=[action]))
    aws.guard()
    assert aws.work(scratch, keys, NO_ACCESS_KEY="T") == 78
    aws.open()
    assert "S3 refuses" in capsys.readouterr().err
    assert written(store) == []


def test_the_policy_grants_nothing_but_what_a_worker_by_hand_may_ask():
    policy = json.loads(POLICY.read_text())
    granted = [each["Action"] for each in policy["Statement"]]
    actions = {action for each in granted for action in ([each] if isinstance(each, str) else each)}
    assert actions == {
        *("s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject", "s3:PutObject"),
        *("s3:AbortMultipartUpload", "s3:DeleteObject"),
    }
    assert all("*" not in str(each["Action"]) for each in policy["Statement"])
    # One object alone is ever removed: the restart that the original image would have removed.
    removed = [each["Resource"] for each in policy["Statement"] if "Delete" in str(each["Action"])]
    assert removed == ["arn:aws:s3:::OUTPUT-BUCKET/OUTPUT-PREFIX/*/restart"]
    assert policy["Version"] == "2012-10-17"
    page = Path(ROOT / "docs" / "by_hand.md").read_text()
    assert "aws iam put-role-policy --role-name" in page
    for name in ("INPUT-BUCKET", "OUTPUT-BUCKET", "OUTPUT-PREFIX"):
        assert name in POLICY.read_text()
        assert f"s/{name}/" in page


def test_keys_that_nobody_has_are_said(aws, store, scratch, capsys):
    aws.guard()
    assert aws.work(scratch, ("AKIANOBODY", "nothing"), NO_ACCESS_KEY="T") == 78
    aws.open()
    assert "S3 refuses" in capsys.readouterr().err
    assert written(store) == []


# -- keys from Secrets Manager


def test_the_secrets_keys_are_used_for_s3_and_the_environments_for_secrets(
    aws, store, scratch, capsys
):
    access, secret = aws.user("writer", *statements())
    reader = aws.user("reader", ALL_SECRETS)
    aws.secret("aws_access_key", access)
    aws.secret("aws_secret_key", json.dumps({"aws_secret_key": secret}))
    aws.guard()
    # The reader's own keys may do nothing in S3.
    assert aws.work(scratch, reader, NO_ACCESS_KEY="T") == 78
    assert aws.work(scratch, reader) == 0
    aws.open()
    said = capsys.readouterr().out
    assert "keys of aws_access_key and aws_secret_key" in said
    assert secret not in said
    assert "output/markers/by-hand/000000/00000-00000.done" in written(store)


def test_without_secrets_the_role_is_used_and_the_journal_says_so(aws, store, scratch, capsys):
    keys = aws.user("lab", *statements(), ALL_SECRETS)
    aws.guard()
    assert aws.work(scratch, keys) == 0
    aws.open()
    assert "Secrets Manager has no aws_access_key" in capsys.readouterr().out
    assert written(store)


def test_secrets_that_are_refused_are_a_misconfiguration(aws, store, scratch, capsys):
    keys = aws.user("lab", *statements())
    aws.guard()
    assert aws.work(scratch, keys) == 78
    aws.open()
    said = capsys.readouterr().err
    assert "Secrets Manager refuses aws_access_key" in said
    assert "NO_ACCESS_KEY=T" in said
    assert written(store) == []


@pytest.mark.parametrize(
    ("access", "secret", "said"),
    [
        ("AKIA", None, "has no aws_secret_key"),
        (None, "x", "has no aws_access_key"),
        (" ", "x", "aws_access_key holds no key"),
        ('{"other": "a", "another": "b"}', "x", "aws_access_key holds no key"),
        ("{", "x", "aws_access_key holds no key"),
        ("AKIA", '{"a": 3}', "aws_secret_key holds no key"),
    ],
)
def test_half_of_the_secrets_is_a_misconfiguration(
    aws, store, scratch, capsys, access, secret, said
):
    if access is not None:
        aws.secret("aws_access_key", access)
    if secret is not None:
        aws.secret("aws_secret_key", secret)
    assert aws.work(scratch, ("a", "b")) == 78
    told = capsys.readouterr().err
    assert said in told
    assert "NO_ACCESS_KEY=T" in told
    assert written(store) == []


# -- settings of AWS that are none


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "nowhere"),
        ("AWS_ENDPOINT_URL_S3", "nowhere"),
        ("AWS_DEFAULT_REGION", "the moon"),
    ],
)
@pytest.mark.parametrize("no_access_key", ["", "T"])
def test_settings_that_are_none_are_said(aws, scratch, capsys, name, value, no_access_key):
    variables = {name: value, "NO_ACCESS_KEY": no_access_key}
    assert aws.work(scratch, ("a", "b"), **variables) == 78
    assert value in capsys.readouterr().err


def test_settings_that_are_none_are_said_of_a_script_of_which_nothing_is_kept(aws, scratch, capsys):
    script = {"BATCH_FILE_TYPE": "script", "BATCH_FILE_S3_URL": f"s3://{DATA}/a.sh"}
    nowhere = {"S3_OUTPUT_LOCATION": "", "AWS_ENDPOINT_URL": "nowhere"}
    assert aws.work(scratch, ("a", "b"), **script, **nowhere) == 78
    assert "nowhere" in capsys.readouterr().err


def test_secrets_need_a_region(aws, scratch, capsys, monkeypatch, tmp_path):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert aws.work(scratch, ("a", "b"), AWS_DEFAULT_REGION="") == 78
    assert "set AWS_DEFAULT_REGION" in capsys.readouterr().err


def test_a_secrets_manager_that_does_not_answer_is_tried_again(aws, store, scratch, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert aws.work(scratch, ("a", "b")) == 1
    assert written(store) == []
