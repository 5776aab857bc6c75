"""Whether GPUs are there is asked of the driver, before any input is touched."""

import ctypes
import itertools
import json

import pytest

import worker.attempt
from tests.worker.support import ligand
from worker.agent import main
from worker.endings import Misconfigured
from worker.gpus import check_gpus


class Driver:
    """Answers as libcuda does. Source of the codes: cuda.h."""

    def __init__(self, devices, *, init=0, count=0):
        self.devices, self.init, self.count = devices, init, count

    def cuInit(self, flags):  # noqa: N802 - the driver's own name
        assert flags == 0
        return self.init

    def cuDeviceGetCount(self, pointer):  # noqa: N802 - likewise
        ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int)).contents.value = self.devices
        return self.count


def missing(name):
    raise OSError(f"{name}: cannot open shared object file")


def test_no_gpus_need_no_driver():
    check_gpus(0, missing)


@pytest.mark.parametrize(("wanted", "devices"), [(1, 1), (1, 8), (4, 4)])
def test_enough_devices_are_enough(wanted, devices):
    check_gpus(wanted, lambda _name: Driver(devices))


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (missing, "libcuda.so.1 cannot be loaded"),
        (lambda _name: Driver(2, init=100), "cuInit failed with CUDA error 100"),
        (lambda _name: Driver(2, count=3), "cuDeviceGetCount failed with CUDA error 3"),
        (lambda _name: Driver(1), "there are 1 CUDA devices"),
    ],
)
def test_anything_else_is_misconfigured_with_a_sentence(load, told):
    with pytest.raises(Misconfigured, match=told) as caught:
        check_gpus(2, load)
    assert str(caught.value).startswith("gpus is 2, and ")
    assert "NVIDIA driver" in str(caught.value)


def test_a_run_that_wants_gpus_stops_before_any_input_is_touched(
    shard, scratch, store, monkeypatch, capsys
):
    made = shard(("in/a.pdbqt", ligand("caffeine")), gpus=1)
    fetched = itertools.count()
    monkeypatch.setattr(worker.attempt, "fetch_input", lambda *_: next(fetched))
    monkeypatch.setattr(worker.attempt, "check_gpus", lambda wanted: check_gpus(wanted, missing))
    assert main(made.environment(scratch), store) == 78
    assert next(fetched) == 0
    assert made.markers() == []
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "gpus is 1" in next(e["why"] for e in events if e["event"] == "misconfigured")
