"""Job definitions that no run needs any more: done when a new one is registered, and never else.

A definition's period ends before the next begins, and one more passes before it is looked at: by
then no execution is about to name it, and those that named it and still run can be asked.
"""

import json

from drydock.definitions import is_past
from drydock.documents import Documents
from drydock.errors import Malformed, NotFound
from drydock.keys import owner_claim
from drydock.services import Services


def retire_definitions(services: Services, execution: str) -> int:
    """Deregister the definitions of past periods that no running execution needs; how many.

    ``execution`` is one of the stack's machine, which has all executions that there are.
    """
    stack_arn, now = services.settings.job_definition_arn, services.now()
    past = [arn for arn in services.jobs.definitions() if is_past(arn, stack_arn, now)]
    if not past:
        return 0
    needed = {_needed(services, each) for each in services.executions.active(execution)}
    unneeded = [arn for arn in past if arn not in needed]
    for arn in unneeded:
        services.jobs.deregister(arn)
    return len(unneeded)


def _needed(services: Services, execution: str) -> str | None:
    """The definition that an execution's run submits its next round by."""
    store, bucket = services.store, services.settings.control_bucket
    try:
        run_id = str(json.loads(store.get(bucket, owner_claim(execution)).body)["run_id"])
        return Documents(store, bucket).run(run_id).value.current.job_definition_arn
    except (NotFound, Malformed):
        return None
