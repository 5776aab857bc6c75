"""What the machines run when they start, taken out of the template as cloud-init takes it."""

import base64
import email

from tests.architecture.stack import of_type


def user_data(**parameters):
    """The whole text, as EC2 gets it."""
    [template] = of_type("AWS::EC2::LaunchTemplate", **parameters).values()
    return base64.b64decode(template["LaunchTemplateData"]["UserData"], validate=True)


def script(**parameters):
    """The one shell script in it."""
    message = email.message_from_bytes(user_data(**parameters))
    assert message.get_content_type() == "multipart/mixed"
    assert not message.defects
    [part] = message.get_payload()
    assert part.get_content_type() == "text/x-shellscript"
    return part.get_payload(decode=True).decode("ascii")
