"""Starts the chain and tells how it goes: on the embedded AWS, or one that was deployed.

python start.py [--directory .drydock/local-aws] [--requests chain.json]
python start.py --chain ARN --requests my-chain.json

On the embedded AWS it also makes the state machine and uploads what the requests name and this
folder has. Started again, the chain goes on where it stopped.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import boto3

HERE = Path(__file__).parent
RECEPTOR = HERE.parent / "vina" / "receptor.pdbqt"
NAME = "dock-then-md"
ROLE = f"arn:aws:iam::123456789012:role/{NAME}"
LOOK_S = 1.0


def main() -> int:
    """0 when all three runs are done."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chain", help="ARN of the deployed chain")
    parser.add_argument("--directory", type=Path, default=Path(".drydock/local-aws"))
    parser.add_argument("--requests", type=Path, default=HERE / "chain.json")
    given = parser.parse_args()
    requests = json.loads(given.requests.read_text())
    arn = given.chain
    if arn is None:
        told = json.loads((given.directory / "stack.json").read_text())
        os.environ.update(told["environment"])
        arn = make(told["outputs"]["StateMachineArn"])
        upload(requests)
    states = boto3.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=arn, input=json.dumps(requests))
    print(f"The chain: {execution['executionArn']}", flush=True)
    return follow(states, execution["executionArn"])


def make(drydock: str) -> str:
    """What `sam deploy` does with template.yaml, but for the role, which nothing asks for here."""
    import yaml  # noqa: PLC0415 - where the chain is deployed nobody needs it

    states = boto3.client("stepfunctions")
    text = (HERE / "chain.asl.yaml").read_text().replace("${DrydockStateMachineArn}", drydock)
    definition = json.dumps(yaml.safe_load(text))
    for machine in states.list_state_machines()["stateMachines"]:
        if machine["name"] == NAME:
            arn = machine["stateMachineArn"]
            states.update_state_machine(stateMachineArn=arn, definition=definition)
            return arn
    made = states.create_state_machine(name=NAME, definition=definition, roleArn=ROLE)
    return made["stateMachineArn"]


def upload(requests: dict) -> None:
    """The files of this folder, and the receptor, to where the requests name them."""
    s3 = boto3.client("s3")
    dock, prepare = requests["dock"], requests["prepare"]
    files = {f"{dock['input']}{path.name}": path for path in (HERE / "inputs").iterdir()}
    files[dock["assets"]["receptor"]] = RECEPTOR
    files[prepare["assets"]["prepare"]] = HERE / "prepare.py"
    for uri, path in files.items():
        place = urlsplit(uri)
        s3.upload_file(str(path), place.netloc, place.path.lstrip("/"))


def follow(states, arn: str) -> int:
    """Say which run is at work, until the chain ends."""
    said = set()
    while True:
        ended = states.describe_execution(executionArn=arn)
        history = states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        for event in history:
            entered = event.get("stateEnteredEventDetails", {}).get("name")
            if event["type"] == "TaskStateEntered" and entered not in said:
                said.add(entered)
                print(f"{entered} …", flush=True)
        if ended["status"] == "SUCCEEDED":
            for what, where in json.loads(ended["output"]).items():
                print(f"{what}: {where}")
            return 0
        if ended["status"] != "RUNNING":
            print(f"{ended['status']}: {ended.get('error')}: {ended.get('cause')}")
            return 1
        time.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
