"""The doors to the world, gathered for one function: S3, Batch, ECR, Step Functions, time, …"""

from __future__ import annotations

import functools
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drydock.executions import Executions
from drydock.jobs import Jobs
from drydock.messages import Messages
from drydock.registry import Registry
from drydock.settings import Settings, read_settings
from drydock.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Services:
    """What a step needs. ``now`` gives seconds since 1970, ``unique`` 16 random hex digits."""

    settings: Settings
    store: Store
    jobs: Jobs
    executions: Executions
    messages: Messages
    registry: Registry
    now: Callable[[], float]
    unique: Callable[[], str]


@functools.cache
def services() -> Services:
    """The services of this process, made at the first use."""
    settings = read_settings()
    return Services(
        settings=settings,
        store=Store.connect(settings.kms_key_id),
        jobs=Jobs(),
        executions=Executions(),
        messages=Messages(settings.resubmit_queue_url, settings.notification_topic_arn),
        registry=Registry(),
        now=time.time,
        unique=lambda: secrets.token_hex(8),
    )
