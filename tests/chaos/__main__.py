"""`python -m tests.chaos --inputs 300 --seconds 180 --seed N`: chaos on the embedded AWS."""

import argparse
import secrets
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from tests.chaos.campaign import Campaign, Plan


def main() -> int:
    plan = _plan()
    print(f"seed {plan.seed}: {plan.inputs} inputs, a storm of {plan.seconds:.0f} s")
    print(f"everything is kept in {plan.directory} if it fails")
    campaign = Campaign(plan, say=lambda text: print(text, flush=True))
    try:
        campaign.run()
    except Exception:  # noqa: BLE001 - whatever it is, the story is told
        campaign.report.problems.append(traceback.format_exc())
    _print_summary(campaign)
    if not campaign.report.problems:
        shutil.rmtree(plan.directory)
        return 0
    (plan.directory / "story.txt").write_text(campaign.story.readable() + "\n")
    print(f"the story, line by line: {plan.directory / 'story.txt'}")
    for problem in campaign.report.problems:
        print(f"BROKEN  {problem}")
    print(
        f"again: python -m tests.chaos --inputs {plan.inputs} --seconds {plan.seconds:.0f} "
        f"--seed {plan.seed}"
    )
    return 1


def _plan() -> Plan:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--inputs", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seed", default=None)
    parser.add_argument("--deaths", type=int, default=None, help="of the embedded AWS itself")
    parser.add_argument("--directory", type=Path, default=None)
    given = parser.parse_args()
    return Plan(
        directory=given.directory or Path(tempfile.mkdtemp(prefix="chaos-")),
        seed=given.seed or secrets.token_hex(4),
        inputs=given.inputs,
        seconds=given.seconds,
        deaths=max(1, round(given.seconds / 60)) if given.deaths is None else given.deaths,
    )


def _print_summary(campaign: Campaign) -> None:
    print("\nwhat was done")
    for (who, what), count in sorted(campaign.story.counts().items()):
        print(f"  {count:6d}  {who:<9} {what}")
    print("how the executions ended")
    for line in campaign.report.starts:
        print(f"  {line}")
    for kind, pictures in campaign.report.pictures.items():
        for name, pictured in pictures.items():
            print(f"{kind} {name}: {pictured['accounting']}")
    print({name: round(seconds, 1) for name, seconds in campaign.report.seconds.items()})


if __name__ == "__main__":
    sys.exit(main())
