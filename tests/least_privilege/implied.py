"""What AWS asks of the stack's roles without a request of ours: logs, polls, pulls, the Map's own.

None of it passes the embedded AWS as a call, so it follows here from what was seen: a role that
called anything ran, and what runs writes its log.
"""

from collections.abc import Iterator, Mapping

from tests.least_privilege.asked import ACCOUNT, Asked
from tests.least_privilege.recording import Seen
from tests.least_privilege.roles import Resources

INTERPRETER = "ak"
"""The access key of moto's interpreter, which calls what a state machine's role calls."""


Found = Iterator[tuple[str, str, Asked]]


def implied(resources: Resources, seen: list[tuple[str, Seen]], region: str) -> Found:
    """Role, scene and question, for each role that was seen, and each of its scenes."""
    scenes: dict[str, dict[str, None]] = {}
    for role, each in seen:
        scenes.setdefault(role, {})[each.scene] = None
        yield from _default_encryption(role, each, resources, region)
    by_role = {
        resources.name_of(properties["Role"]): name
        for name, properties in resources.of("AWS::Lambda::Function").items()
    }
    for role, found in scenes.items():
        for question in _of_a_role(role, by_role, resources, region):
            yield from ((question[0], scene, question[1]) for scene in found)


def _of_a_role(
    role: str, by_role: Mapping[str, str], resources: Resources, region: str
) -> Iterator[tuple[str, Asked]]:
    if role in by_role:
        function = by_role[role]
        group = resources.of("AWS::Lambda::Function")[function]["LoggingConfig"]["LogGroup"]
        # Lambda developer guide, "Sending Lambda function logs to CloudWatch Logs".
        yield from ((role, asked) for asked in _writes(group, region))
        yield from ((role, asked) for asked in _polls_of(resources, function))
    elif role == "JobRole":
        # ECS developer guide, "Amazon ECS task execution IAM role": it writes a container's log.
        group = resources.refs["WorkerLogGroup"]
        yield from (("ExecutionRole", asked) for asked in _writes(group, region))
    elif role == "RunStateMachineRole":
        yield from ((role, asked) for asked in _map_of(resources, region))


def _default_encryption(role: str, seen: Seen, resources: Resources, region: str) -> Found:
    """What is written without a word on its encryption gets the bucket's own."""
    if seen.service != "s3" or seen.method != "PUT" or not seen.path.partition("/")[2]:
        return
    if "x-amz-server-side-encryption" in seen.headers or "uploadId" in seen.query:
        return
    bucket = seen.path.split("/")[1]
    for name, properties in resources.of("AWS::S3::Bucket").items():
        rules = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        key = rules[0]["ServerSideEncryptionByDefault"].get("KMSMasterKeyID")
        if resources.refs[name] == bucket and key:
            via = (("kms:ViaService", f"s3.{region}.amazonaws.com"),)
            yield role, seen.scene, Asked("kms:GenerateDataKey", key, via)


def _writes(group: str, region: str) -> Iterator[Asked]:
    stream = f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}:log-stream:some/stream"
    yield Asked("logs:CreateLogStream", stream)
    yield Asked("logs:PutLogEvents", stream)


def _polls_of(resources: Resources, function: str) -> Iterator[Asked]:
    """Lambda developer guide, "Configuring a queue to use with Lambda": its execution role."""
    for mapping in resources.of("AWS::Lambda::EventSourceMapping").values():
        if mapping["FunctionName"] in (resources.refs[function], resources.arns[function]):
            for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
                yield Asked(f"sqs:{action}", mapping["EventSourceArn"])


def _map_of(resources: Resources, region: str) -> Iterator[Asked]:
    """Step Functions guide, "IAM policies for using Distributed Map states"."""
    for machine in resources.of("AWS::StepFunctions::StateMachine").values():
        name = machine["StateMachineName"]
        yield Asked(
            "states:StartExecution", f"arn:aws:states:{region}:{ACCOUNT}:stateMachine:{name}"
        )
