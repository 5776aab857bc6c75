"""A run's stop: put once an epoch by compare-and-swap, and told once."""

from dataclasses import replace

from drydock.documents import Documents
from drydock.run_document import RunDocument, Stop, put_stop
from drydock.services import Services


def put_and_tell(services: Services, run_id: str, stop: Stop) -> RunDocument:
    """Put a stop unless the epoch has one; who put it, and nobody else, tells people why.

    Which call that was the document says: an answer that was lost cannot make two of them.

    Raises:
        NotFound: there is no such run.
        Conflict: the document was changed by others each time.
    """
    own = replace(stop, unique=services.unique())
    documents = Documents(services.store, services.settings.control_bucket)
    run = documents.change_run(run_id, lambda current: put_stop(current, own))
    if run.stop is not None and run.stop.unique == own.unique:
        services.messages.notify(f"drydock stopped {run.current.request['name']}", own.text)
    return run
