"""`make push`: what it asks of ECR and Docker, what it prints, and where the password goes."""

import base64
import json
import stat
from pathlib import Path

import boto3
import pytest

from scripts import push
from scripts.push import version
from tests.push.conftest import DIGEST, HOST, ID

OTHER = "sha256:" + "e" * 64
FIXED = "IMMUTABLE"
LATEST_MOVES = [{"filterType": "WILDCARD", "filter": "latest"}]


def manifest(image_id):
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": image_id}
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    return json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []})


def put(ecr, image_id, tag="0.1.0", name="lab/vina"):
    found = ecr.put_image(repositoryName=name, imageManifest=manifest(image_id), imageTag=tag)
    return found["image"]["imageId"]["imageDigest"]


def test_the_uri_of_the_digest_is_all_that_standard_output_holds(engine, ecr, said):
    code, out, err = said("--repository", "lab/vina")
    assert (code, out) == (0, f"{HOST}/lab/vina@{DIGEST}\n")
    assert engine.pushed() == [f"{HOST}/lab/vina:0.1.0", f"{HOST}/lab/vina:latest"]
    assert f"made the repository {HOST}/lab/vina" in err


def test_a_repository_is_made_with_tags_that_stay_but_for_latest(engine, ecr, said):
    said("--repository", "lab/vina")
    [made] = ecr.describe_repositories()["repositories"]
    assert made["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert made["imageTagMutabilityExclusionFilters"] == LATEST_MOVES
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}


def test_what_is_pushed_is_what_make_image_built_under_the_package_s_version(engine, ecr, said):
    said("--repository", "lab/vina")
    assert f"image inspect drydock-worker:{version()}" in engine.calls
    assert f"tag drydock-worker:{version()} {HOST}/lab/vina:{version()}" in engine.calls


def test_another_image_and_tag_may_be_named(engine, ecr, said):
    said("--repository", "lab/samtools", "--image", "samtools-drydock:0.1.0", "--tag", "1.21")
    assert f"tag samtools-drydock:0.1.0 {HOST}/lab/samtools:1.21" in engine.calls


def test_the_password_comes_by_standard_input_alone(engine, ecr, said):
    grant = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    password = base64.b64decode(grant).decode().removeprefix("AWS:")
    _, out, err = said("--repository", "lab/vina")
    assert engine.told("password") == password
    assert f"login --username AWS --password-stdin {HOST}" in engine.calls
    everywhere = out + err + engine.told("calls") + engine.told("environments")
    assert password not in everywhere
    assert grant not in everywhere


def test_no_login_stays(engine, ecr, said, tmp_path):
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text('{"auths": {"a": {"auth": "eDp5"}}}')
    said("--repository", "lab/vina")
    folder = Path(engine.told("folder").strip())
    assert folder.is_relative_to(tmp_path)
    assert stat.S_IMODE(int(engine.told("mode"), 8)) == 0o700
    assert not folder.exists()
    assert "eDp5" not in engine.told("config")


def test_docker_looks_for_no_keychain(engine, ecr, said):
    # It does where its configuration has no registry at all.
    said("--repository", "lab/vina")
    assert json.loads(engine.told("config"))["auths"] == {HOST: {}}


def test_the_way_to_the_engine_is_kept(engine, ecr, said, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "docker" / "contexts").mkdir(parents=True)
    before = {"currentContext": "colima", "proxies": {"default": {}}, "credsStore": "desktop"}
    (tmp_path / "docker" / "config.json").write_text(json.dumps(before))
    said("--repository", "lab/vina")
    kept = json.loads(engine.told("config"))
    assert (kept["currentContext"], kept["proxies"]) == ("colima", {"default": {}})
    assert "credsStore" not in kept


def test_a_repository_that_is_there_is_used_as_it_is(engine, ecr, said):
    ecr.create_repository(repositoryName="lab/vina")
    _, _, err = said("--repository", "lab/vina")
    assert "made" not in err
    assert len(engine.pushed()) == 2


def test_where_no_tag_can_be_moved_latest_is_left_out(engine, ecr, said):
    ecr.create_repository(repositoryName="lab/vina", imageTagMutability=FIXED)
    code, out, err = said("--repository", "lab/vina")
    assert (code, out) == (0, f"{HOST}/lab/vina@{DIGEST}\n")
    assert engine.pushed() == [f"{HOST}/lab/vina:0.1.0"]
    assert f"latest is not pushed: the tags of {HOST}/lab/vina cannot be moved" in err


@pytest.mark.parametrize("by", ["configuration", "manifest", "an earlier push"])
def test_an_image_that_is_there_is_not_pushed_again(engine, ecr, said, by):
    ecr.create_repository(repositoryName="lab/vina", imageTagMutability=FIXED)
    digest = put(ecr, ID if by == "configuration" else OTHER)
    if by == "manifest":
        engine.has(Id=digest)
    if by == "an earlier push":
        engine.has(RepoDigests=[f"{HOST}/lab/vina@{digest}"])
    code, out, _ = said("--repository", "lab/vina")
    assert (code, out) == (0, f"{HOST}/lab/vina@{digest}\n")
    assert engine.pushed() == []


def test_a_push_that_was_interrupted_between_its_tags_is_brought_to_its_end(engine, ecr, said):
    engine.answers(push_latest="write tcp 10.0.0.1:443: connection reset by peer\n")
    code, out, err = said("--repository", "lab/vina")
    assert (code, out) == (1, "")
    assert "its other tag is pushed; make push again does the rest" in err
    digest = put(ecr, ID)
    (engine.folder / "push.latest").unlink()
    (engine.folder / "calls").unlink()
    assert said("--repository", "lab/vina")[:2] == (0, f"{HOST}/lab/vina@{digest}\n")
    assert engine.pushed() == [f"{HOST}/lab/vina:latest"]


def test_a_tag_that_stays_and_is_another_image_is_refused_before_anything_is_sent(
    engine, ecr, said
):
    ecr.create_repository(repositoryName="lab/vina", imageTagMutability=FIXED)
    digest = put(ecr, OTHER)
    code, out, err = said("--repository", "lab/vina")
    assert (code, out) == (1, "")
    assert f"{HOST}/lab/vina:0.1.0 is another image ({digest}), and that tag cannot be moved" in err
    assert "TAG=<another>" in err
    assert engine.pushed() == []
    assert engine.told("password") == ""


def test_a_tag_that_moves_is_moved(engine, ecr, said):
    ecr.create_repository(repositoryName="lab/vina")
    put(ecr, OTHER)
    assert said("--repository", "lab/vina")[0] == 0
    assert len(engine.pushed()) == 2


@pytest.mark.parametrize(
    ("kind", "filters", "moving"),
    [
        ("MUTABLE", [], {"latest", "1.0"}),
        ("IMMUTABLE", [], set()),
        ("IMMUTABLE_WITH_EXCLUSION", ["latest"], {"latest"}),
        ("IMMUTABLE_WITH_EXCLUSION", ["dev-*", "lat*"], {"latest"}),
        ("MUTABLE_WITH_EXCLUSION", ["1.*"], {"latest"}),
    ],
)
def test_which_tags_move(kind, filters, moving):
    chosen = [{"filterType": "WILDCARD", "filter": each} for each in filters]
    repository = {"imageTagMutability": kind, "imageTagMutabilityExclusionFilters": chosen}
    assert {tag for tag in ("latest", "1.0") if push.moves(repository, tag)} == moving


def test_a_registry_of_another_region_is_asked_there(engine, ecr, said):
    host = HOST.replace("us-east-1", "eu-west-1")
    assert said("--repository", f"{host}/lab/vina")[:2] == (0, f"{host}/lab/vina@{DIGEST}\n")
    assert ecr.describe_repositories()["repositories"] == []
    there = boto3.client("ecr", region_name="eu-west-1").describe_repositories()["repositories"]
    assert [each["repositoryName"] for each in there] == ["lab/vina"]


def test_another_registry_is_pushed_to_with_the_caller_s_own_login(engine, said):
    code, out, _ = said("--repository", "ghcr.io/lab/vina")
    assert (code, out) == (0, f"ghcr.io/lab/vina@{DIGEST}\n")
    assert engine.pushed() == ["ghcr.io/lab/vina:0.1.0", "ghcr.io/lab/vina:latest"]
    assert [call for call in engine.calls if call.startswith("login")] == []


def test_another_registry_takes_a_login_whose_password_is_on_standard_input(
    engine, said, monkeypatch, tmp_path
):
    (tmp_path / "token").write_text("ghp_made_up\n")
    with (tmp_path / "token").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        code, out, err = said("--repository", "ghcr.io/lab/vina", "--login", "doe")
    assert (code, out) == (0, f"ghcr.io/lab/vina@{DIGEST}\n")
    assert engine.told("password") == "ghp_made_up"
    assert "login --username doe --password-stdin ghcr.io" in engine.calls
    assert "ghp_made_up" not in out + err + engine.told("calls") + engine.told("environments")
