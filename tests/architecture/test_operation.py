"""Alarms, dashboard and logs: what they name exists, and nothing that can fail does so unseen."""

import ast
import fnmatch
import json
import re
import tomllib

import pytest

from tests.architecture.imports import ROOT, sources, syntax
from tests.architecture.stack import functions, of_type, resources, written

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
AWS_METRICS = {
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"},
    "AWS/Lambda": {"Duration", "Errors", "Throttles"},
    "AWS/States": {
        *("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed"),
        *("ExecutionsAborted", "ExecutionsTimedOut"),
    },
}
# What a resource type calls itself in the dimensions of its metrics.
DIMENSIONS = {
    "QueueName": "AWS::SQS::Queue",
    "FunctionName": "AWS::Lambda::Function",
    "StateMachineArn": "AWS::StepFunctions::StateMachine",
}
# What the f-strings of the functions' metrics stand for.
VALUES = {
    "Enumeration": {"ready", "more", "duplicate"},
    "Runs": {"done", "stopped", "incomplete"},
    "QueueBlocked": {"CAPACITY", "MISCONFIGURATION", "UNDETERMINED"},
}


def emitted():
    """The names of the metrics that the functions emit, and the dimensions beside the service."""
    plain, by_dimension = set(), {}
    for path in sources("functions"):
        for node in ast.walk(syntax(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("add_metric"):
                plain |= names_of(node.args[0])
            if isinstance(node, ast.With) and "single_metric" in ast.unparse(node.items[0]):
                call = node.items[0].context_expr
                dimension = node.body[0].value.args[0].value
                by_dimension[call.args[0].value] = dimension
    return plain, by_dimension


def names_of(expression):
    """The names that an argument can have."""
    if isinstance(expression, ast.Constant):
        return {expression.value}
    stem = expression.values[0].value.removesuffix("_")
    return {f"{stem}_{value}" for value in VALUES[stem]}


def test_the_names_that_f_strings_stand_for_are_all_that_the_core_says():
    text = (ROOT / "src/drydock/accounting.py").read_text(encoding="utf-8")
    assert set(re.findall(r"Verdict\(\s*\"(\w+)\"", text)) == VALUES["Runs"]
    text = (ROOT / "src/drydock/resubmission.py").read_text(encoding="utf-8")
    [kinds] = re.findall(r"re.match\(r\"\((.*)\):", text)
    assert set(kinds.split("|")) | {"UNDETERMINED"} == VALUES["QueueBlocked"]


def alarms():
    return of_type("AWS::CloudWatch::Alarm")


def alarm_metrics(alarm):
    """Namespace, name and dimensions of each metric that an alarm looks at."""
    found = [
        each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each
    ]
    for metric in found or [alarm]:
        dimensions = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
        yield metric["Namespace"], metric["MetricName"], dimensions


def dashboard():
    """The body of the dashboard, after substitution."""
    [found] = of_type("AWS::CloudWatch::Dashboard").values()
    return json.loads(found["DashboardBody"])


def drawn():
    """Namespace, name and dimensions of each metric that the dashboard draws; its expressions."""
    metrics, expressions = [], []
    for widget in dashboard()["widgets"]:
        for row in widget["properties"].get("metrics", []):
            if isinstance(row[0], dict):
                expressions.append(row[0]["expression"])
                continue
            namespace, name, *rest = [each for each in row if not isinstance(each, dict)]
            metrics.append((namespace, name, dict(zip(rest[::2], rest[1::2], strict=True))))
    return metrics, expressions


def exists(namespace, name, dimensions):
    """Whether somebody emits such a metric."""
    if namespace == "drydock":
        plain, _ = emitted()
        return name in plain and dimensions == {"service": "drydock"}
    [(dimension, value)] = dimensions.items()
    logical = value.removesuffix(".QueueName").removesuffix("-QueueName")
    return (
        name in AWS_METRICS[namespace]
        and resources().get(logical, ("",))[0] == DIMENSIONS[dimension]
    )


def test_an_alarm_looks_at_metrics_that_somebody_emits():
    looked_at = [metric for alarm in alarms().values() for metric in alarm_metrics(alarm)]
    assert [metric for metric in looked_at if not exists(*metric)] == []
    assert len(looked_at) == 23


def test_the_dashboard_draws_metrics_that_somebody_emits():
    metrics, expressions = drawn()
    assert [metric for metric in metrics if not exists(*metric)] == []
    # A dashboard is free with 50 metrics at most, of which what is searched for takes some.
    assert 40 < len(metrics) <= 44
    _, by_dimension = emitted()
    searched = set()
    for expression in expressions:
        found = re.fullmatch(
            r"""SEARCH\('\{drydock,(\w+),service\} MetricName="(\w+)" """
            r"""service="drydock"', 'Sum', \d+\)""",
            expression,
        )
        if found:
            searched.add((found[2], found[1]))
        else:
            assert expression == "RUNNING_SUM(usd)"
    assert searched == set(by_dimension.items())


def test_every_metric_that_a_function_emits_is_drawn_or_left_out_on_purpose():
    plain, _ = emitted()
    names = {name for _, name, _ in drawn()[0]}
    names |= {name for alarm in alarms().values() for _, name, _ in alarm_metrics(alarm)}
    left_out = {name for name in plain if name.startswith("Enumeration_")}
    # Each call adds one, so that none is without a metric.
    left_out |= {"Aggregations", "MessagesHandled", "JobsTerminated"}
    assert plain - names == left_out


def test_the_dashboard_is_whole():
    widgets = dashboard()["widgets"]
    cells = [
        (x, y)
        for each in widgets
        for x in range(each["x"], each["x"] + each["width"])
        for y in range(each["y"], each["y"] + each["height"])
    ]
    assert len(set(cells)) == len(cells), "widgets overlap"
    assert max(x for x, _ in cells) == 23
    [shown] = [each["properties"]["alarms"] for each in widgets if each["type"] == "alarm"]
    assert sorted(shown) == sorted(f"{name}.Arn" for name in alarms())
    text = json.dumps(widgets)
    for wanted in ("ShardsActive", "InputsDone", "Rounds", "Interruptions", "ComputeUsd"):
        assert wanted in text


def test_every_alarm_tells_the_topic_and_says_what_to_do():
    for name, alarm in alarms().items():
        assert alarm["AlarmActions"] == ["NotificationTopic"], name
        assert alarm["TreatMissingData"] == "notBreaching", name
        assert len(alarm["AlarmDescription"]) > 60, name
        assert alarm["AlarmName"].startswith("drydock-"), name


def test_the_page_of_alarms_tells_of_every_alarm_and_metric():
    page = (ROOT / "docs/alarms.md").read_text(encoding="utf-8")
    for alarm in alarms().values():
        assert f"`<stack>{alarm['AlarmName'].removeprefix('drydock')}`" in page
    plain, by_dimension = emitted()
    for name in plain | set(by_dimension):
        assert f"`{name}`" in page or f"`…_{name.rpartition('_')[2]}`" in page, name
    for dimension in by_dimension.values():
        assert f"by `{dimension}`" in page


def test_every_function_is_watched_for_errors_and_throttles():
    names = sorted(name for name, _ in functions().values())
    for alarm in ("FunctionErrorsAlarm", "FunctionThrottlesAlarm"):
        watched = [
            dimensions["FunctionName"] for _, _, dimensions in alarm_metrics(alarms()[alarm])
        ]
        assert sorted(watched) == names


def test_every_dead_letter_queue_is_watched():
    targets = {
        properties["RedrivePolicy"]["deadLetterTargetArn"]
        for properties in of_type("AWS::SQS::Queue").values()
        if "RedrivePolicy" in properties
    }
    for rule in of_type("AWS::Events::Rule").values():
        targets |= {target["DeadLetterConfig"]["Arn"] for target in rule["Targets"]}
    for function in of_type("AWS::Lambda::Function").values():
        targets |= (
            {function["DeadLetterConfig"]["TargetArn"]} if "DeadLetterConfig" in function else set()
        )
    watched = {
        dimensions["QueueName"].removesuffix("-QueueName")
        for _, _, dimensions in alarm_metrics(alarms()["DeadLettersAlarm"])
    }
    assert {target.removesuffix(".Arn") for target in targets} == watched


def test_queues_and_topic_are_closed_to_plain_http():
    policies = {
        policy["Queues"][0]: policy for policy in of_type("AWS::SQS::QueuePolicy").values()
    } | {policy["Topics"][0]: policy for policy in of_type("AWS::SNS::TopicPolicy").values()}
    assert set(policies) == set(of_type("AWS::SQS::Queue")) | set(of_type("AWS::SNS::Topic"))
    for name, policy in policies.items():
        [closed] = [
            each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"
        ]
        assert closed["Principal"] == "*"
        assert closed["Resource"].removesuffix(".Arn") == name
        assert closed["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_topic_takes_the_alarms_of_this_stack():
    [policy] = of_type("AWS::SNS::TopicPolicy").values()
    [allowed] = [
        each
        for each in policy["PolicyDocument"]["Statement"]
        if each["Effect"] == "Allow"
        and each["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    ]
    pattern = allowed["Condition"]["ArnLike"]["aws:SourceArn"]
    for alarm in alarms().values():
        arn = f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{alarm['AlarmName']}"
        assert fnmatch.fnmatchcase(arn, pattern)


def test_a_stack_can_do_without_alarms_and_dashboard():
    without = {"AlarmsAndDashboard": "false"}
    assert of_type("AWS::CloudWatch::Alarm", **without) == {}
    assert of_type("AWS::CloudWatch::Dashboard", **without) == {}
    assert written()["Outputs"]["DashboardUrl"]["Condition"] == "HasAlarms"


def test_a_budget_is_over_the_tag_that_machines_carry():
    assert of_type("AWS::Budgets::Budget") == {}
    (found,) = of_type("AWS::Budgets::Budget", MonthlyBudgetUsd="500").values()
    budget = found["Budget"]
    assert budget["BudgetLimit"] == {"Amount": "500", "Unit": "USD"}
    (tag,) = budget["CostFilters"]["TagKeyValue"]
    key, _, value = tag.removeprefix("user:").partition("$")
    for environment in of_type("AWS::Batch::ComputeEnvironment", GpuMaxVcpus="4").values():
        assert environment["ComputeResources"]["Tags"][key] == value
    told = [each["Subscribers"] for each in found["NotificationsWithSubscribers"]]
    assert told == [[{"SubscriptionType": "SNS", "Address": "NotificationTopic"}]] * 2


def test_queues_are_encrypted():
    for queue in of_type("AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True


def test_what_is_deleted_from_the_data_bucket_can_be_had_back():
    bucket = written()["Resources"]["DataBucket"]
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    assert bucket["UpdateReplacePolicy"] == "Retain"
    properties = of_type("AWS::S3::Bucket")["DataBucket"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    [rule] = [
        each
        for each in properties["LifecycleConfiguration"]["Rules"]
        if "NoncurrentVersionExpiration" in each
    ]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}


def test_the_control_bucket_forgets_what_nobody_reads_any_more():
    rules = of_type("AWS::S3::Bucket")["ControlBucket"]["LifecycleConfiguration"]["Rules"]
    days = {each["Prefix"]: each["ExpirationInDays"] for each in rules if "Prefix" in each}
    assert days == {"tokens/": 370, "starts/": 400, "owners/": 400, "outcomes/": 90}


def test_every_bucket_gives_up_unfinished_uploads():
    for bucket in of_type("AWS::S3::Bucket").values():
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert [each for each in rules if "AbortIncompleteMultipartUpload" in each]


def test_every_log_is_forgotten_after_the_days_that_the_stack_was_given():
    groups = of_type("AWS::Logs::LogGroup", LogRetentionDays="7")
    assert len(groups) == len(functions()) + 2  # the state machine's and the worker's
    assert {str(group["RetentionInDays"]) for group in groups.values()} == {"7"}


def test_batch_is_called_less_than_fifty_times_a_second():
    """By adaptive retries in each function and few functions at a time for events; concurrency is
    not reserved, for new accounts have ten in all."""
    [mapping] = of_type("AWS::Lambda::EventSourceMapping").values()
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 10}
    for function in of_type("AWS::Lambda::Function").values():
        assert "ReservedConcurrentExecutions" not in function
    jobs = (ROOT / "src/drydock/jobs.py").read_text(encoding="utf-8")
    assert 'retries={"mode": "adaptive"' in jobs


def test_the_service_of_the_metrics_is_the_stack():
    environment = written()["Globals"]["Function"]["Environment"]["Variables"]
    assert environment["POWERTOOLS_METRICS_NAMESPACE"] == "drydock"
    assert environment["POWERTOOLS_SERVICE_NAME"] == {"!Ref": "AWS::StackName"}


@pytest.mark.parametrize("path", sources("functions"), ids=lambda path: path.stem)
def test_a_function_that_has_metrics_emits_one_each_time(path):
    """An invocation without any would warn of it in the log."""
    text = path.read_text(encoding="utf-8")
    if "metrics.log_metrics" not in text:
        assert "add_metric" not in text
        return
    indents = re.findall(r"^( +)metrics\.add_metric", text, re.MULTILINE)
    assert min(map(len, indents)) == 4


def test_machines_and_volumes_carry_the_stacks_name():
    """CloudFormation tags what it makes, with the tags that it is given in samconfig.toml; Batch
    makes the machines."""
    deploy = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))["default"][
        "deploy"
    ]
    assert deploy["parameters"]["tags"] == "drydock=drydock"
    environments = of_type("AWS::Batch::ComputeEnvironment", GpuMaxVcpus="64")
    assert len(environments) == 4
    for environment in environments.values():
        assert environment["ComputeResources"]["Tags"]["drydock"] == "drydock"
    for template in of_type("AWS::EC2::LaunchTemplate").values():
        tagged = {
            each["ResourceType"]: each["Tags"]
            for each in template["LaunchTemplateData"]["TagSpecifications"]
        }
        assert tagged == {"volume": [{"Key": "drydock", "Value": "drydock"}]}


def test_tags_of_jobs_reach_their_containers():
    for definition in of_type("AWS::Batch::JobDefinition").values():
        assert definition["PropagateTags"] is True
