"""The container's program: turns one child of an array job into settled inputs.

Run as ``python -m worker``. What it is told comes from the environment (:mod:`worker.contract`),
what it says is its exit code (0 settled, 1 again, 71 more memory, 75 later, 78 misconfigured)
and what it wrote to S3.
"""
