"""The embedded AWS Batch: array children as real processes, on machines that can be taken away."""

from local.batch.api import Batch

__all__ = ["Batch"]
