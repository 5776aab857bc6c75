"""A template's parameters, and the rules between them: what CloudFormation checks before it begins.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Value = Any
"""What an expression may be or give: any JSON."""
Document = dict[str, Value]
Values = dict[str, str | list[str]]
"""What Ref gives for each parameter: a text, or a list of texts for the list types."""


class TemplateError(Exception):
    """Raised when a template or its parameters say what CloudFormation would refuse."""


def parameter_values(declared: Mapping[str, Document], given: Mapping[str, str]) -> Values:
    """What Ref gives for each parameter.

    Raises:
        TemplateError: naming every parameter that is unknown, missing or outside of its bounds.
    """
    problems = [
        f"{name}: the template has no such parameter" for name in given.keys() - declared.keys()
    ]
    values: Values = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("Default"))
        if value is None:
            problems.append(f"{name}: a value is needed ({declaration.get('Description', name)})")
            continue
        text = str(value)
        is_list = declaration["Type"] == "CommaDelimitedList" or declaration["Type"].startswith(
            "List<"
        )
        words = [word.strip() for word in text.split(",")] if is_list else [text]
        problems += [
            f"{name}: {word!r} {problem}"
            for word in words
            for problem in _out_of_bounds(word, declaration)
        ]
        values[name] = words if is_list else text
    if problems:
        raise TemplateError("; ".join(sorted(problems)))
    return values


def _out_of_bounds(text: str, declaration: Document) -> Iterator[str]:
    pattern = declaration.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(pattern, text):
        yield f"is not {declaration.get('ConstraintDescription', 'of the form ' + pattern)}"
    if "AllowedValues" in declaration:
        allowed = [str(value) for value in declaration["AllowedValues"]]
        if text not in allowed:
            yield f"is none of {', '.join(allowed)}"
    if len(text) > int(declaration.get("MaxLength", len(text))):
        yield f"has {len(text)} characters, more than {declaration['MaxLength']}"
    if declaration["Type"] == "Number":
        yield from _number_out_of_bounds(text, declaration)


def _number_out_of_bounds(text: str, declaration: Document) -> Iterator[str]:
    try:
        number = float(text)
    except ValueError:
        yield "is no number"
        return
    if number < float(declaration.get("MinValue", number)):
        yield f"is below {declaration['MinValue']}"
    if number > float(declaration.get("MaxValue", number)):
        yield f"is above {declaration['MaxValue']}"


def check_rules(rules: Mapping[str, Document], values: Mapping[str, str | list[str]]) -> None:
    """The Rules section: assertions about parameters that belong together.

    Raises:
        TemplateError: every assertion that does not hold, in its own words.
    """
    broken = [
        assertion.get("AssertDescription", name)
        for name, rule in rules.items()
        if "RuleCondition" not in rule or _holds(rule["RuleCondition"], values)
        for assertion in rule["Assertions"]
        if not _holds(assertion["Assert"], values)
    ]
    if broken:
        raise TemplateError("; ".join(broken))


def _holds(expression: Document, values: Mapping[str, str | list[str]]) -> bool:
    [(function, arguments)] = expression.items()
    if function == "Fn::Not":
        return not _holds(arguments[0], values)
    if function == "Fn::And":
        return all(_holds(each, values) for each in arguments)
    if function == "Fn::Or":
        return any(_holds(each, values) for each in arguments)
    if function not in {"Fn::Equals", "Fn::EachMemberEquals", "Fn::EachMemberIn"}:
        raise TemplateError(f"not known here: {json.dumps(expression)}")
    left, right = (_operand(each, values) for each in arguments)
    match function:
        case "Fn::Equals":
            return bool(left == right)
        case "Fn::EachMemberEquals":
            return all(each == right for each in left)
        case _:
            return all(each in right for each in left)


def _operand(value: Value, values: Mapping[str, str | list[str]]) -> Value:
    """Of the functions that give something, rules of ours have Ref to parameters alone."""
    if isinstance(value, dict):
        if set(value) != {"Ref"} or value["Ref"] not in values:
            raise TemplateError(f"not known here: {json.dumps(value)}")
        return values[value["Ref"]]
    return value
