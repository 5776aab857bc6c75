"""Holds what the embedded AWS takes from moto's insides: a new version of moto has to keep it."""

import subprocess
import sys

import moto

from local import moto_backends
from local.specs import BucketSpec, StateMachineSpec


def test_moto_is_the_version_that_was_looked_into():
    assert moto.__version__.split(".")[:2] == ["5", "2"]


def test_an_objects_insides_are_what_the_api_says(aws):
    aws.create_bucket(BucketSpec("lab", event_bridge=True))
    s3 = aws.client("s3")
    put = s3.put_object(
        Bucket="lab", Key="k", Body=b"12345", ContentType="a/b", Metadata={"epoch": "2"}
    )
    body, facts = moto_backends.s3_object("lab", "k")
    assert body == b"12345"
    assert facts.etag == put["ETag"].strip('"')
    assert facts.metadata["x-amz-meta-epoch"] == "2"
    assert moto_backends.s3_object("lab", "none") is None
    assert moto_backends.s3_object("none", "k") is None


def test_a_delete_marker_is_no_object(aws):
    aws.create_bucket(BucketSpec("versioned"))
    s3 = aws.client("s3")
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="versioned", Key="k", Body=b"1")
    assert moto_backends.s3_object("versioned", "k") is not None
    s3.delete_object(Bucket="versioned", Key="k")
    assert moto_backends.s3_object("versioned", "k") is None


def test_only_a_bucket_configured_for_it_sends_events(aws):
    aws.create_bucket(BucketSpec("loud", event_bridge=True))
    aws.create_bucket(BucketSpec("quiet"))
    assert moto_backends.s3_bucket_sends_events("loud")
    assert not moto_backends.s3_bucket_sends_events("quiet")
    assert not moto_backends.s3_bucket_sends_events("none")


def test_an_execution_can_be_found_and_has_what_its_events_need(aws, eventually):
    machine = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"x": 1}, "End": True}}}
    arn = aws.create_state_machine(StateMachineSpec("looked-into", machine))
    started = aws.client("stepfunctions").start_execution(stateMachineArn=arn, input="{}")
    execution = moto_backends.execution(started["executionArn"])
    eventually(lambda: execution.status == "SUCCEEDED")
    assert execution.output == {"x": 1}
    assert execution.execution_input == "{}"
    assert execution.state_machine_arn == arn
    assert execution.stop_date >= execution.start_date


def test_what_the_interpreter_finds_after_a_stop_changes_nothing(aws):
    waiting = {"Type": "Wait", "Seconds": 600, "End": True}
    machine = {"StartAt": "A", "States": {"A": waiting}}
    arn = aws.create_state_machine(StateMachineSpec("stopped-and-late", machine))
    states = aws.client("stepfunctions")
    started = states.start_execution(stateMachineArn=arn, input="{}")
    execution = moto_backends.execution(started["executionArn"])
    states.stop_execution(executionArn=started["executionArn"], error="Stopped", cause="by hand")
    execution.exec_worker.env.set_error({"error": "States.Runtime", "cause": "late"})
    execution.exec_worker._execution_communication.terminated()
    described = states.describe_execution(executionArn=started["executionArn"])
    assert [described[name] for name in ("status", "error", "cause")] == [
        "ABORTED",
        "Stopped",
        "by hand",
    ]


def test_the_interpreter_comes_without_ec2():
    """The start is a second shorter for it; the enumeration it wants is moto's own."""
    script = (
        "import sys; from local.moto_apps import leave_out_ec2; import moto; leave_out_ec2();"
        "import moto.stepfunctions.parser.models; from moto.batch.utils import JobStatus;"
        "assert JobStatus.SUCCEEDED; assert 'moto.ec2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
