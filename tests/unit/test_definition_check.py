from pathlib import Path

import pytest
import yaml

from local.definition_check import check_definition

PASS = {"Type": "Pass", "End": True}


def machine(start="A", **states):
    return {"StartAt": start, "States": states or {"A": PASS}}


def item(inner):
    return {"Type": "Map", "ItemProcessor": inner, "End": True}


def test_a_whole_definition_has_no_problems():
    choice = {"Type": "Choice", "Choices": [{"Next": "B"}], "Default": "C"}
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}],
        "Next": "D",
    }
    whole = machine(A=choice, B=task, C={"Type": "Fail"}, D=item(machine()))
    assert check_definition(whole) == []


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        (machine("Z"), "the machine: StartAt names 'Z', which is no state of it"),
        ({"StartAt": "A"}, "the machine: States is missing or empty"),
        (
            machine(A={"Type": "Pass", "Next": "B"}),
            "A: Next names 'B', which is no state beside it",
        ),
        (machine(A=PASS, B=PASS), "B: cannot be reached"),
        (machine(A={"Type": "Pass"}), "A: has to have either Next or End: true"),
        (machine(A=PASS | {"Next": "A"}), "A: has to have either Next or End: true"),
        (machine(A={"Type": "Fail", "End": True}), "A: a Fail state has neither Next nor End"),
        (machine(A={"Type": "Pas", "End": True}), "A: Type is 'Pas', not one of"),
        (machine(A={"Type": "Pass", "Next": "A"}), "the machine: no state ends it"),
        (
            machine(A={"Type": "Choice", "Choices": [{"Next": "Nowhere"}], "Default": "B"}, B=PASS),
            "A: Next names 'Nowhere', which is no state beside it",
        ),
        (machine(A={"Type": "Choice", "Default": "B"}, B=PASS), "A: a Choice state needs Choices"),
        (
            machine(A=PASS | {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Gone"}]}),
            "A: Next names 'Gone', which is no state beside it",
        ),
        (
            machine(A=item(machine("B"))),
            "A's ItemProcessor: StartAt names 'B', which is no state of it",
        ),
        (
            machine(A=item(machine(Inner={"Type": "Pass", "Next": "A"}) | {"StartAt": "Inner"})),
            "Inner: Next names 'A', which is no state beside it",
        ),
        (
            machine(A={"Type": "Parallel", "Branches": [machine("B")], "End": True}),
            "A's branch 0: StartAt names 'B', which is no state of it",
        ),
        (
            machine(A=PASS | {"Parameters": {"names": ["${FunctionArn}"]}}),
            "the machine.States.A.Parameters.names: ${FunctionArn} was not substituted",
        ),
        (machine("A" * 81, **{"A" * 81: PASS}), "a name has at most 80 characters"),
    ],
)
def test_a_hole_is_named_with_its_state(definition, problem):
    assert any(problem in found for found in check_definition(definition))


def test_the_projects_own_machine_lacks_nothing_but_its_substitutions():
    path = Path(__file__).parents[2] / "statemachine" / "run.asl.yaml"
    problems = check_definition(yaml.safe_load(path.read_text()))
    assert [problem for problem in problems if "was not substituted" not in problem] == []
