"""Runs the proof and prints what it shows: `make privileges`; `--write` keeps it in the docs."""

import sys
import tempfile
from pathlib import Path

from tests.least_privilege.proof import prove
from tests.least_privilege.reasons import judge, stale
from tests.least_privilege.scenes import record
from tests.least_privilege.table import PAGE, page


def main() -> int:
    """Exit code 1 when something was refused, or is allowed for nothing."""
    with tempfile.TemporaryDirectory() as folder:
        proof = prove(record(Path(folder)))
    judged = judge(proof)
    text = page(judged)
    print(text)
    for refused in proof.refused:
        print(f"REFUSED {refused.role}: {refused.asked} in {refused.scene}", file=sys.stderr)
    idle = [each.grant for each in judged if not each.scenes and not each.reason]
    for grant in idle:
        print(f"ALLOWED FOR NOTHING {grant}", file=sys.stderr)
    for reason in stale(proof):
        print(f"NO REASON ANY MORE {reason}", file=sys.stderr)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    used = sum(1 for each in judged if each.scenes)
    print(
        f"{proof.questions} questions to IAM, {len(proof.refused)} refused; "
        f"{used} of {len(judged)} grants used, {len(judged) - used - len(idle)} with a reason",
        file=sys.stderr,
    )
    return bool(proof.refused or idle or stale(proof))


if __name__ == "__main__":
    sys.exit(main())
