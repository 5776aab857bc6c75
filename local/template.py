"""Reads a SAM template as CloudFormation would: pure, no service is called.

SAM's own translator makes plain CloudFormation of it; the intrinsic functions are resolved here.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

from __future__ import annotations

import base64
import graphlib
import hashlib
import ipaddress
import json
import os
import re
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from typing import TYPE_CHECKING

from local.parameters import Document, TemplateError, Value, check_rules, parameter_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

LOCAL_CODE = "s3://local/"
"""Stands before a path of the checkout: the translator wants code to lie in S3 already."""

_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
_LITERAL = re.compile(r"\$\{!([^}]*)\}")


@dataclass(frozen=True)
class Deployed:
    """A resource as references see it: what Ref gives, and what GetAtt gives.

    With `runs` false nothing stands behind it: its Ref and all of its attributes are made up.
    """

    logical_id: str
    type: str
    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    runs: bool = True

    def attribute(self, name: str) -> str:
        """What GetAtt gives. Raises TemplateError for an attribute that it does not have."""
        if name in self.attributes:
            return self.attributes[name]
        if self.runs:
            raise TemplateError(f"{self.logical_id} ({self.type}) has no attribute {name}")
        return f"{self.ref}-{name}"


class _NoValue:
    """What AWS::NoValue resolves to: the property that holds it is left out."""


_NO_VALUE = _NoValue()


def read_template(path: Path, cache: Path | None = None) -> Document:
    """The template as plain CloudFormation; paths of the checkout begin with LOCAL_CODE.

    The translator takes longer to import than everything else that a deployment does, so what it
    made is kept in the folder `cache` under the hash of what it was made of.

    Raises:
        TemplateError: the translator does not accept the template.
    """
    text = path.read_text(encoding="utf-8")
    if cache is None:
        return _translate(text)
    digest = hashlib.sha256(f"1 {version('aws-sam-translator')} {text}".encode()).hexdigest()
    kept = cache / f"{digest}.json"
    if kept.exists():
        return _document(json.loads(kept.read_bytes()))
    document = _translate(text)
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(document), encoding="utf-8")
    unfinished.replace(kept)
    return document


def _translate(text: str) -> Document:
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # the translator asks boto3 for it
    from samtranslator.model.exceptions import InvalidDocumentException  # noqa: PLC0415
    from samtranslator.translator.transform import transform  # noqa: PLC0415
    from samtranslator.yaml_helper import yaml_parse  # noqa: PLC0415

    class NoManagedPolicies:
        """Policies are named by ARN in our template, so no list of them is needed."""

        def load(self) -> dict[str, str]:
            return {}

    document = _document(yaml_parse(text))
    _point_to_checkout(document)
    try:
        return _document(transform(document, {}, NoManagedPolicies()))
    except InvalidDocumentException as error:
        raise TemplateError("; ".join(str(cause.message) for cause in error.causes)) from error


def _point_to_checkout(document: Document) -> None:
    sections = [resource.get("Properties", {}) for resource in document["Resources"].values()]
    sections += document.get("Globals", {}).values()
    for properties in sections:
        for name in ("CodeUri", "ContentUri", "DefinitionUri"):
            if isinstance(properties.get(name), str):
                properties[name] = LOCAL_CODE + properties[name]


def _document(value: object) -> Document:
    if not isinstance(value, dict) or not isinstance(value.get("Resources"), dict):
        raise TemplateError("a template is an object with Resources")
    return value


class Resolver:
    """Gives the values of a template's expressions, for one set of parameters.

    Resources become known one after the other, with `add`. `pseudo` holds AWS::Region and the like.

    Raises:
        TemplateError: a parameter that is unknown, missing or outside of its bounds, or a rule
            between parameters that does not hold.
    """

    def __init__(
        self, document: Document, parameters: Mapping[str, str], pseudo: Mapping[str, str]
    ) -> None:
        self._document = document
        self._pseudo = pseudo
        self._parameters = parameter_values(document.get("Parameters", {}), parameters)
        check_rules(document.get("Rules", {}), self._parameters)
        self._deployed: dict[str, Deployed] = {}

    def add(self, deployed: Deployed) -> None:
        """Make a resource known to the expressions that name it."""
        self._deployed[deployed.logical_id] = deployed

    def is_made(self, section: Mapping[str, Value]) -> bool:
        """Whether the condition of a resource or an output holds, if it has one."""
        return "Condition" not in section or self._condition(section["Condition"])

    def creation_order(self) -> list[str]:
        """Logical ids of the resources that are made, each after those that it refers to.

        Raises:
            TemplateError: a reference to nothing, or references in a circle.
        """
        resources = self._document["Resources"]
        made = {name: resource for name, resource in resources.items() if self.is_made(resource)}
        graph = {name: set(self._needs(name, resource)) for name, resource in made.items()}
        try:
            return list(graphlib.TopologicalSorter(graph).static_order())
        except graphlib.CycleError as error:
            raise TemplateError("circular references: " + " -> ".join(error.args[1])) from error

    def _needs(self, name: str, resource: Document) -> Iterator[str]:
        depends_on = resource.get("DependsOn", [])
        wanted = [depends_on] if isinstance(depends_on, str) else list(depends_on)
        wanted += self._named_in(resource.get("Properties", {}))
        for target in wanted:
            if target in self._document["Resources"]:
                if not self.is_made(self._document["Resources"][target]):
                    raise TemplateError(f"{name} refers to {target}, whose condition is false")
                yield target
            elif target not in self._parameters and target not in self._pseudo:
                raise TemplateError(f"{name} refers to {target}, which the template does not have")

    def _named_in(self, value: object) -> Iterator[str]:
        """Every name that an expression refers to, in the branches of its Ifs that hold."""
        if isinstance(value, list):
            for element in value:
                yield from self._named_in(element)
            return
        if not isinstance(value, dict):
            return
        match _intrinsic(value):
            case "Ref", name:
                if name != "AWS::NoValue":
                    yield name
            case "Fn::GetAtt", target:
                yield (target.split(".") if isinstance(target, str) else target)[0]
            case "Fn::Sub", template:
                text, own = (template, {}) if isinstance(template, str) else template
                names = {name.split(".")[0] for name in _VARIABLE.findall(text) if name not in own}
                yield from sorted(names)
                yield from self._named_in(own)
            case "Fn::If", [condition, then, otherwise]:
                yield from self._named_in(then if self._condition(condition) else otherwise)
            case _:
                for element in value.values():
                    yield from self._named_in(element)

    def resolve(self, value: object) -> Value:
        """The value of an expression, however deep intrinsic functions lie in it.

        Raises:
            TemplateError: a reference to nothing, or a function that is not known here.
        """
        if isinstance(value, list):
            elements = (self.resolve(element) for element in value)
            return [element for element in elements if element is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        found = _intrinsic(value)
        if found is not None:
            name, argument = found
            function = self._functions().get(name)
            return self._condition(value) if function is None else function(argument)
        pairs = ((key, self.resolve(element)) for key, element in value.items())
        return {key: element for key, element in pairs if element is not _NO_VALUE}

    def _functions(self) -> dict[str, Callable[[Value], Value]]:
        return {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::If": self._if,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": self._availability_zones,
            "Fn::Cidr": self._cidr,
            "Fn::Base64": lambda text: base64.b64encode(self.resolve(text).encode()).decode(),
        }

    def _ref(self, name: str) -> object:
        if name == "AWS::NoValue":
            return _NO_VALUE
        for known in (self._parameters, self._pseudo):
            if name in known:
                return known[name]
        return self._resource(name).ref

    def _resource(self, name: str) -> Deployed:
        if name not in self._deployed:
            raise TemplateError(f"reference to {name}, which the template does not have or make")
        return self._deployed[name]

    def _get_att(self, target: str | list[str]) -> str:
        name, attribute = target.split(".", 1) if isinstance(target, str) else target
        return self._resource(name).attribute(attribute)

    def _sub(self, argument: str | list[Value]) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else argument
        values = {name: self.resolve(value) for name, value in own.items()}

        def value_of(match: re.Match[str]) -> str:
            name = match[1]
            if name in values:
                return str(values[name])
            return str(self._get_att(name) if "." in name else self._ref(name))

        return _LITERAL.sub(r"${\1}", _VARIABLE.sub(value_of, text))

    def _if(self, argument: list[Value]) -> Value:
        condition, then, otherwise = argument
        return self.resolve(then if self._condition(condition) else otherwise)

    def _join(self, argument: list[Value]) -> str:
        delimiter, elements = argument
        return str(delimiter).join(str(element) for element in self.resolve(elements))

    def _select(self, argument: list[Value]) -> Value:
        index, elements = int(self.resolve(argument[0])), self.resolve(argument[1])
        if not 0 <= index < len(elements):
            raise TemplateError(f"Select of element {index} of {len(elements)}")
        return elements[index]

    def _split(self, argument: list[Value]) -> list[str]:
        delimiter, text = argument
        return str(self.resolve(text)).split(delimiter)

    def _find_in_map(self, argument: list[Value]) -> Value:
        found: Value = self._document.get("Mappings", {})
        for key in map(self.resolve, argument):
            if key not in found:
                raise TemplateError(f"no {key} in the mapping {argument[0]}")
            found = found[key]
        return found

    def _availability_zones(self, region: object) -> list[str]:
        name = self.resolve(region) or self._pseudo["AWS::Region"]
        return [f"{name}{letter}" for letter in "abc"]

    def _cidr(self, argument: list[Value]) -> list[str]:
        block, count, host_bits = map(self.resolve, argument)
        whole = ipaddress.ip_network(block)
        parts = whole.subnets(new_prefix=whole.max_prefixlen - int(host_bits))
        found = [str(part) for part in islice(parts, int(count))]
        if len(found) < int(count):
            raise TemplateError(f"{block} has no {count} parts of {host_bits} bits each")
        return found

    def _condition(self, value: Value) -> bool:
        """Whether a condition holds, given by name or as an expression."""
        if isinstance(value, str):
            conditions = self._document.get("Conditions", {})
            if value not in conditions:
                raise TemplateError(f"no condition {value}")
            return self._condition(conditions[value])
        match _intrinsic(value):
            case "Condition", name:
                return self._condition(name)
            case "Fn::Equals", [left, right]:
                return bool(self.resolve(left) == self.resolve(right))
            case "Fn::Not", [inner]:
                return not self._condition(inner)
            case "Fn::And", list(parts):
                return all(self._condition(part) for part in parts)
            case "Fn::Or", list(parts):
                return any(self._condition(part) for part in parts)
            case _:
                raise TemplateError(f"not known here: {json.dumps(value)}")


def _intrinsic(value: Mapping[str, Value]) -> tuple[str, Value] | None:
    """The function and its argument, None for a plain object.

    `Condition` is a function with a name alone: policies have a property of that name too.
    """
    if len(value) != 1:
        return None
    [(name, argument)] = value.items()
    if name == "Condition" and not isinstance(argument, str):
        return None
    return (name, argument) if name in {"Ref", "Condition"} or name.startswith("Fn::") else None
