"""Every error that drydock raises by name.

The class names are also the error names that the state machine matches (``Retry``, ``Catch``), so
renaming one is a change of the state machine.

    DrydockError
    ├── RequestRejected      the request cannot become a run; the message lists every problem
    ├── RunSuperseded        another execution owns the run now
    ├── RunIncomplete        inputs remain and nothing more can be done for them now
    ├── RunStopped           the run was stopped by its user or its budget
    ├── RunMisconfigured     nothing in this run can work until something is changed
    ├── Conflict             somebody else changed the document first; try again
    ├── StoreUnavailable     S3 did not answer as it should; try again
    ├── ServiceUnavailable   Batch, Step Functions, SQS or SNS did not; try again
    ├── AlreadyExists        a write-once object is there already
    ├── NotFound             no such object or bucket
    ├── Changed              the object is not the one that was pinned (its ETag differs)
    ├── InvalidUri           a text is no ``s3://bucket/key``
    └── Malformed            an object of ours does not have the form it must have
"""


class DrydockError(Exception):
    """Base of every error of this package."""


class RequestRejected(DrydockError):
    """Raised when a request cannot become a run, before any job is submitted.

    ``problems`` holds one sentence a problem: field, what was given, what is allowed.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class RunSuperseded(DrydockError):
    """Raised when an execution acts for a run that another execution owns now."""


class RunIncomplete(DrydockError):
    """Named at the end of a run in which inputs remain."""


class RunStopped(DrydockError):
    """Named at the end of a run that was stopped on purpose."""


class RunMisconfigured(DrydockError):
    """Named at the end of a run in which nothing can work until something is changed."""


class Conflict(DrydockError):
    """Raised when a compare-and-swap was lost more often than makes sense; a retry is right."""


class StoreUnavailable(DrydockError):
    """Raised when S3 could not serve a request although the SDK retried; a retry is right."""


class ServiceUnavailable(DrydockError):
    """Raised when Batch, Step Functions, SQS or SNS did not serve a request; a retry is right."""


class AlreadyExists(DrydockError):
    """Raised when a write-once object exists already (412 to ``If-None-Match: *``)."""


class NotFound(DrydockError):
    """Raised when an object or a bucket does not exist."""


class Changed(DrydockError):
    """Raised when an object's ETag is not the one it was pinned to."""


class InvalidUri(DrydockError):
    """Raised when a text is no S3 URI."""


class Malformed(DrydockError):
    """Raised when an object of ours does not have the form it must have."""
