"""ARNs of secrets: where the value of a variable lies that nobody but the tool is to see.

https://docs.aws.amazon.com/batch/latest/userguide/specifying-sensitive-data.html
"""

import re

_SECRET = re.compile(
    r"(?P<whole>arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,519})"
    # Of a secret that is an object one field, of its versions one.
    r"(?::[^:\s]*:[^:\s]*:[^:\s]*)?"
)
_PARAMETER = re.compile(
    r"(?P<whole>arn:aws[a-z-]*:ssm:[a-z0-9-]+:[0-9]{12}:parameter/[A-Za-z0-9/_.-]{1,1000})"
)
FORMS = (
    "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX or "
    "arn:aws:ssm:REGION:ACCOUNT:parameter/NAME"
)


def whole_secret(arn: str) -> str | None:
    """The ARN of the secret or parameter of which a reference takes all or a part.

    None when it is no such reference.
    """
    match = _SECRET.fullmatch(arn) or _PARAMETER.fullmatch(arn)
    return None if match is None else match["whole"]
