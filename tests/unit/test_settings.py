"""What the stack tells its functions."""

import re
from pathlib import Path

import pytest

from drydock.errors import RunMisconfigured
from drydock.settings import read_settings

SOURCE = Path(__file__).parents[2] / "src" / "drydock" / "settings.py"
NAMES = re.findall(r'values\["([A-Z_]+)"\]', SOURCE.read_text())
GIVEN = dict.fromkeys(NAMES, "text") | {
    "SHARD_SIZE": "10000",
    "MAX_CONCURRENCY": "40",
    "RECONCILE_SECONDS": "21600",
    "SCRATCH_GIB": "100",
    "MAX_MEMORY_MIB": "65536",
    "MAX_VCPUS": "256",
    "VCPU_HOUR_USD": "0.05",
}


def test_everything_is_read():
    found = read_settings(
        GIVEN | {"DATA_BUCKETS": "a, b,,c ", "ALLOWED_IMAGES": "", "KMS_KEY_ID": ""}
    )
    assert found.data_buckets == ("a", "b", "c")
    assert (found.allowed_images, found.kms_key_id) == ((), None)
    assert (found.shard_size, found.reconcile_seconds) == (10_000, 21_600)
    assert (found.max_memory_mib, found.max_vcpus, found.vcpu_hour_usd) == (65_536, 256, 0.05)
    assert found.control_bucket == "text"


def test_a_stack_without_gpus_has_two_queues():
    names = ("SPOT_QUEUE_ARN", "ON_DEMAND_QUEUE_ARN")
    queues = {name: name.lower() for name in names}
    gpus = {f"GPU_{name}": f"gpu_{name.lower()}" for name in names}
    without = read_settings(GIVEN | queues | dict.fromkeys(gpus, ""))
    assert without.queue_arns == ("spot_queue_arn", "on_demand_queue_arn")
    assert without.queue_arn("spot", with_gpus=True) == "spot_queue_arn"
    found = read_settings(GIVEN | queues | gpus)
    assert found.queue_arns == tuple((queues | gpus).values())
    assert found.queue_arn("spot", with_gpus=True) == "gpu_spot_queue_arn"
    assert found.queue_arn("on-demand", with_gpus=True) == "gpu_on_demand_queue_arn"
    assert found.queue_arn("on-demand", with_gpus=False) == "on_demand_queue_arn"


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_what_is_missing_is_named(name):
    with pytest.raises(RunMisconfigured, match=name):
        read_settings({key: value for key, value in GIVEN.items() if key != name})


@pytest.mark.parametrize(
    "name",
    [
        *("SHARD_SIZE", "MAX_CONCURRENCY", "RECONCILE_SECONDS", "SCRATCH_GIB"),
        *("MAX_MEMORY_MIB", "MAX_VCPUS"),
    ],
)
@pytest.mark.parametrize("value", ["", "many", "1.5"])
def test_a_number_that_is_none_is_told(name, value):
    with pytest.raises(RunMisconfigured, match="number"):
        read_settings(GIVEN | {name: value})


@pytest.mark.parametrize("value", ["0", "-1", "10001"])
def test_a_shard_is_an_array_that_batch_takes(value):
    with pytest.raises(RunMisconfigured, match="SHARD_SIZE"):
        read_settings(GIVEN | {"SHARD_SIZE": value})


@pytest.mark.parametrize("value", ["", "cheap", "0", "-0.05", "nan", "inf"])
def test_a_price_is_a_number_above_nothing(value):
    with pytest.raises(RunMisconfigured, match=r"VCPU_HOUR_USD|number"):
        read_settings(GIVEN | {"VCPU_HOUR_USD": value})


def test_the_process_s_own_environment_is_the_default(monkeypatch):
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    assert read_settings() == read_settings(GIVEN)
