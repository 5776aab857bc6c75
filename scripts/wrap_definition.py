"""Print the state machine's definition inside a throw-away template, for cfn-lint to look into.

The linters do not open the file that DefinitionUri names: `sam validate --lint` lets any mistake in
it pass.
"""

import json
import re
import sys
from pathlib import Path

import yaml

ARN = "arn:aws:lambda:us-east-1:123456789012:function:made-up"

path = Path(sys.argv[1])
text = json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")))
text = re.sub(r"\$\{\w+Arn\}", ARN, text)
text = re.sub(r"\$\{\w+Name\}", "made-up", text)
machine = {
    "Type": "AWS::StepFunctions::StateMachine",
    "Properties": {
        "RoleArn": "arn:aws:iam::123456789012:role/made-up",
        "Definition": json.loads(text),
    },
}
json.dump({"Resources": {"Machine": machine}}, sys.stdout)
