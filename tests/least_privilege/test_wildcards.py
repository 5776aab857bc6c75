"""Each wildcard that something is allowed with says in a comment why it is one."""

import pytest
import yaml

from tests.least_privilege.roles import TEMPLATE

# Keys of the buckets that the stack made or was given: the template's head explains them.
BUCKETS = (
    "${ControlBucket.Arn}/",
    "${IntakeBucket.Arn}/",
    "${DataBucket.Arn}/",
    "arn:aws:s3:::${",
    "/*",
)


class _Marks(yaml.SafeLoader):
    """YAML whose nodes know their lines; CloudFormation's tags stay as they are."""


def statements(node, path=()):
    """Every statement of a policy in the template, with the logical id that it is below."""
    if isinstance(node, yaml.MappingNode):
        keys = {key.value: value for key, value in node.value}
        if {"Effect", "Action"} <= keys.keys():
            yield path, node, keys
        for key, value in node.value:
            yield from statements(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for element in node.value:
            yield from statements(element, path)


def scalars(node):
    """The texts of an expression, but for names of conditions and functions' delimiters."""
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for element in node.value:
            yield from scalars(element)
    elif isinstance(node, yaml.MappingNode):
        for _, element in node.value:
            yield from scalars(element)


def unexplained(text):
    """Allows with a wildcard and no comment beside it, above it, or beside what it stands in."""
    lines = text.splitlines()
    for path, node, keys in statements(yaml.compose(text, Loader=_Marks)):
        if keys["Effect"].value != "Allow":
            continue
        for name in keys.keys() - {"Sid", "Effect"}:
            around = {lines[node.start_mark.line], lines[keys[name].start_mark.line]}
            if lines[keys[name].start_mark.line - 1].strip().startswith(f"{name}:"):
                around.add(lines[keys[name].start_mark.line - 1])
            for scalar in scalars(keys[name]):
                number = scalar.start_mark.line
                said = any(" # " in line for line in {lines[number], *around})
                said = said or lines[number - 1].lstrip().startswith("#")
                if "*" in scalar.value and not scalar.value.startswith(BUCKETS) and not said:
                    yield f"{path[1]} line {number + 1}: {lines[number].strip()}"


def test_each_wildcard_says_why():
    assert list(unexplained(TEMPLATE.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("resource", "found"),
    [
        ('Resource: "*"', 1),
        ('Resource: "*" # it knows none', 0),
        ('# it knows none\n        Resource: "*"', 0),
        ("Resource: !Sub arn:aws:batch:${AWS::Region}:${AWS::AccountId}:job/*", 1),
        ('Resource: !Sub "${ControlBucket.Arn}/runs/*"', 0),
        ("Resource: !If [Made, !Ref Queue, !Sub 'arn:aws:sqs:*:*:*']", 1),
        ("Resource: !Ref Queue", 0),
        ("Resource: # of all jobs\n          - job/*", 0),
        ("Condition: {} # another matter\n        Resource: job/*", 1),
        ("NotResource: job/*", 1),
        ('Principal: "*"', 1),
        ("Condition: {ArnLike: {'aws:SourceArn': 'arn:aws:events:*'}}", 1),
    ],
)
def test_a_wildcard_without_a_word_is_found(resource, found):
    head = "Resources:\n  Role:\n    Statement:\n      - Effect: Allow\n        Action: a:B\n"
    text = f"{head}        {resource}\n"
    assert len(list(unexplained(text))) == found
