"""What IAM is asked for a request: the API's operations are not always IAM's actions.

The rules, with where they stand:

- Service Authorization Reference, one page a service: actions, their resources and condition keys.
  https://docs.aws.amazon.com/service-authorization/latest/reference/
- S3: "Required permissions for Amazon S3 API operations".
  https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
- S3 with KMS: "Protecting data with server-side encryption".
  https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
- Batch: "Supported resource-level permissions". AWS has refused batch:TagResource on the definition
  of a job that was submitted with tags (https://github.com/wri/gfw-data-api/pull/175), so here it
  is asked for on whatever SubmitJob is.
  https://docs.aws.amazon.com/batch/latest/userguide/batch-supported-iam-actions-resources.html
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.least_privilege.recording import Seen

ACCOUNT = "123456789012"


class CallNotKnown(LookupError):
    """Raised for a request of which nobody wrote down what IAM is asked for it."""


@dataclass(frozen=True)
class Asked:
    """One question to IAM; the context is a tuple of pairs, so that equal questions are one."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


def questions(seen: Seen, region: str) -> Iterator[Asked]:
    """What IAM is asked before the request is done.

    Raises:
        CallNotKnown: a service or operation that has no rule here.
    """
    rules = {
        "s3": _s3,
        "batch": _batch,
        "states": _states,
        "sqs": _sqs,
        "sns": _sns,
        "lambda": _lambda,
        "logs": _logs,
        "ecr": _ecr,
        "secretsmanager": _secrets,
        "ssm": _parameters,
    }
    if seen.service not in rules:
        raise CallNotKnown(f"{seen.service}: {seen.method} {seen.path}")
    yield from rules[seen.service](seen, region)


def _operation(seen: Seen) -> str:
    """The API's name where the protocol says it: a header, a form's field or the path's end."""
    target = seen.headers.get("x-amz-target", "").rpartition(".")[2]
    return target or str(seen.document.get("Action") or seen.path.rpartition("/")[2])


# ---- Amazon S3 ----


def _s3(seen: Seen, region: str) -> Iterator[Asked]:
    bucket, _, key = seen.path.lstrip("/").partition("/")
    query = {name: value for name, value in seen.query.items() if name != "x-id"}
    bucket_arn, object_arn = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{key}"
    if not key:
        yield _of_a_bucket(seen, bucket_arn, query)
        return
    yield Asked(_object_action(seen.method, query), object_arn, _encryption(seen))
    # A condition on what is there reads it; an asterisk only asks whether anything is.
    if "if-match" in seen.headers and seen.method != "GET":
        yield Asked("s3:GetObject", object_arn)
    # Who may not list is told 403 of an object that is not there.
    if seen.status == 404 and seen.method in ("GET", "HEAD"):
        yield Asked("s3:ListBucket", bucket_arn)
    yield from _kms(seen, query, region)


def _of_a_bucket(seen: Seen, bucket_arn: str, query: dict[str, str]) -> Asked:
    if seen.method == "GET" and "list-type" in query:
        return Asked("s3:ListBucket", bucket_arn, (("s3:prefix", query.get("prefix", "")),))
    if seen.method == "HEAD" and not query:
        return Asked("s3:ListBucket", bucket_arn)
    raise CallNotKnown(f"s3: {seen.method} {seen.path} {query}")


def _object_action(method: str, query: dict[str, str]) -> str:
    known = {
        ("GET", ""): "s3:GetObject",
        ("HEAD", ""): "s3:GetObject",
        ("PUT", ""): "s3:PutObject",
        ("DELETE", ""): "s3:DeleteObject",
        ("POST", "uploads"): "s3:PutObject",
        ("PUT", "uploadId"): "s3:PutObject",
        ("POST", "uploadId"): "s3:PutObject",
        ("GET", "uploadId"): "s3:ListMultipartUploadParts",
        ("DELETE", "uploadId"): "s3:AbortMultipartUpload",
    }
    kind = next((each for each in ("uploads", "uploadId") if each in query), "")
    if (method, kind) not in known or query.keys() - {"uploads", "uploadId", "partNumber"}:
        raise CallNotKnown(f"s3: {method} of an object with {query}")
    return known[method, kind]


def _encryption(seen: Seen) -> tuple[tuple[str, str], ...]:
    """Condition keys of what is written."""
    names = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")
    return tuple((f"s3:{name}", seen.headers[name]) for name in names if name in seen.headers)


def _kms(seen: Seen, query: dict[str, str], region: str) -> Iterator[Asked]:
    """S3 uses the key in its caller's name, for what is written and for what is read."""
    via = (("kms:ViaService", f"s3.{region}.amazonaws.com"),)
    name = "x-amz-server-side-encryption-aws-kms-key-id"
    if seen.method in ("PUT", "POST") and (key := seen.headers.get(name)):
        yield Asked("kms:GenerateDataKey", key, via)
        if "uploads" in query:
            # Its parts are decrypted when they are put together.
            yield Asked("kms:Decrypt", key, via)
    elif seen.method == "GET" and (key := seen.told.get(name)):
        yield Asked("kms:Decrypt", key, via)


# ---- AWS Batch ----

# Descriptions and lists know no resources.
_BATCH_LOOKS = {
    "describejobs": "batch:DescribeJobs",
    "listjobs": "batch:ListJobs",
    "describejobdefinitions": "batch:DescribeJobDefinitions",
    "describejobqueues": "batch:DescribeJobQueues",
}


def _batch(seen: Seen, region: str) -> Iterator[Asked]:
    operation, document = _operation(seen), seen.document
    arn = f"arn:aws:batch:{region}:{ACCOUNT}"
    if operation in _BATCH_LOOKS:
        yield Asked(_BATCH_LOOKS[operation], "*")
    elif operation == "submitjob":
        # The last is the job that is made, whose id nobody knows yet.
        job = f"{arn}:job/00000000-0000-0000-0000-000000000000"
        for resource in (str(document["jobQueue"]), str(document["jobDefinition"]), job):
            yield Asked("batch:SubmitJob", resource)
            if document.get("tags"):
                yield Asked("batch:TagResource", resource)
    elif operation in ("canceljob", "terminatejob"):
        action = {"canceljob": "batch:CancelJob", "terminatejob": "batch:TerminateJob"}[operation]
        yield Asked(action, f"{arn}:job/{document['jobId']}")
    elif operation == "terminatejobs":
        for job in document["jobs"]:
            yield Asked("batch:TerminateJob", f"{arn}:job/{job}")
    elif operation == "registerjobdefinition":
        yield from _registration(document, arn)
    elif operation == "deregisterjobdefinition":
        yield Asked("batch:DeregisterJobDefinition", str(document["jobDefinition"]))
    else:
        raise CallNotKnown(f"batch: {operation}")


def _registration(document, arn: str) -> Iterator[Asked]:
    definition = f"{arn}:job-definition/{document['jobDefinitionName']}"
    container = document["containerProperties"]
    image = (("batch:Image", str(container["image"])),)
    yield Asked("batch:RegisterJobDefinition", definition, image)
    if document.get("tags"):
        yield Asked("batch:TagResource", f"{definition}:1")
    to_ecs = (("iam:PassedToService", "ecs-tasks.amazonaws.com"),)
    for role in ("jobRoleArn", "executionRoleArn"):
        if container.get(role):
            yield Asked("iam:PassRole", container[role], to_ecs)


# ---- The others ----


def _states(seen: Seen, region: str) -> Iterator[Asked]:
    operation, document = _operation(seen), seen.document
    if operation in ("StartExecution", "ListExecutions"):
        yield Asked(f"states:{operation}", str(document["stateMachineArn"]))
    elif operation in ("DescribeExecution", "StopExecution"):
        yield Asked(f"states:{operation}", str(document["executionArn"]))
    elif operation == "SendTaskSuccess":
        # The one state that waits for a token is inside the Map, whose executions are of a machine
        # that is named after it.
        machine = f"arn:aws:states:{region}:{ACCOUNT}:stateMachine:drydock-run/RunShards"
        yield Asked("states:SendTaskSuccess", machine)
    else:
        raise CallNotKnown(f"states: {operation}")


def _sqs(seen: Seen, region: str) -> Iterator[Asked]:
    name = str(seen.document["QueueUrl"]).rpartition("/")[2]
    yield Asked(f"sqs:{_operation(seen)}", f"arn:aws:sqs:{region}:{ACCOUNT}:{name}")


def _sns(seen: Seen, region: str) -> Iterator[Asked]:
    yield Asked(f"sns:{_operation(seen)}", str(seen.document["TopicArn"]))


def _lambda(seen: Seen, region: str) -> Iterator[Asked]:
    if not seen.path.endswith("/invocations"):
        raise CallNotKnown(f"lambda: {seen.method} {seen.path}")
    name = seen.path.split("/functions/")[1].removesuffix("/invocations").rpartition(":")[2]
    arn = f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"
    yield Asked("lambda:InvokeFunction", arn)


def _logs(seen: Seen, region: str) -> Iterator[Asked]:
    operation = _operation(seen)
    group = f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{seen.document['logGroupName']}"
    if operation == "GetLogEvents":
        stream = seen.document["logStreamName"]
        yield Asked("logs:GetLogEvents", f"{group}:log-stream:{stream}")
    elif operation in ("FilterLogEvents", "DescribeLogStreams"):
        yield Asked(f"logs:{operation}", f"{group}:*")
    else:
        raise CallNotKnown(f"logs: {operation}")


def _ecr(seen: Seen, region: str) -> Iterator[Asked]:
    account = str(seen.document.get("registryId", ACCOUNT))
    operation = _operation(seen)
    if operation == "GetAuthorizationToken":
        yield Asked("ecr:GetAuthorizationToken", "*")
    else:
        name = seen.document["repositoryName"]
        yield Asked(f"ecr:{operation}", f"arn:aws:ecr:{region}:{account}:repository/{name}")


def _secrets(seen: Seen, region: str) -> Iterator[Asked]:
    yield Asked(f"secretsmanager:{_operation(seen)}", str(seen.document["SecretId"]))


def _parameters(seen: Seen, region: str) -> Iterator[Asked]:
    for name in seen.document["Names"]:
        arn = f"arn:aws:ssm:{region}:{ACCOUNT}:parameter/{name.lstrip('/')}"
        yield Asked(f"ssm:{_operation(seen)}", name if name.startswith("arn:") else arn)
