"""moto's S3, SQS, SNS and Step Functions, fresh for each test."""

import boto3
import pytest
from moto import mock_aws

REGION = "us-east-1"
CLIENTS = {}


def client(service):
    """One client a service for all tests: making one is slow."""
    if service not in CLIENTS:
        CLIENTS[service] = boto3.client(service, region_name=REGION)
    return CLIENTS[service]


@pytest.fixture
def aws():
    """Makes clients of an account of this test's own."""
    # Executions stay as they were started, also where the embedded AWS has asked for more.
    with mock_aws(config={"stepfunctions": {"execute_state_machine": False}}):
        yield client
