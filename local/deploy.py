"""Deploys a template onto the embedded AWS: `sam deploy` for one machine.

The worker's image is pushed first, as one does before deploying on AWS. Types that nothing runs
here (roles, networks, permissions, …) get a made-up Ref and Arn, and are listed as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.images import push
from local.names import ACCOUNT, DEFAULT_REGION
from local.resources import Deployment, deploy_resource
from local.template import Resolver, read_template

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from local.embedded import EmbeddedAws
    from local.template import Deployed

STACK_NAME = "drydock"
STACK_IMAGE = f"{ACCOUNT}.dkr.ecr.{DEFAULT_REGION}.amazonaws.com/drydock/worker:current"
"""The name under which the embedded Batch runs the worker of this checkout; in another Region the
stack's own ECR is that one's."""

EMBEDDED_PARAMETERS: Mapping[str, str] = {
    "WorkerImage": STACK_IMAGE,
    # A lost event costs seconds here and not hours.
    "ReconcileSeconds": "20",
}
"""What the parameters of the project's own template are on the embedded AWS."""


@dataclass(frozen=True)
class Stack:
    """What a deployment made. `not_run_here` names the resources that nothing stands behind."""

    outputs: Mapping[str, str]
    resources: Mapping[str, Deployed]
    not_run_here: list[str]

    @property
    def intake_bucket(self) -> str:
        """Where an upload starts a run."""
        return self.outputs["IntakeBucket"]

    @property
    def data_buckets(self) -> list[str]:
        """Where runs read their inputs and write their results."""
        return self.outputs["DataBuckets"].split(",")

    @property
    def control_bucket(self) -> str:
        """The stack's own memory."""
        return self.outputs["ControlBucket"]

    @property
    def state_machine_arn(self) -> str:
        """The machine whose executions are runs."""
        return self.outputs["StateMachineArn"]


def deploy(
    aws: EmbeddedAws,
    template: Path,
    parameters: Mapping[str, str] = EMBEDDED_PARAMETERS,
    *,
    stack_name: str = STACK_NAME,
) -> Stack:
    """Make everything that a template describes; buckets that are there already stay as they are.

    Paths in the template are relative to its folder, and functions run from their source there.

    Raises:
        TemplateError: CloudFormation would refuse the template or the parameters.
    """
    image = STACK_IMAGE.replace(f".{DEFAULT_REGION}.", f".{aws.region}.")
    push(aws.client("ecr"), image, STACK_IMAGE)
    if parameters.get("WorkerImage") == STACK_IMAGE:
        parameters = {**parameters, "WorkerImage": image}
    document = read_template(template, aws.directory / "template-cache")
    pseudo = {
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::Region": aws.region,
        "AWS::StackName": stack_name,
        "AWS::StackId": f"arn:aws:cloudformation:{aws.region}:{ACCOUNT}:stack/{stack_name}/local",
        "AWS::URLSuffix": "amazonaws.com",
    }
    resolver = Resolver(document, parameters, pseudo)
    deployment = Deployment(aws, template.resolve().parent, stack_name)
    resources: dict[str, Deployed] = {}
    for logical_id in resolver.creation_order():
        resource = document["Resources"][logical_id]
        properties = resolver.resolve(resource.get("Properties", {}))
        resources[logical_id] = deploy_resource(
            deployment, logical_id, resource["Type"], properties
        )
        resolver.add(resources[logical_id])
    outputs = {
        name: resolver.resolve(output["Value"])
        for name, output in document.get("Outputs", {}).items()
        if resolver.is_made(output)
    }
    aws.tell_stack(outputs)
    aws.stacks.tell(pseudo["AWS::StackId"], outputs)
    not_run = [f"{name} ({each.type})" for name, each in resources.items() if not each.runs]
    return Stack(outputs, resources, sorted(not_run))
