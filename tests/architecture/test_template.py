"""The template against the files that it deploys, and against AWS's rules that no linter knows."""

import ast
import json
import re

import pytest

from tests.architecture.imports import ROOT, sources, syntax
from tests.architecture.stack import (
    DEFINITION,
    SUBSTITUTION,
    TEMPLATE,
    functions,
    of_type,
    states,
    written,
)

FILES = [path.stem for path in sources("functions")]


def called_by_states():
    """Logical ids of the functions that the state machine's tasks call."""
    called = (
        state["Parameters"]["FunctionName"] for _, state, _ in states() if state["Type"] == "Task"
    )
    values = substitutions()
    return {values[SUBSTITUTION.fullmatch(text)[1]] for text in called}


def substitutions():
    """Substitution to what it stands for: the logical id of a function or a bucket."""
    [machine] = of_type("AWS::StepFunctions::StateMachine").values()
    return {
        name: value.removesuffix(".Arn")
        for name, value in machine["DefinitionSubstitutions"].items()
    }


def called_by_events():
    mappings = of_type("AWS::Lambda::EventSourceMapping").values()
    targets = [target["Arn"] for rule in rules().values() for target in rule["Targets"]]
    arns = [mapping["FunctionName"] for mapping in mappings] + targets
    return {arn.removesuffix(".Arn") for arn in arns} & {name for name, _ in functions().values()}


def rules():
    return of_type("AWS::Events::Rule")


def test_every_function_file_is_a_function_and_every_function_a_file():
    assert sorted(functions()) == FILES


def test_a_function_is_named_as_its_file():
    for stem, (name, _) in functions().items():
        assert name == "".join(word.capitalize() for word in stem.split("_")) + "Function"


def test_every_function_is_called_by_a_state_or_by_an_event():
    by_states, by_events = called_by_states(), called_by_events()
    assert by_states | by_events == {name for name, _ in functions().values()}
    assert by_states & by_events == set()


def test_substitutions_are_the_same_on_both_sides():
    assert set(SUBSTITUTION.findall(DEFINITION.read_text(encoding="utf-8"))) == set(substitutions())


def test_a_state_is_named_as_the_function_that_it_calls():
    values = substitutions()
    for name, state, _ in states():
        if state["Type"] == "Task":
            called = SUBSTITUTION.fullmatch(state["Parameters"]["FunctionName"])[1]
            assert values[called] == f"{name}Function"


def test_a_tasks_payload_has_the_keys_that_its_handler_reads():
    for name, state, _ in states():
        if state["Type"] == "Task":
            stem = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
            payload = {key.removesuffix(".$") for key in state["Parameters"]["Payload"]}
            assert payload == keys_read(ROOT / f"functions/{stem}.py", "event")


def keys_read(path, name):
    """The constants in name["constant"]."""
    return {
        node.slice.value
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        and isinstance(node.slice, ast.Constant)
    }


def test_the_functions_environment_is_what_the_settings_read():
    libraries = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "LOG_LEVEL"}
    read = keys_read(ROOT / "src/drydock/settings.py", "values")
    for _, properties in functions().values():
        variables = set(properties["Environment"]["Variables"])
        assert variables == read | libraries | {"AWS_ENDPOINT_URL"}


def test_a_task_waits_a_little_longer_than_its_function_may_take():
    limits = {name: properties["Timeout"] for name, properties in functions().values()}
    for name, state, _ in states():
        if "TimeoutSeconds" in state:
            assert limits[f"{name}Function"] < state["TimeoutSeconds"]


def test_a_claim_outlives_the_functions_that_claim():
    """DESIGN: a lease is the function's timeout and 60 seconds."""
    [lease_s] = [
        node.value.value
        for node in ast.walk(syntax(ROOT / "src/drydock/advancing.py"))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LEASE_S"
    ]
    roles = of_type("AWS::IAM::Role")
    claimants = [
        properties["Timeout"]
        for name, properties in functions().values()
        if "AdvanceShardPolicy" in roles[f"{name}Role"]["ManagedPolicyArns"]
    ]
    assert len(claimants) == 3
    assert lease_s >= max(claimants) + 60


def test_every_function_logs_to_a_group_that_forgets():
    groups = of_type("AWS::Logs::LogGroup")
    for _, properties in functions().values():
        assert groups[properties["LoggingConfig"]["LogGroup"]]["RetentionInDays"]


def test_a_message_is_hidden_six_times_as_long_as_its_function_may_take():
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
    queues = of_type("AWS::SQS::Queue")
    limits = {name: properties["Timeout"] for name, properties in functions().values()}
    mappings = of_type("AWS::Lambda::EventSourceMapping").values()
    assert mappings
    for mapping in mappings:
        queue = queues[mapping["EventSourceArn"].removesuffix(".Arn")]
        assert queue["VisibilityTimeout"] >= 6 * limits[mapping["FunctionName"]]
        assert queue["RedrivePolicy"]["deadLetterTargetArn"].removesuffix(".Arn") in queues
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_nothing_that_eventbridge_delivers_can_get_lost():
    queues = of_type("AWS::SQS::Queue")
    targets = [target for rule in rules().values() for target in rule["Targets"]]
    assert len(targets) == len(rules()) == 7
    for target in targets:
        assert target["DeadLetterConfig"]["Arn"].removesuffix(".Arn") in queues
        if "Lambda" in target["Id"]:  # called asynchronously: Lambda gives up after three tries
            function = of_type("AWS::Lambda::Function")[target["Arn"].removesuffix(".Arn")]
            assert function["DeadLetterConfig"]["TargetArn"].removesuffix(".Arn") in queues


def test_a_queue_lets_exactly_the_rules_in_that_target_it():
    allowed = {}
    for policy in of_type("AWS::SQS::QueuePolicy").values():
        statements = policy["PolicyDocument"]["Statement"]
        letting_in = [each for each in statements if each["Effect"] == "Allow"]
        if not letting_in:
            continue
        [condition] = [each["Condition"] for each in letting_in]
        allowed[policy["Queues"][0]] = condition.get("ArnEquals", condition.get("ArnLike"))
    targeted = [
        f"{name}.Arn"
        for name, rule in rules().items()
        if rule["Targets"][0]["Arn"] == "ResubmitQueue.Arn"
    ]
    assert sorted(allowed.pop("ResubmitQueue")["aws:SourceArn"]) == sorted(targeted)
    assert allowed == {
        "UndeliveredEventsQueue": {
            "aws:SourceArn": "arn:aws:events:us-east-1:123456789012:rule/drydock-*"
        }
    }


def test_buckets_are_private_encrypted_and_closed_to_plain_http():
    buckets = of_type("AWS::S3::Bucket")
    policies = {p["Bucket"]: p for p in of_type("AWS::S3::BucketPolicy").values()}
    assert set(buckets) == set(policies) == {"IntakeBucket", "ControlBucket", "DataBucket"}
    for name, bucket in buckets.items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        [statement] = policies[name]["PolicyDocument"]["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_only_the_intake_bucket_tells_of_its_objects():
    telling = [n for n, b in of_type("AWS::S3::Bucket").items() if "NotificationConfiguration" in b]
    assert telling == ["IntakeBucket"]


def test_batch_retries_what_was_interrupted_and_nothing_else():
    """What no rule matches is retried, so the last one has to match all."""
    [job] = of_type("AWS::Batch::JobDefinition").values()
    conditions = job["RetryStrategy"]["EvaluateOnExit"]
    assert [(rule["Action"], *sorted(set(rule) - {"Action"})) for rule in conditions] == [
        ("RETRY", "OnStatusReason"),
        ("RETRY", "OnExitCode"),
        ("EXIT", "OnReason"),
    ]
    assert conditions[-1]["OnReason"] == "*"


def test_the_job_definition_runs_the_worker_on_the_scratch_volume():
    [job] = of_type("AWS::Batch::JobDefinition").values()
    container = job["ContainerProperties"]
    environment = {each["Name"]: each["Value"] for each in container["Environment"]}
    [mount] = container["MountPoints"]
    assert container["Command"] == ["drydock-worker"]
    assert environment == {"SHRTCACHE": mount["ContainerPath"], "NO_ACCESS_KEY": "1"}
    [volume] = container["Volumes"]
    assert volume["Name"] == mount["SourceVolume"]
    [template] = of_type("AWS::EC2::LaunchTemplate").values()
    assert template["LaunchTemplateData"]["MetadataOptions"]["HttpTokens"] == "required"


def test_compute_environments_are_spot_and_on_demand_and_cost_nothing_idle():
    environments = of_type("AWS::Batch::ComputeEnvironment").values()
    kinds = {each["ComputeResources"]["Type"]: each["ComputeResources"] for each in environments}
    assert set(kinds) == {"SPOT", "EC2"}
    assert kinds["SPOT"]["AllocationStrategy"] == "SPOT_PRICE_CAPACITY_OPTIMIZED"
    assert [each["MinvCpus"] for each in kinds.values()] == [0, 0]


def test_every_wildcard_resource_says_why():
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    wildcards = [line for line in lines if re.search(r"Resource:\s*[\"']?\*", line)]
    assert wildcards
    assert [line for line in wildcards if not re.search(r"\*[\"']?\s+# \w", line)] == []


def test_every_parameter_is_described_and_bounded():
    bounds = {"AllowedPattern", "AllowedValues", "MinValue", "MaxLength"}
    for name, parameter in written()["Parameters"].items():
        assert parameter["Description"], name
        is_open = parameter["Type"].startswith(("AWS::", "List<", "CommaDelimitedList"))
        assert is_open or bounds & set(parameter), name
        if parameter["Type"] == "Number":
            assert {"MinValue", "MaxValue"} <= set(parameter) or "AllowedValues" in parameter, name


def test_outputs_name_what_a_user_needs():
    assert {
        *("IntakeBucket", "DataBuckets", "ControlBucket", "StateMachineArn"),
        *("SpotQueueArn", "OnDemandQueueArn", "JobDefinitionArn"),
    } <= set(written()["Outputs"])


@pytest.mark.parametrize(
    ("action", "people"), [("states:SendTaskSuccess", []), ("batch:SubmitJob", ["SubmitterPolicy"])]
)
def test_only_what_advances_a_shard_may(action, people):
    policies = of_type("AWS::IAM::ManagedPolicy")
    roles = of_type("AWS::IAM::Role")
    assert [name for name, policy in policies.items() if action in json.dumps(policy)] == [
        "AdvanceShardPolicy",
        *people,
    ]
    inline = {name: json.dumps(role.get("Policies")) for name, role in roles.items()}
    assert [name for name, policies in inline.items() if action in policies] == []


def test_given_buckets_are_used_and_none_is_made():
    given = {"DataBucketNames": "one,two"}
    assert "DataBucket" not in of_type("AWS::S3::Bucket", **given)
    policies = of_type("AWS::IAM::ManagedPolicy", **given)
    objects, names = policies["ReadDataPolicy"]["PolicyDocument"]["Statement"]
    assert objects["Resource"] == ["arn:aws:s3:::one/*", "arn:aws:s3:::two/*"]
    assert names["Resource"] == ["arn:aws:s3:::one", "arn:aws:s3:::two"]
    function = of_type("AWS::Lambda::Function", **given)["EnumerateInputsFunction"]
    assert function["Environment"]["Variables"]["DATA_BUCKETS"] == "one,two"
    role = of_type("AWS::IAM::Role", **given)["RunStateMachineRole"]
    assert '"arn:aws:s3:::two/*manifest/shards.json"' in json.dumps(role)


def test_with_a_key_whoever_touches_s3_may_use_it():
    key = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    names = ["DecryptionPolicy", "EncryptionPolicy"]
    assert set(names) & set(of_type("AWS::IAM::ManagedPolicy")) == set()
    policies = of_type("AWS::IAM::ManagedPolicy", KmsKeyId=key)
    for name, action in zip(names, ("kms:Decrypt", "kms:GenerateDataKey"), strict=True):
        [statement] = policies[name]["PolicyDocument"]["Statement"]
        assert (statement["Action"], statement["Resource"]) == (action, key)
    shared = {"ReadDataPolicy", "WriteDataPolicy", "AdvanceShardPolicy"}
    touching = {
        name: json.dumps(role)
        for name, role in of_type("AWS::IAM::Role").items()
        if shared & set(role.get("ManagedPolicyArns", [])) or "s3:" in json.dumps(role)
    }
    assert set(policies["DecryptionPolicy"]["Roles"]) == set(touching)
    writing = ("s3:PutObject", "WriteDataPolicy", "AdvanceShardPolicy")
    assert set(policies["EncryptionPolicy"]["Roles"]) == {
        name for name, text in touching.items() if any(word in text for word in writing)
    }
    for bucket in of_type("AWS::S3::Bucket", KmsKeyId=key).values():
        [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": key,
        }
