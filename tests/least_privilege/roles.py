"""The stack's roles with all that is allowed to them, and the policies of its resources.

What SAM adds is there, and AWS's own managed policies are resolved, as moto keeps their documents.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.principals import credentials
from local.template import Resolver, read_template
from tests.architecture.imports import ROOT
from tests.least_privilege.evaluate import Document, as_list

TEMPLATE = ROOT / "template.yaml"

_RESOURCE_POLICIES = {
    "AWS::S3::BucketPolicy": "Bucket",
    "AWS::SQS::QueuePolicy": "Queues",
    "AWS::SNS::TopicPolicy": "Topics",
}
_PSEUDO = {
    "us-east-1": "${AWS::Region}",
    "123456789012": "${AWS::AccountId}",
    ":drydock-": ":${AWS::StackName}-",
    "/drydock-": "/${AWS::StackName}-",
}


@dataclass
class Role:
    """One role: who may take it, and its policies by name."""

    name: str
    trust: Document
    policies: dict[str, Document] = field(default_factory=dict)

    @property
    def access_key(self) -> str:
        """The key id by which its calls are known in the embedded AWS."""
        return credentials(self.name)["AWS_ACCESS_KEY_ID"]


@dataclass(frozen=True)
class Resources:
    """The template's resources, resolved: logical id to type and properties."""

    found: Mapping[str, tuple[str, Mapping[str, Any]]]
    refs: Mapping[str, str]
    arns: Mapping[str, str]
    data_buckets: tuple[str, ...]
    parameters: Mapping[str, str]

    def name_of(self, arn: str) -> str:
        """The logical id of the resource with that ARN. Raises StopIteration without one."""
        return next(name for name, each in self.arns.items() if each == arn)

    def readable(self, arn: str) -> str:
        """An ARN as the template has it: by logical ids, parameters and pseudo parameters.

        All data buckets have one name, made or given.
        """
        named = {self.arns[name]: f"${{{name}.Arn}}" for name in self.arns}
        named |= {ref: f"${{{name}}}" for name, ref in self.refs.items() if ref.startswith("arn:")}
        named |= {f"arn:aws:s3:::{name}": "${DataBucket.Arn}" for name in self.data_buckets}
        named |= {
            each: f"${{{name}}}"
            for name, value in self.parameters.items()
            for each in value.split(",")
            if each.startswith("arn:")
        }
        for text in sorted(named, key=len, reverse=True):
            # A whole name, not the beginning of a longer one.
            if arn == text or arn.startswith((f"{text}/", f"{text}:")):
                return named[text] + arn[len(text) :]
        for text, name in _PSEUDO.items():
            arn = arn.replace(text, name)
        return arn

    def policies_on(self, resource: str) -> dict[str, Document]:
        """The policies of the bucket, queue or topic that a resource is or lies in, by name."""
        by_ref = {self.refs[name]: arn for name, arn in self.arns.items()}
        found = {}
        for kind, attached in _RESOURCE_POLICIES.items():
            for name, properties in self.of(kind).items():
                for ref in as_list(properties[attached]):
                    if (resource + "/").startswith(by_ref.get(ref, ref) + "/"):
                        found[name] = properties["PolicyDocument"]
        return found

    def of(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Properties by logical id of the resources of a type."""
        return {name: each for name, (type_, each) in self.found.items() if type_ == kind}


def resolved(
    stack, parameters: Mapping[str, str], region: str, stack_name: str = "drydock"
) -> Resources:
    """The resources of a deployed stack; names and ARNs are those of the deployment."""
    document = read_template(TEMPLATE)
    pseudo = {
        "AWS::AccountId": "123456789012",
        "AWS::Partition": "aws",
        "AWS::Region": region,
        "AWS::StackName": stack_name,
        "AWS::StackId": f"arn:aws:cloudformation:{region}:123456789012:stack/{stack_name}/local",
        "AWS::URLSuffix": "amazonaws.com",
    }
    resolver = Resolver(document, parameters, pseudo)
    for deployed in stack.resources.values():
        resolver.add(deployed)
    found = {
        name: (each["Type"], resolver.resolve(each.get("Properties", {})))
        for name, each in document["Resources"].items()
        if name in stack.resources
    }
    refs = {name: each.ref for name, each in stack.resources.items()}
    arns = {
        name: each.attributes["Arn"]
        for name, each in stack.resources.items()
        if "Arn" in each.attributes
    }
    return Resources(found, refs, arns, tuple(stack.data_buckets), parameters)


def roles_of(resources: Resources) -> dict[str, Role]:
    """The roles by logical id."""
    roles = {
        name: Role(resources.arns[name].rpartition("/")[2], properties["AssumeRolePolicyDocument"])
        for name, properties in resources.of("AWS::IAM::Role").items()
    }
    managed = resources.of("AWS::IAM::ManagedPolicy")
    by_arn = {
        resources.refs[name]: (name, each["PolicyDocument"]) for name, each in managed.items()
    }
    for name, properties in resources.of("AWS::IAM::Role").items():
        for inline in properties.get("Policies", []):
            roles[name].policies[inline["PolicyName"]] = inline["PolicyDocument"]
        for arn in properties.get("ManagedPolicyArns", []):
            policy, document = by_arn.get(arn) or aws_managed_policy(arn)
            roles[name].policies[policy] = document
    by_ref = {resources.refs[name]: role for name, role in roles.items()}
    for policy, properties in managed.items():
        for ref in properties.get("Roles", []):
            by_ref[ref].policies[policy] = properties["PolicyDocument"]
    return roles


def aws_managed_policy(arn: str) -> tuple[str, Document]:
    """Name and document of a policy that AWS keeps. Raises KeyError for one that it does not."""
    name = arn.rpartition("/")[2]
    return name, _aws_managed_policies()[name]["Document"]


@functools.cache
def _aws_managed_policies() -> Mapping[str, Any]:
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    return json.loads(aws_managed_policies_data)
