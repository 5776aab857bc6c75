"""Whether the machine has the GPUs that a run asks for: never a silent run on the CPU.

The driver's own library is asked, which needs no CUDA toolkit in the image
(https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html).
"""

import ctypes
from collections.abc import Callable
from typing import Any

from worker.endings import Misconfigured

_DRIVER = "libcuda.so.1"
_ADVICE = (
    "the job's queue needs machines with GPUs, their AMI the NVIDIA driver, and the container the "
    "driver's library"
)


def check_gpus(wanted: int, load: Callable[[str], Any] = ctypes.CDLL) -> None:
    """See that at least ``wanted`` CUDA devices work.

    Raises:
        Misconfigured: they do not; the message says what is missing.
    """
    if wanted <= 0:
        return
    try:
        driver = load(_DRIVER)
    except OSError as error:
        raise _problem(wanted, f"{_DRIVER} cannot be loaded ({error})") from error
    if code := driver.cuInit(0):
        raise _problem(wanted, f"cuInit failed with CUDA error {code}")
    count = ctypes.c_int(0)
    if code := driver.cuDeviceGetCount(ctypes.byref(count)):
        raise _problem(wanted, f"cuDeviceGetCount failed with CUDA error {code}")
    if count.value < wanted:
        raise _problem(wanted, f"there are {count.value} CUDA devices")


def _problem(wanted: int, found: str) -> Misconfigured:
    return Misconfigured(f"gpus is {wanted}, and {found}: {_ADVICE}")
