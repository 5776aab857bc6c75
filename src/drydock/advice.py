"""What the classes of failures mean and what to do, in sentences for people who look at results."""

from drydock.failures import RULES, TERMINATED, UNKNOWN, Rule, Verdict

_RETRY = "then start the request again with the class in retry_failed"

# Of inputs that settled as failed, by the classes that the worker has for them.
OF_INPUTS: dict[str, tuple[str, str]] = {
    "bad_input": (
        "The tool refuses the input, or nothing in it can be worked on.",
        f"Mend the input; {_RETRY}.",
    ),
    "input_missing": ("The object is gone.", f"Put it back; {_RETRY}."),
    "input_changed": (
        "The object is not the one of the manifest: its ETag differs.",
        "Start the request again with the class in retry_failed, which takes it as it is now.",
    ),
    "tool_failed": (
        "The tool died twice in the same place, or says itself that it failed.",
        "The log stream has what it said, the reason how it ended.",
    ),
    "scratch_full": (
        "The input does not fit into a scratch that is empty.",
        f"Give the machines more disk or the stack more ScratchGib; {_RETRY}.",
    ),
}


def of_input(failure_class: str) -> tuple[str, str]:
    """What a class of failed inputs means, and what to do; of an unknown one two empty texts."""
    return OF_INPUTS.get(failure_class, ("", ""))


def of_attempt(failure_class: str) -> str:
    """What a class of attempts that did not end well means, and what to change; empty if unknown.

    Where several things lead to the class each of them is told.
    """
    ends: list[Rule | Verdict] = [*RULES, TERMINATED, UNKNOWN]
    found = dict.fromkeys(end.advice for end in ends if end.failure_class == failure_class)
    return " ".join(found)
