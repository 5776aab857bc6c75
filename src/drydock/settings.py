"""What the stack tells its functions, through their environment. The one reader of it."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from drydock.errors import RunMisconfigured

# https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
MAX_SHARD_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Settings:
    """The stack's parameters and the names of what it made. Durations in seconds.

    ``allowed_images`` are prefixes of image references; the stack's own image is always allowed.
    ``secret_arns`` are the secrets that requests may name. The queues with GPUs are None where the
    stack has none. ``max_memory_mib`` is the most that a job is given after it ran out of memory.
    ``max_vcpus`` run at a time on Spot and On-Demand each; ``vcpu_hour_usd`` is what one costs an
    hour, about.
    """

    control_bucket: str
    intake_bucket: str
    data_buckets: tuple[str, ...]
    spot_queue_arn: str
    on_demand_queue_arn: str
    gpu_spot_queue_arn: str | None
    gpu_on_demand_queue_arn: str | None
    job_definition_arn: str
    worker_image: str
    allowed_images: tuple[str, ...]
    secret_arns: tuple[str, ...]
    notification_topic_arn: str
    resubmit_queue_url: str
    kms_key_id: str | None
    default_request: str
    shard_size: int
    max_concurrency: int
    reconcile_seconds: int
    scratch_gib: int
    max_memory_mib: int
    max_vcpus: int
    vcpu_hour_usd: float

    @property
    def queue_arns(self) -> tuple[str, ...]:
        """All queues of the stack."""
        with_gpus = (self.gpu_spot_queue_arn, self.gpu_on_demand_queue_arn)
        return (self.spot_queue_arn, self.on_demand_queue_arn, *filter(None, with_gpus))

    def queue_arn(self, queue: str, *, with_gpus: bool) -> str:
        """The queue of that kind, ``spot`` or ``on-demand``.

        Where the GPUs were taken from a stack with runs that use them it is the one without: there
        Batch says that no machine suits the job, which stops the run.
        """
        on_spot = queue == "spot"
        plain = self.spot_queue_arn if on_spot else self.on_demand_queue_arn
        suited = self.gpu_spot_queue_arn if on_spot else self.gpu_on_demand_queue_arn
        return (with_gpus and suited) or plain


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        RunMisconfigured: a variable is missing or is not a number where it must be one.
    """
    values = os.environ if environment is None else environment
    try:
        return Settings(
            control_bucket=values["CONTROL_BUCKET"],
            intake_bucket=values["INTAKE_BUCKET"],
            data_buckets=_words(values["DATA_BUCKETS"]),
            spot_queue_arn=values["SPOT_QUEUE_ARN"],
            on_demand_queue_arn=values["ON_DEMAND_QUEUE_ARN"],
            gpu_spot_queue_arn=values["GPU_SPOT_QUEUE_ARN"] or None,
            gpu_on_demand_queue_arn=values["GPU_ON_DEMAND_QUEUE_ARN"] or None,
            job_definition_arn=values["JOB_DEFINITION_ARN"],
            worker_image=values["WORKER_IMAGE"],
            allowed_images=_words(values["ALLOWED_IMAGES"]),
            secret_arns=_words(values["SECRET_ARNS"]),
            notification_topic_arn=values["NOTIFICATION_TOPIC_ARN"],
            resubmit_queue_url=values["RESUBMIT_QUEUE_URL"],
            kms_key_id=values["KMS_KEY_ID"] or None,
            default_request=values["DEFAULT_REQUEST"],
            shard_size=_shard_size(int(values["SHARD_SIZE"])),
            max_concurrency=int(values["MAX_CONCURRENCY"]),
            reconcile_seconds=int(values["RECONCILE_SECONDS"]),
            scratch_gib=int(values["SCRATCH_GIB"]),
            max_memory_mib=int(values["MAX_MEMORY_MIB"]),
            max_vcpus=int(values["MAX_VCPUS"]),
            vcpu_hour_usd=_price(values["VCPU_HOUR_USD"]),
        )
    except KeyError as error:
        raise RunMisconfigured(f"the function's environment lacks {error.args[0]}") from error
    except ValueError as error:
        raise RunMisconfigured(
            f"a number in the function's environment is none: {error}"
        ) from error


def _shard_size(size: int) -> int:
    """An array job takes 10,000 children, and a marker's name has five digits."""
    if not 1 <= size <= MAX_SHARD_SIZE:
        raise RunMisconfigured(f"SHARD_SIZE is {size}: 1 to {MAX_SHARD_SIZE} are allowed")
    return size


def _price(text: str) -> float:
    """Zero, or nothing that is a number, would make every budget endless."""
    price = float(text)
    if not (math.isfinite(price) and price > 0):
        raise RunMisconfigured(f"VCPU_HOUR_USD is {text}: a number above 0 is allowed")
    return price


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
