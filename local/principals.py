"""Who calls: every role has a made-up access key of its own, so that calls can be attributed."""

import re


def credentials(role_arn: str) -> dict[str, str]:
    """The variables that give a process the identity of a role (its ARN or its name).

    The key id is the role's name, with `-` for what a key id may not hold.
    """
    name = role_arn.rpartition("/")[2] or "nobody"
    return {
        "AWS_ACCESS_KEY_ID": re.sub(r"[^A-Za-z0-9-]", "-", name),
        "AWS_SECRET_ACCESS_KEY": "embedded",
    }
