"""The template reader: what expressions and parameters give, and what CloudFormation refuses."""

import pytest

from local.parameters import TemplateError, check_rules, parameter_values
from local.template import Deployed, Resolver

PSEUDO = {"AWS::Region": "us-east-1", "AWS::AccountId": "123456789012", "AWS::StackName": "lab"}
QUEUE = Deployed("Queue", "AWS::SQS::Queue", "https://queue", {"Arn": "arn:queue"})


def resolver(resources=None, parameters=None, given=None, **sections):
    document = {"Resources": resources or {}, "Parameters": parameters or {}, **sections}
    return Resolver(document, given or {}, PSEUDO)


def value(expression, **sections):
    known = resolver(**sections)
    known.add(QUEUE)
    return known.resolve(expression)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"Ref": "Queue"}, "https://queue"),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, "arn:queue"),
        ({"Fn::GetAtt": "Queue.Arn"}, "arn:queue"),
        ({"Fn::Sub": "${AWS::StackName}/${Queue}/${Queue.Arn}"}, "lab/https://queue/arn:queue"),
        ({"Fn::Sub": ["${A}-${B}", {"A": {"Ref": "AWS::StackName"}, "B": 2}]}, "lab-2"),
        ({"Fn::Sub": "${!Literal} ${AWS::Region}"}, "${Literal} us-east-1"),
        ({"Fn::Join": [",", ["a", {"Ref": "AWS::Region"}]]}, "a,us-east-1"),
        ({"Fn::Split": [",", {"Fn::Join": [",", ["a", "b"]]}]}, ["a", "b"]),
        ({"Fn::Select": [1, ["a", "b"]]}, "b"),
        ({"Fn::Select": ["0", {"Fn::GetAZs": ""}]}, "us-east-1a"),
        ({"Fn::Select": [0, {"Fn::GetAZs": "eu-west-1"}]}, "eu-west-1a"),
        ({"Fn::Base64": "text"}, "dGV4dA=="),
        ({"Fn::Cidr": ["10.1.0.0/16", 2, 14]}, ["10.1.0.0/18", "10.1.64.0/18"]),
        ({"Fn::Select": [1, {"Fn::Cidr": ["10.1.0.0/24", "4", "6"]}]}, "10.1.0.64/26"),
        ({"deep": [{"er": {"Ref": "Queue"}}]}, {"deep": [{"er": "https://queue"}]}),
        ({"Condition": {"Bool": {"a": "b"}}}, {"Condition": {"Bool": {"a": "b"}}}),
        ({"a": {"Ref": "AWS::NoValue"}, "b": 1}, {"b": 1}),
        ([1, {"Ref": "AWS::NoValue"}, 2], [1, 2]),
    ],
)
def test_an_expression_gives_what_cloudformation_gives(expression, expected):
    assert value(expression) == expected


def test_a_mapping_is_looked_up():
    mappings = {"ByRegion": {"us-east-1": {"Ami": "ami-1"}}}
    found = {"Fn::FindInMap": ["ByRegion", {"Ref": "AWS::Region"}, "Ami"]}
    assert value(found, Mappings=mappings) == "ami-1"
    with pytest.raises(TemplateError, match="no Kernel in the mapping ByRegion"):
        value({"Fn::FindInMap": ["ByRegion", "us-east-1", "Kernel"]}, Mappings=mappings)


CONDITIONS = {
    "IsEast": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]},
    "IsWest": {"Fn::Not": [{"Condition": "IsEast"}]},
    "Both": {"Fn::And": [{"Condition": "IsEast"}, {"Condition": "IsWest"}]},
    "Either": {"Fn::Or": [{"Condition": "IsEast"}, {"Condition": "IsWest"}]},
}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("IsEast", "yes"), ("IsWest", "no"), ("Both", "no"), ("Either", "yes")],
)
def test_a_condition_chooses(condition, expected):
    assert value({"Fn::If": [condition, "yes", "no"]}, Conditions=CONDITIONS) == expected


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ({"Ref": "Nothing"}, "Nothing"),
        ({"Fn::GetAtt": ["Nothing", "Arn"]}, "Nothing"),
        ({"Fn::Sub": "${Nothing}"}, "Nothing"),
        ({"Fn::GetAtt": ["Queue", "Colour"]}, "Queue .* has no attribute Colour"),
        ({"Fn::If": ["Nothing", 1, 2]}, "no condition Nothing"),
        ({"Fn::ImportValue": "another-stack"}, "Fn::ImportValue"),
        ({"Fn::Transform": {"Name": "AWS::Include"}}, "Fn::Transform"),
        ({"Fn::Select": [2, ["a", "b"]]}, "element 2 of 2"),
    ],
)
def test_a_reference_to_nothing_is_refused_by_name(expression, name):
    with pytest.raises(TemplateError, match=name):
        value(expression)


def test_resources_are_made_after_what_they_refer_to():
    resources = {
        "Rule": {"Properties": {"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}},
        "Queue": {"Properties": {"Dead": {"Fn::Sub": "${Dead.Arn}"}}, "DependsOn": "Topic"},
        "Dead": {},
        "Topic": {},
    }
    order = resolver(resources).creation_order()
    assert sorted(order) == sorted(resources)
    assert order.index("Dead") < order.index("Queue") < order.index("Rule")
    assert order.index("Topic") < order.index("Queue")


def test_references_in_a_circle_are_refused():
    resources = {
        "A": {"Properties": {"B": {"Ref": "B"}}},
        "B": {"Properties": {"A": {"Fn::GetAtt": ["A", "Arn"]}}},
    }
    with pytest.raises(TemplateError, match=r"circular references: (A -> B -> A|B -> A -> B)"):
        resolver(resources).creation_order()


def test_a_resource_whose_condition_is_false_is_not_made_nor_referred_to():
    made_up = {"Condition": "IsWest", "Properties": {}}
    conditional = {"Fn::If": ["IsWest", {"Ref": "West"}, "none"]}
    resources = {"West": made_up, "Other": {"Properties": {"A": conditional}}}
    assert resolver(resources, Conditions=CONDITIONS).creation_order() == ["Other"]
    resources["Other"]["Properties"]["A"] = {"Ref": "West"}
    with pytest.raises(TemplateError, match="Other refers to West, whose condition is false"):
        resolver(resources, Conditions=CONDITIONS).creation_order()


def test_a_resource_that_refers_to_nothing_is_named():
    with pytest.raises(TemplateError, match="Rule refers to Queu, which the template"):
        resolver({"Rule": {"Properties": {"Arn": {"Ref": "Queu"}}}}).creation_order()


PARAMETERS = {
    "Name": {"Type": "String", "AllowedPattern": "[a-z]*", "Default": "", "MaxLength": 5},
    "Level": {"Type": "String", "AllowedValues": ["LOW", "HIGH"], "Default": "LOW"},
    "Count": {"Type": "Number", "MinValue": 1, "MaxValue": 10, "Default": 3},
    "Names": {"Type": "CommaDelimitedList", "Default": "", "AllowedPattern": "[a-z]*"},
    "Subnets": {"Type": "List<AWS::EC2::Subnet::Id>", "Description": "where"},
}


def test_a_parameter_is_its_value_or_its_default():
    assert parameter_values(PARAMETERS, {"Subnets": "s-1, s-2", "Count": "4"}) == {
        "Name": "",
        "Level": "LOW",
        "Count": "4",
        "Names": [""],
        "Subnets": ["s-1", "s-2"],
    }


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"Nmae": "x"}, "Nmae: the template has no such parameter"),
        ({"Name": "A"}, "Name: 'A' is not of the form"),
        ({"Name": "abcdef"}, "Name: 'abcdef' has 6 characters, more than 5"),
        ({"Level": "MIDDLE"}, "Level: 'MIDDLE' is none of LOW, HIGH"),
        ({"Count": "0"}, "Count: '0' is below 1"),
        ({"Count": "11"}, "Count: '11' is above 10"),
        ({"Count": "many"}, "Count: 'many' is no number"),
        ({"Names": "a,B,c"}, "Names: 'B' is not of the form"),
    ],
)
def test_a_parameter_outside_of_its_bounds_is_refused(given, problem):
    with pytest.raises(TemplateError) as refused:
        parameter_values(PARAMETERS, {"Subnets": "s-1", **given})
    assert problem in str(refused.value)


def test_all_problems_with_parameters_are_told_at_once():
    with pytest.raises(TemplateError) as refused:
        parameter_values(PARAMETERS, {"Count": "0", "Level": "MIDDLE"})
    text = str(refused.value)
    assert text.count(";") == 2
    assert "Subnets: a value is needed (where)" in text


NAMES_NEED_A_NAME = {
    "RuleCondition": {"Fn::Not": [{"Fn::EachMemberEquals": [{"Ref": "Names"}, ""]}]},
    "Assertions": [
        {
            "Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Name"}, ""]}]},
            "AssertDescription": "Names go with a Name",
        },
        {
            "Assert": {"Fn::EachMemberIn": [{"Ref": "Names"}, ["a", "b"]]},
            "AssertDescription": "Names are a or b",
        },
    ],
}


@pytest.mark.parametrize(
    "given", [{}, {"Name": "x"}, {"Names": "a,b", "Name": "x"}, {"Names": "a", "Name": "x"}]
)
def test_what_keeps_to_the_rules_is_taken(given):
    values = parameter_values(PARAMETERS, {"Subnets": "s-1", **given})
    check_rules({"NamesNeedAName": NAMES_NEED_A_NAME}, values)


def test_a_broken_rule_is_told_in_its_own_words():
    given = {"Subnets": "s-1", "Names": "a,c"}
    rules = {"NamesNeedAName": NAMES_NEED_A_NAME}
    with pytest.raises(TemplateError, match=r"^Names go with a Name; Names are a or b$"):
        resolver(parameters=PARAMETERS, given=given, Rules=rules)


@pytest.mark.parametrize(
    "unknown",
    [
        {"Fn::Contains": [["a"], {"Ref": "Name"}]},
        {"Fn::Equals": [{"Ref": "Nmae"}, ""]},
        {"Fn::Equals": [{"Fn::Join": ["", {"Ref": "Names"}]}, ""]},
    ],
)
def test_a_rule_with_a_function_that_is_not_known_here_is_refused(unknown):
    values = parameter_values(PARAMETERS, {"Subnets": "s-1"})
    with pytest.raises(TemplateError, match="not known here"):
        check_rules({"Rule": {"Assertions": [{"Assert": unknown}]}}, values)


def test_a_block_with_too_few_parts_is_refused():
    with pytest.raises(TemplateError, match="no 3 parts of 15 bits"):
        value({"Fn::Cidr": ["10.1.0.0/16", 3, 15]})
