"""The conditions of policy statements.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_variables.html
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

Context = Mapping[str, str | list[str]]

_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_PLAIN = {"*", "?", "$"}


def condition_holds(operator: str, key: str, expected: list[str], context: Context) -> bool:
    """Whether one line of a statement's Condition holds.

    Raises:
        ValueError: an operator that is not known here.
    """
    quantifier, _, name = operator.rpartition(":")
    if_exists, name = name.endswith("IfExists"), name.removesuffix("IfExists")
    given = _values(key, context)
    if name == "Null":
        return (str(expected[0]).lower() == "true") == (given is None)
    matches, negated = _operator(name)
    if given is None:
        # A missing key fails a comparison and passes its negation.
        return if_exists or quantifier == "ForAllValues" or (negated and not quantifier)

    def one_holds(value: str) -> bool:
        return negated != any(_compares(matches, each, value, context) for each in expected)

    if quantifier == "ForAllValues":
        return all(one_holds(value) for value in given)
    if quantifier not in ("", "ForAnyValue"):
        raise ValueError(f"condition operator {operator}")
    return any(one_holds(value) for value in given)


def substituted(text: str, context: Context) -> str | None:
    """The text with its policy variables' values; None when one of them has none.

    A value is no pattern, whatever it holds.
    """
    missing = []

    def value_of(match: re.Match[str]) -> str:
        if match[1] in _PLAIN:
            return "${" + match[1] + "}"
        found = _values(match[1], context)
        if found is None or len(found) != 1:
            missing.append(match[1])
            return ""
        return re.sub(r"[*?$]", lambda special: "${" + special[0] + "}", found[0])

    result = _VARIABLE.sub(value_of, text)
    return None if missing else result


@lru_cache(maxsize=4096)
def pattern_of(text: str) -> re.Pattern[str]:
    """The regular expression of a text with IAM's wildcards; `${*}` is a plain asterisk."""
    tokens = re.findall(r"\$\{[*?$]\}|.", text, flags=re.DOTALL)
    wildcards = {"*": ".*", "?": "."}
    written = (each[2] if len(each) > 1 else each for each in tokens)
    return re.compile(
        "".join(
            wildcards.get(token) or re.escape(plain)
            for token, plain in zip(tokens, written, strict=True)
        ),
        flags=re.DOTALL,
    )


def _values(key: str, context: Context) -> list[str] | None:
    for name, value in context.items():
        if name.lower() == key.lower():
            return value if isinstance(value, list) else [str(value)]
    return None


def _compares(
    matches: Callable[[str, str], bool], expected: object, value: str, context: Context
) -> bool:
    known = substituted(_text(expected), context)
    return known is not None and matches(known, value)


def _text(value: object) -> str:
    """YAML's `true` is the policy's "true"."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _operator(name: str) -> tuple[Callable[[str, str], bool], bool]:
    """What compares, and whether the outcome is turned around."""
    positive = name.replace("Not", "", 1)
    if positive not in _OPERATORS:
        raise ValueError(f"condition operator {name}")
    return _OPERATORS[positive], positive != name


def _equal(expected: str, value: str) -> bool:
    return re.sub(r"\$\{([*?$])\}", r"\1", expected) == value


def _like(expected: str, value: str) -> bool:
    return pattern_of(expected).fullmatch(value) is not None


def _arn_like(expected: str, value: str) -> bool:
    wanted, given = expected.split(":", 5), value.split(":", 5)
    return len(wanted) == len(given) and all(map(_like, wanted, given))


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _equal,
    "StringEqualsIgnoreCase": lambda expected, value: _equal(expected.lower(), value.lower()),
    "StringLike": _like,
    # The two are the same to IAM.
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda expected, value: expected.lower() == value.lower(),
    "NumericEquals": lambda expected, value: float(expected) == float(value),
    "NumericLessThan": lambda expected, value: float(value) < float(expected),
    "NumericLessThanEquals": lambda expected, value: float(value) <= float(expected),
    "NumericGreaterThan": lambda expected, value: float(value) > float(expected),
    "NumericGreaterThanEquals": lambda expected, value: float(value) >= float(expected),
}
