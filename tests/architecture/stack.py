"""The template as it is written, and as CloudFormation sees it with the embedded parameters."""

import functools
import re

import yaml

from local.deploy import EMBEDDED_PARAMETERS
from local.template import Deployed, Resolver, read_template
from tests.architecture.imports import ROOT

TEMPLATE = ROOT / "template.yaml"
DEFINITION = ROOT / "statemachine/run.asl.yaml"
SUBSTITUTION = re.compile(r"\$\{([^}]*)\}")


class _Written(yaml.SafeLoader):
    """YAML in which CloudFormation's short functions stay what they are: a tag and a value."""


def _function(loader, suffix, node):
    construct = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: lambda inner: loader.construct_sequence(inner, deep=True),
        yaml.MappingNode: lambda inner: loader.construct_mapping(inner, deep=True),
    }
    return {f"!{suffix}": construct[type(node)](node)}


_Written.add_multi_constructor("!", _function)


@functools.cache
def written():
    """The template as a document, before SAM's transform."""
    return yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader=_Written)


@functools.cache
def translated():
    """The template as plain CloudFormation."""
    return read_template(TEMPLATE)


@functools.cache
def definition():
    """The state machine's definition, before substitution."""
    return yaml.safe_load(DEFINITION.read_text(encoding="utf-8"))


@functools.cache
def resources(**parameters):
    """Logical id to type and resolved properties; a Ref gives the logical id, an Arn "id.Arn"."""
    document = translated()
    pseudo = {
        "AWS::AccountId": "123456789012",
        "AWS::Partition": "aws",
        "AWS::Region": "us-east-1",
        "AWS::StackName": "drydock",
        "AWS::URLSuffix": "amazonaws.com",
    }
    resolver = Resolver(document, {**EMBEDDED_PARAMETERS, **parameters}, pseudo)
    found = {}
    for name in resolver.creation_order():
        resource = document["Resources"][name]
        arn = {"Arn": f"{name}.Arn"}
        resolver.add(Deployed(name, resource["Type"], name, arn, runs=False))
        found[name] = (resource["Type"], resolver.resolve(resource.get("Properties", {})))
    return found


def of_type(kind, **parameters):
    """Logical id to properties of the resources of a type."""
    found = resources(**parameters).items()
    return {name: properties for name, (each, properties) in found if each == kind}


def functions():
    """The functions by the name of their file."""
    found = of_type("AWS::Lambda::Function")
    return {p["Handler"].removesuffix(".lambda_handler"): (n, p) for n, p in found.items()}


def states(level=None, inside=""):
    """Every state of the definition, those inside a Map too: name, state, the Map it is in."""
    for name, state in (level or definition())["States"].items():
        yield name, state, inside
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"], name)
