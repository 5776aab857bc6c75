"""docs/deployer-policy.json: whoever has it can deploy, and touch nothing that is not drydock's.

What CloudFormation calls for a type is in handlers.json, as its own schemas say.
"""

import copy
import json
import re
from pathlib import Path

import pytest

from cli.group import stack_of
from local.template import read_template
from tests.architecture.imports import ROOT
from tests.architecture.stack import TEMPLATE, of_type
from tests.least_privilege.evaluate import action_matches, as_list, is_allowed
from tests.least_privilege.reference import actions_like, problems, resource_patterns

POLICY = json.loads((ROOT / "docs/deployer-policy.json").read_text(encoding="utf-8"))
HANDLERS = json.loads((Path(__file__).parent / "handlers.json").read_text(encoding="utf-8"))[
    "types"
]
TYPES = sorted({each["Type"] for each in read_template(TEMPLATE)["Resources"].values()})
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MAX_CHARS = 6144

# What the schemas list for properties that this template does not use.
NOT_CALLED = {
    "billing:*": "budgets of parts of a bill",
    "eks:*": "compute environments on Kubernetes",
    "elasticfilesystem:*": "functions with file systems",
    "s3files:*": "functions with file systems",
    "ec2:*VpnGateway*": "networks with VPN",
    "ec2:*VpcEncryptionControl*": "networks with encryption controls",
    "ec2:*SubnetCidrBlock": "IPv6",
    "kms:*": "only buckets have a key of one's own, and S3 uses it",
    "lambda:*CodeSigning*": "signed code",
    "lambda:PassCapacityProvider": "functions on instances",
    "firehose:*": "deliveries of logs",
    "s3:*Object": "objects are the users'",
    "s3:GetObjectVersion": "the code's bucket is asked for its newest",
    "s3:PutObjectAcl": "objects have no lists of access",
    "s3:PutObjectLockConfiguration": "no object is locked",
    "s3tables:*": "tables of metadata",
    "s3:*MetadataTableConfiguration": "tables of metadata",
    "s3:*TableConfiguration": "tables of metadata",
    "vpc-lattice:*": "endpoints of service networks",
    "vpce:*": "endpoints in other Regions",
    "iam:*GroupPolicy": "policies belong to roles",
    "iam:*UserPolicy": "policies belong to roles",
}
# What the stack is made of, as CloudFormation names it, and the bucket that `sam deploy` makes.
STACK = "drydock"
ACCOUNT = "us-east-1:123456789012"
IAM = "arn:aws:iam::123456789012"
OWN = (
    f"arn:aws:batch:{ACCOUNT}:compute-environment/drydock_spot",
    f"arn:aws:batch:{ACCOUNT}:job-queue/{STACK}-spot",
    f"arn:aws:batch:{ACCOUNT}:job-definition/{STACK}-worker:3",
    f"arn:aws:budgets::123456789012:budget/{STACK}-us-east-1-monthly",
    f"arn:aws:cloudwatch:{ACCOUNT}:alarm:{STACK}-dead-letters",
    f"arn:aws:cloudwatch::123456789012:dashboard/{STACK}",
    f"arn:aws:ecr:{ACCOUNT}:repository/{STACK}-workerrepository-1a2b",
    *(
        f"arn:aws:ec2:{ACCOUNT}:{kind}/0123"
        for kind in ("internet-gateway", "launch-template", "route-table", "security-group")
    ),
    *(f"arn:aws:ec2:{ACCOUNT}:{kind}/0123" for kind in ("subnet", "vpc", "vpc-endpoint")),
    f"arn:aws:events:{ACCOUNT}:rule/{STACK}-JobEndedRule-1A2B",
    f"{IAM}:instance-profile/{STACK}-InstanceProfile-1A2B",
    f"{IAM}:policy/{STACK}-ReadDataPolicy-1A2B",
    f"{IAM}:role/{STACK}-JobRole-1A2B",
    f"arn:aws:kms:{ACCOUNT}:key/0123",
    f"arn:aws:lambda:{ACCOUNT}:event-source-mapping:0123-4567",
    f"arn:aws:lambda:{ACCOUNT}:function:{STACK}-StopRunFunction-1A2B",
    f"arn:aws:lambda:{ACCOUNT}:layer:CoreLayer",
    f"arn:aws:lambda:{ACCOUNT}:layer:CoreLayer:7",
    f"arn:aws:lambda:{ACCOUNT}:layer:ResultsLayer:7",
    f"arn:aws:logs:{ACCOUNT}:log-group:/drydock/{STACK}/worker",
    f"arn:aws:logs:{ACCOUNT}:log-group:/aws/vendedlogs/states/{STACK}-run",
    f"arn:aws:s3:::{STACK}-controlbucket-1a2b",
    "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1a2b",
    f"arn:aws:sns:{ACCOUNT}:{STACK}-NotificationTopic-1A2B",
    f"arn:aws:sqs:{ACCOUNT}:{STACK}-ResubmitQueue-1A2B",
    f"arn:aws:states:{ACCOUNT}:stateMachine:{STACK}-run",
)
# What has a name of its own wherever it is called.
OTHERS = {
    "iam:CreateServiceLinkedRole": (
        f"{IAM}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch",
    ),
}
THROUGH = {
    "aws:CalledVia": ["cloudformation.amazonaws.com"],
    "iam:AWSServiceName": "batch.amazonaws.com",
    "iam:PassedToService": "lambda.amazonaws.com",
}
# What `sam deploy` and the commands of docs/deploying.md call themselves.
BY_HAND = {
    **{
        f"cloudformation:{name}": f"arn:aws:cloudformation:{ACCOUNT}:stack/{STACK}/0123"
        for name in (
            *("CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet", "DeleteChangeSet"),
            *("DescribeStacks", "DescribeStackEvents", "DescribeStackResource", "DeleteStack"),
            *("CreateStack", "UpdateStack", "RollbackStack", "ListChangeSets", "GetTemplate"),
            *("GetTemplateSummary", "ListStackResources", "UpdateTerminationProtection"),
            "TagResource",  # the tags of samconfig.toml, and those that sam puts on its own stack
        )
    },
    "cloudformation:ValidateTemplate": "*",
    "s3:PutObject": "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1a2b/drydock/1a2b",
    "s3:GetObject": f"arn:aws:s3:::{STACK}-databucket-1a2b/out/results/top.csv",
    "s3:DeleteObject": f"arn:aws:s3:::{STACK}-controlbucket-1a2b/runs/1",
    "s3:ListBucket": f"arn:aws:s3:::{STACK}-controlbucket-1a2b",
    "s3:CreateBucket": "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1a2b",
    "s3:PutEncryptionConfiguration": "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket",
    "ecr:GetAuthorizationToken": "*",
    **{
        f"ecr:{name}": f"arn:aws:ecr:{ACCOUNT}:repository/{STACK}-workerrepository-1a2b"
        for name in (
            *("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart"),
            *("CompleteLayerUpload", "PutImage", "BatchGetImage", "DescribeImages"),
            "BatchDeleteImage",
        )
    },
    **{
        f"states:{name}": f"arn:aws:states:{ACCOUNT}:execution:{STACK}-run:0123"
        for name in ("DescribeExecution", "GetExecutionHistory", "StopExecution")
    },
    "states:ListExecutions": f"arn:aws:states:{ACCOUNT}:stateMachine:{STACK}-run",
    "states:StartExecution": f"arn:aws:states:{ACCOUNT}:stateMachine:{STACK}-run",
    "lambda:InvokeFunction": f"arn:aws:lambda:{ACCOUNT}:function:{STACK}-StopRunFunction-1A2B",
    "iam:CreateServiceLinkedRole": (
        "arn:aws:iam::123456789012:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
    ),
    "batch:CancelJob": f"arn:aws:batch:{ACCOUNT}:job/0123",
    "batch:TerminateJob": f"arn:aws:batch:{ACCOUNT}:job/0123",
    "batch:DescribeJobs": "*",
    "batch:ListJobs": "*",
    "batch:DeregisterJobDefinition": f"arn:aws:batch:{ACCOUNT}:job-definition/{STACK}-worker-1a:1",
    "logs:FilterLogEvents": f"arn:aws:logs:{ACCOUNT}:log-group:/drydock/{STACK}/worker:*",
    "servicequotas:GetServiceQuota": "*",
    "servicequotas:RequestServiceQuotaIncrease": "*",
}


def allows(action, resource, context=None):
    return bool(is_allowed({"deployer": POLICY}, action, resource, context))


def is_called(action):
    """The schemas also list what is no action that a policy can name."""
    return actions_like(action) and not any(
        action_matches(pattern, action) for pattern in NOT_CALLED
    )


def resources_for(action):
    """On what of the stack's the action can be called, as AWS's reference says; or on all."""
    if action in OTHERS:
        return OTHERS[action]
    if not resource_patterns(action):
        return ("*",)
    found = tuple(arn for arn in OWN if not list(problems(action, arn)))
    assert found, f"{action}: nothing of the stack's is of its kind"
    return found


def allowed_patterns():
    return [each for statement in POLICY["Statement"] for each in as_list(statement["Action"])]


def test_it_is_known_what_cloudformation_calls_for_every_type():
    """python scripts/handler_permissions.py writes handlers.json anew."""
    assert [kind for kind in TYPES if kind not in HANDLERS] == []


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind in HANDLERS])
def test_cloudformation_may_do_for_the_deployer_what_a_type_needs(kind):
    denied = [
        (action, resource)
        for action in filter(is_called, HANDLERS[kind])
        for resource in resources_for(action)
        if not allows(action, resource, THROUGH)
    ]
    assert denied == []


def test_cloudformation_may_read_what_was_uploaded():
    uploaded = "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1a2b/drydock/0123"
    assert allows("s3:GetObject", uploaded, THROUGH)


@pytest.mark.parametrize("action", BY_HAND)
def test_the_deployer_may_do_what_the_page_says(action):
    context = {"iam:AWSServiceName": "spot.amazonaws.com"}
    assert allows(action, BY_HAND[action], context)


def test_every_role_may_be_passed_to_the_service_that_it_trusts():
    roles = of_type("AWS::IAM::Role").values()
    trusted = {
        service
        for role in roles
        for statement in role["AssumeRolePolicyDocument"]["Statement"]
        for service in as_list(statement["Principal"]["Service"])
    }
    assert {"lambda.amazonaws.com", "events.amazonaws.com"} <= trusted
    for service in trusted:
        passed = {"iam:PassedToService": service}
        assert allows("iam:PassRole", f"{IAM}:role/{STACK}-JobRole-1A2B", passed), service


def test_nothing_is_allowed_that_nobody_calls():
    called = {action for kind in TYPES for action in HANDLERS.get(kind, []) if is_called(action)}
    called |= set(BY_HAND)
    idle = [
        pattern
        for pattern in allowed_patterns()
        if not any(action_matches(pattern, action) for action in called)
    ]
    assert idle == []


def test_every_action_of_the_policy_is_one():
    assert [pattern for pattern in allowed_patterns() if not actions_like(pattern)] == []


def test_what_is_said_not_to_be_called_is_in_the_schemas():
    listed = {action for kind in HANDLERS for action in HANDLERS[kind]}
    unknown = [p for p in NOT_CALLED if not any(action_matches(p, each) for each in listed)]
    assert unknown == []


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:CreateRole", f"arn:aws:iam::123456789012:role/{STACK}-JobRole-1A2B"),
        ("ec2:DeleteVpc", "*"),
        ("sqs:DeleteQueue", f"arn:aws:sqs:{ACCOUNT}:{STACK}-ResubmitQueue-1A2B"),
        ("lambda:UpdateFunctionCode", f"arn:aws:lambda:{ACCOUNT}:function:{STACK}-StopRun-1A2B"),
    ],
)
def test_resources_change_through_cloudformation_alone(action, resource):
    assert allows(action, resource, THROUGH)
    assert not allows(action, resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:CreateRole", "arn:aws:iam::123456789012:role/Admin"),
        ("iam:PassRole", "arn:aws:iam::123456789012:role/Admin"),
        ("iam:PutUserPolicy", "arn:aws:iam::123456789012:user/me"),
        ("s3:DeleteBucket", "arn:aws:s3:::somebody-elses"),
        ("s3:GetObject", "arn:aws:s3:::somebody-elses/secret"),
        ("lambda:DeleteFunction", f"arn:aws:lambda:{ACCOUNT}:function:other"),
        ("cloudformation:DeleteStack", f"arn:aws:cloudformation:{ACCOUNT}:stack/other/0123"),
        ("sqs:DeleteQueue", f"arn:aws:sqs:{ACCOUNT}:other"),
        ("batch:DeleteJobQueue", f"arn:aws:batch:{ACCOUNT}:job-queue/other"),
        ("ec2:RunInstances", "*"),
        ("kms:Decrypt", f"arn:aws:kms:{ACCOUNT}:key/0123"),
        ("s3:DeleteObjectVersion", f"arn:aws:s3:::{STACK}-databucket-1a2b/out/results/top.csv"),
    ],
)
def test_what_is_not_drydocks_stays_out_of_reach(action, resource):
    assert not allows(action, resource, THROUGH)


@pytest.mark.parametrize("action", ["iam:CreatePolicyVersion", "iam:DeletePolicyVersion"])
def test_the_policy_cannot_be_changed_by_who_has_it(action):
    """A template could import it, and CloudFormation would write it anew for its deployer."""
    page = (ROOT / "docs/deploying.md").read_text(encoding="utf-8")
    [name] = re.findall(r"create-policy --policy-name (\S+) ", page)
    assert not allows(action, f"{IAM}:policy/{name}", THROUGH)
    assert allows(action, f"{IAM}:policy/{STACK}-SubmitterPolicy-1A2B", THROUGH)


@pytest.mark.parametrize("action", sorted(BY_HAND))
def test_it_is_for_the_stacks_of_groups_too(action):
    resource = re.sub(rf"(?<!log-group:/){STACK}", stack_of("doe-j"), BY_HAND[action])
    assert allows(action, resource, {"iam:AWSServiceName": "spot.amazonaws.com"})


def test_a_boundary_can_be_demanded_of_every_role_by_one_condition():
    """docs/operating.md: an administrator adds it to RolesThroughCloudFormation."""
    demanding = copy.deepcopy(POLICY)
    [roles] = [s for s in demanding["Statement"] if s["Sid"] == "RolesThroughCloudFormation"]
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    roles["Condition"]["StringEquals"] = {"iam:PermissionsBoundary": boundary}
    role = f"arn:aws:iam::123456789012:role/{STACK}-JobRole-1A2B"
    for action in roles["Action"]:
        assert not is_allowed({"deployer": demanding}, action, role, THROUGH)
        with_it = {**THROUGH, "iam:PermissionsBoundary": boundary}
        assert is_allowed({"deployer": demanding}, action, role, with_it)


def test_it_fits_into_one_managed_policy():
    assert len(re.sub(r"\s", "", json.dumps(POLICY))) <= MAX_CHARS
