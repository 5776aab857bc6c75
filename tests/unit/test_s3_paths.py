import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.s3_paths import beside_folder, key_of, relative_path

# What makes a path go wrong, often; the rest of Unicode, now and then.
AWKWARD = st.lists(
    st.sampled_from(["/", ".", "%", "%-", "%2E", "a", "é", "\x00", "\n", "z" * 150, "\\", "~"])
).map("".join)
KEYS = (AWKWARD | st.text(st.characters(exclude_categories=["Cs"]))).filter(
    lambda key: len(key.encode()) <= 1024
)


@given(KEYS)
def test_every_key_comes_back_from_its_path(key):
    path = relative_path(key)
    assert key_of(path) == key
    assert key_of(beside_folder(path)) == key


@given(KEYS)
def test_every_name_is_one_that_a_file_system_takes(key):
    for name in beside_folder(relative_path(key)).split("/"):
        assert name not in ("", ".", "..")
        assert len(name.encode()) <= 255
        assert all(ord(character) >= 0x20 for character in name)


@given(KEYS, KEYS)
def test_two_keys_never_share_a_path(one, other):
    mine = {relative_path(one), beside_folder(relative_path(one))}
    theirs = {relative_path(other), beside_folder(relative_path(other))}
    assert one == other or not mine & theirs


@pytest.mark.parametrize("key", ["runs/0/run.json", "a b.txt", "out/ü/poses.sdf.gz", ".hidden"])
def test_an_ordinary_key_is_its_own_path(key):
    assert relative_path(key) == key
