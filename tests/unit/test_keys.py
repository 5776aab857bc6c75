"""The layout in S3: no two things share a key, and what is read back is what was made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.keys import (
    ControlKeys,
    JobIdentity,
    RunKeys,
    job_name,
    owner_claim,
    parse_job_name,
    parse_part_record_name,
    start_claim,
)

run_ids = st.text("0123456789abcdef", min_size=16, max_size=16)
shards, rounds = st.integers(0, 10**7), st.integers(0, 10**6)


@given(run_ids, shards, rounds)
def test_a_job_is_known_by_its_name(run_id, shard, number):
    name = job_name(run_id, shard, number)
    assert parse_job_name(name) == JobIdentity(run_id, shard, number)
    assert len(name) <= 128


@pytest.mark.parametrize(
    "name",
    ["", "drydock", "drydock-" + "a" * 15 + "-000000-0", "drydock-" + "g" * 16 + "-000000-0",
     "drydock-" + "a" * 16 + "-0-0", "drydock-" + "a" * 16 + "-000000-", "x-drydock-000000-0",
     "drydock-" + "A" * 16 + "-000000-0", "drydock-" + "a" * 16 + "-000000-0\n",
     "drydock-" + "a" * 16 + "-000000-0-1"],
)  # fmt: skip
def test_other_names_are_not_ours(name):
    assert parse_job_name(name) is None


@given(st.integers(0, 9999), st.integers(0, 10**6))
def test_a_part_record_is_known_by_its_name(place, part):
    keys = RunKeys("a" * 16, "out/")
    name = keys.part_record(3, place, part).removeprefix(keys.parts_folder(3))
    assert parse_part_record_name(name) == (place, part)


@pytest.mark.parametrize("name", ["misconfigured.0.txt", "1.0.json", "00001.00.json", "00001.json"])
def test_other_names_are_no_part_records(name):
    assert parse_part_record_name(name) is None


def every_key(run_id, prefix, shard):
    run, control = RunKeys(run_id, prefix), ControlKeys(run_id)
    return [
        run.run_card(),
        run.manifest_tasks(shard),
        run.manifest_list(shard),
        run.manifest_slices(shard),
        run.shards(),
        run.input_folder(shard, 1),
        run.done_marker(shard, 1, 2),
        run.failed_marker(shard, 1, 1, "x"),
        run.skipped_marker(shard, 1),
        run.part_record(shard, 1, 0),
        run.misconfigured(shard, 0),
        run.shard_results_folder(shard),
        run.result("top.csv"),
        control.run_document(),
        control.assets(),
        control.shard_document(shard),
        control.begun_shard(shard),
        control.round_tasks(shard, 0, "u"),
        control.round_document(shard, 0, "u"),
        control.frozen(shard, "u"),
        control.token(shard, "token"),
    ]


@given(run_ids, shards)
def test_no_two_things_share_a_key(run_id, shard):
    keys = every_key(run_id, "out/", shard)
    assert len(set(keys)) == len(keys)


def test_everything_of_a_run_lies_below_its_prefix():
    for prefix in ("", "out/", "a/b/"):
        run = RunKeys("a" * 16, prefix)
        assert run.result("top.csv") == prefix + "results/top.csv"
        assert run.markers_folder(0).startswith(prefix + "markers/")
        assert run.parts_folder(0).startswith(prefix + "parts/")


def test_keys_sort_as_their_numbers():
    keys = RunKeys("a" * 16, "out/")
    made = [keys.manifest_tasks(n) for n in (0, 9, 10, 99, 100, 99_999)]
    assert made == sorted(made)


def test_an_upload_is_claimed_by_bucket_key_and_sequencer():
    claims = {start_claim("b", "k", "1"), start_claim("b", "k", "2"), start_claim("b", "l", "1")}
    assert len(claims | {start_claim("b", "k", "1")}) == 3
    assert all(claim.startswith("starts/") for claim in claims)


def test_a_token_s_text_is_in_no_key():
    key = ControlKeys("a" * 16).token(0, "AAAAKgAAAAIAAAAAAAAAAQ==/secret")
    assert "secret" not in key
    assert key.startswith(ControlKeys("a" * 16).tokens_folder(0))
    assert owner_claim("arn:one") != owner_claim("arn:two")
