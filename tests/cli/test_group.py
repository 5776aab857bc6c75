"""`make group`: what becomes a call of `sam deploy`, and what is refused, with nothing between."""

import os
import shlex
import subprocess
import sys
import tomllib

import pytest

from cli.group import SAM, GroupRefused, checked_name, command, main, parameters, stack_of
from drydock.images import is_allowed
from local.parameters import parameter_values
from tests.architecture.imports import ROOT
from tests.architecture.stack import translated

ECR = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
GOOD = {
    "BUCKET": "doe-data,doe-data.old",
    "IMAGES": f"{ECR}/doe-j/,quay.io/",
    "WORKER_IMAGE": f"{ECR}/drydock/worker:0.1.0",
    "SECRETS": "arn:aws:secretsmanager:us-west-2:123456789012:secret:doe/license-AbCdEf",
    "KMS_KEY": "arn:aws:kms:us-west-2:123456789012:key/0a1b-2c3d",
    "EMAIL": "doe+batch@lab.example.org",
    "BUDGET": "500",
    "MAX_VCPUS": "64",
    "PARAMETERS": "GpuMaxVcpus=16 InstanceTypes=m5d,c5d",
}


def make(*words, **environment):
    """`make group` as it is typed, in an environment that is there already."""
    return subprocess.run(
        ["make", "--silent", "--old-file", "environment", f"python={sys.executable}", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def printed(answer):
    """The words of the call that was printed."""
    assert answer.returncode == 0, answer.stderr
    build, deploy = answer.stdout.splitlines()
    assert build == "make build"
    return shlex.split(deploy)


def test_a_group_becomes_a_deployment_of_its_own():
    answer = make("group", "NAME=doe-j", "BUCKET=doe-data", "PRINT=1")
    assert printed(answer) == [
        *(".venv-sam/bin/sam", "deploy", "--config-env", "group"),
        *("--stack-name", "drydock-doe-j", "--s3-prefix", "drydock-doe-j"),
        *("--tags", "drydock=drydock-doe-j"),
        *("--parameter-overrides", "DataBucketNames=doe-data"),
    ]


def test_without_credentials_it_is_printed_too(tmp_path, monkeypatch):
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    answer = make("group", "NAME=doe-j")
    assert "--parameter-overrides" not in printed(answer)
    assert "no credentials for AWS" in answer.stderr


def test_what_the_surroundings_set_counts_for_nothing():
    answer = make("group", "PRINT=1", NAME="desk-top", BUCKET="somebody-elses")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "NAME: '' was given" in answer.stderr


@pytest.mark.parametrize(
    "variables", [("NAME", "BUCKET", "IMAGES", "EMAIL", "PARAMETERS"), ("PRINT",)]
)
def test_nothing_that_was_given_reaches_a_shell(tmp_path, variables):
    witness = tmp_path / "witness"
    nasty = f"x\"; touch {witness}; \"`touch {witness}`$$(touch {witness})';touch {witness};'"
    given = {"NAME": "doe-j", **dict.fromkeys(variables, nasty)}
    answer = make("group", *(f"{name}={value}" for name, value in given.items()))
    assert not witness.exists()
    assert answer.returncode == (0 if "PRINT" in variables else 2), answer.stderr


class Account:
    """What a deployment asks AWS for by itself: who it is, and the outputs at its end."""

    region_name = "us-west-2"

    def __init__(self, **_):
        self.outputs = {"IntakeBucket": "drydock-doe-j-intake", "SubmitterPolicyArn": "arn:p"}

    def get_credentials(self):
        return object()

    def client(self, _service):
        return self

    def get_caller_identity(self):
        return {"Account": "123456789012"}

    def describe_stacks(self, **given):
        assert given == {"StackName": "drydock-doe-j"}
        outputs = [{"OutputKey": k, "OutputValue": v} for k, v in self.outputs.items()]
        return {"Stacks": [{"Outputs": outputs}]}


@pytest.mark.parametrize(("fails", "expected"), [(None, 0), ("make", 2), (SAM, 1)])
def test_with_credentials_it_is_built_and_deployed(monkeypatch, capsys, fails, expected):
    called = []

    def run(words, **given):
        assert not given.get("shell")
        called.append(words)
        return subprocess.CompletedProcess(words, expected if words[0] == fails else 0)

    monkeypatch.setattr("cli.group.subprocess.run", run)
    monkeypatch.setattr("cli.group.boto3.Session", Account)
    given = {"DRYDOCK_GIVEN": "NAME BUCKET", "NAME": "doe-j", "BUCKET": "doe-data"}
    assert main(given) == expected
    build, *deploy = called
    assert build == ["make", "build"]
    overrides = {"DataBucketNames": "doe-data"}
    assert deploy == ([] if fails == "make" else [command("doe-j", overrides)])
    told = capsys.readouterr()
    assert "drydock-doe-j in account 123456789012, us-west-2" in told.err
    assert ("SubmitterPolicyArn: arn:p" in told.out) is (fails is None)


@pytest.mark.parametrize("name", ["doe-j", "a-1", "imaging2-core", "a" * 28 + "-b"])
def test_names(name):
    assert checked_name(name) == name
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-using-console-create-stack-parameters.html
    assert len(stack_of(name)) <= 128


@pytest.mark.parametrize(
    "name", ["", "doe", "Doe-J", "doe_j", "doe-j-k", "-j", "doe-", "1doe-j", "worker-x", "a-" * 20]
)
def test_names_that_are_refused(name):
    with pytest.raises(GroupRefused, match="two words") as caught:
        checked_name(name)
    assert repr(name) in str(caught.value)


def test_no_name_of_a_group_begins_with_anothers():
    """Of two names with one dash each, the longer has another letter where the shorter ends."""
    one, other = stack_of(checked_name("doe-j")), stack_of(checked_name("doe-jr"))
    assert not other.startswith((f"{one}-", f"{one}_", f"{one}/"))


def test_every_variable_becomes_a_parameter_that_the_template_takes():
    found = parameters(GOOD)
    assert len(found) == len(GOOD) + 1
    values = parameter_values(translated()["Parameters"], found)
    assert values["DataBucketNames"] == ["doe-data", "doe-data.old"]
    assert values["GpuMaxVcpus"] == "16"
    assert values["MonthlyBudgetUsd"] == "500"


def test_a_whole_repository_is_its_tags_and_digests():
    """The policy of a group's people compares beginnings: `lab/dock` would let `lab/docker` in."""
    allowed = parameters({"IMAGES": f"{ECR}/lab/dock"})["AllowedImages"]
    assert allowed == f"{ECR}/lab/dock:,{ECR}/lab/dock@"
    prefixes = tuple(allowed.split(","))
    for image, is_let_in in (
        (f"{ECR}/lab/dock:2", True),
        (f"{ECR}/lab/dock@sha256:{'0' * 64}", True),
        (f"{ECR}/lab/docker:2", False),
    ):
        assert is_allowed(image, "", prefixes) is is_let_in
        assert image.startswith(prefixes) is is_let_in


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(
            ("BUCKET", each)
            for each in ("Doe", "d", "a..b", "1.2.3.4", "a,", "a/b", "s3://a", "a b")
        ),
        *(("IMAGES", each) for each in ("dock", "*", "a b", f"{ECR}/lab/*", f"{ECR}/dock:1,")),
        *(("WORKER_IMAGE", each) for each in ("worker", f"{ECR}/drydock/worker", f"{ECR}/")),
        *(("SECRETS", each) for each in ("license", "arn:aws:s3:::bucket", "*")),
        *(("EMAIL", each) for each in ("doe", "a@b,c@d", "a b@c")),
        *(("BUDGET", each) for each in ("-1", "5.5", "$5", "lots")),
        *(("PARAMETERS", each) for each in ("MaxVcpus", "a=b", 'A="b"', "A=b;c", "A=$x")),
        ("KMS_KEY", "alias/lab"),
        ("MAX_VCPUS", ""),
    ],
)
def test_values_that_are_refused_are_named(variable, value):
    with pytest.raises(GroupRefused) as caught:
        parameters({variable: value})
    assert str(caught.value).startswith(f"{variable}: {value!r} was given; allowed")


def test_every_problem_is_told_at_once():
    answer = make("group", "NAME=doe", "BUCKET=Doe", "EMAIL=doe", "PRINT=1")
    assert answer.returncode == 2
    told = [line.split(":")[1].strip() for line in answer.stderr.splitlines()[:3]]
    assert told == ["NAME", "BUCKET", "EMAIL"]


def test_its_section_of_samconfig_has_what_the_first_has_and_nothing_of_a_stack():
    """What `sam deploy --guided` saves for another stack must not become a group's."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    words = command("doe-j", {})
    section = config[words[words.index("--config-env") + 1]]["deploy"]["parameters"]
    own = {"tags", "s3_prefix"}
    assert section == {
        key: value
        for key, value in config["default"]["deploy"]["parameters"].items()
        if key not in own
    }
