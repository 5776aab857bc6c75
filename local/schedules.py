"""Schedule expressions of EventBridge rules: rates."""

import re

_UNITS_S = {"minute": 60, "hour": 3600, "day": 86_400}
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)(s?)\)")


class ScheduleInvalidError(ValueError):
    """An expression that EventBridge refuses, or a cron expression, which is not run here."""


def period_s(expression: str) -> int:
    """The seconds between two firings of `rate(value unit)`. Raises ScheduleInvalidError.

    EventBridge user guide, "Rate expressions": a value of 1 takes the singular, any other the
    plural.
    """
    match = _RATE.fullmatch(expression)
    if match is None:
        raise ScheduleInvalidError(
            f"{expression!r}: only rate(<number> <minutes|hours|days>) runs here"
        )
    count, unit, plural = int(match[1]), match[2], bool(match[3])
    if count < 1 or plural != (count > 1):
        raise ScheduleInvalidError(f"{expression!r}: 1 takes the singular, more take the plural")
    return count * _UNITS_S[unit]
