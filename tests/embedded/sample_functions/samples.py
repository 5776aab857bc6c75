"""Small handlers for the tests of the embedded Lambda."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
from aws_lambda_powertools import Logger

logger = Logger(service="samples")
calls = []


def echo(event, context):
    return event


def count(event, context):
    """How many calls this process has had, and which process it is."""
    calls.append(event)
    return {"calls": len(calls), "pid": os.getpid()}


def environment(event, context):
    return dict(os.environ)


@logger.inject_lambda_context
def describe_context(event, context):
    logger.info("described")
    return {
        "name": context.function_name,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "request_id": context.aws_request_id,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "log_group": context.log_group_name,
        "version": context.function_version,
    }


class RunStopped(Exception):
    """A named error, as a state machine would catch it."""


def fail(event, context):
    raise RunStopped("because of the test")


def end_process(event, context):
    how = event["how"]
    if how == "exit":
        sys.exit(3)
    if how == "_exit":
        os._exit(4)
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(event, context):
    time.sleep(event["seconds"])
    return "slept"


def leave_child(event, context):
    """Start a process that would outlive the function."""
    Path(event["pid_file"]).write_text(str(subprocess.Popen(["sleep", "600"]).pid))
    time.sleep(600)


def large(event, context):
    return "x" * event["bytes"]


def no_json(event, context):
    return object()


def identity(event, context):
    return boto3.client("sts").get_caller_identity()["Arn"]


def put(event, context):
    boto3.client("s3").put_object(Bucket=event["bucket"], Key=event["key"], Body=b"from a function")


def remember(event, context):
    """Note each call as an object, so that a test can count them."""
    key = f"{event['case']}/{time.time_ns()}"
    boto3.client("s3").put_object(Bucket=event["bucket"], Key=key, Body=json.dumps(event).encode())
    if event.get("fails"):
        raise RunStopped("as asked")


def take_messages(event, context):
    """Note each message; fail those whose body asks for it."""
    failures = []
    for record in event["Records"]:
        body = json.loads(record["body"])
        count = record["attributes"]["ApproximateReceiveCount"]
        key = f"{body['case']}/{body['number']}/{count}"
        boto3.client("s3").put_object(Bucket=body["bucket"], Key=key, Body=json.dumps(event))
        if body.get("fails_until", 0) >= int(count):
            failures.append({"itemIdentifier": record["messageId"]})
    if event["Records"] and json.loads(event["Records"][0]["body"]).get("raises"):
        raise RunStopped("the whole batch")
    return {"batchItemFailures": failures}
