"""A job that makes clients and tells how many model files botocore had to read for them."""

import sys

import boto3

from local import warm_botocore

before = len(warm_botocore._known)
for service in ("s3", "batch"):
    boto3.client(
        service, region_name="us-west-2", aws_access_key_id="test", aws_secret_access_key="test"
    )
sys.stdout.write(f"s3 and batch: {len(warm_botocore._known) - before} files read\n")
