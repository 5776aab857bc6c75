"""Print what CloudFormation itself calls for each type of resource in template.yaml, as JSON.

usage: python scripts/handler_permissions.py > tests/deployer/handlers.json

It runs in the environment of `make lint`: `make permissions` calls it.

CloudFormation's schemas of the types say so, which cfn-lint brings along. Listing is left out: it
is for imports.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from local.template import read_template

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
HANDLERS = ("create", "read", "update", "delete")


def permissions(kind: str) -> list[str]:
    """The actions that CloudFormation calls for a type; schemas spell services in two ways."""
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"]
    called = {each for name in HANDLERS for each in handlers.get(name, {}).get("permissions", [])}
    return sorted({f"{service.lower()}:{action}" for service, _, action in map(_split, called)})


def _split(action: str) -> tuple[str, str, str]:
    return action.partition(":")


kinds = sorted({each["Type"] for each in read_template(TEMPLATE)["Resources"].values()})
told = {"cfn-lint": version("cfn-lint"), "types": {kind: permissions(kind) for kind in kinds}}
json.dump(told, sys.stdout, indent=1)
sys.stdout.write("\n")
