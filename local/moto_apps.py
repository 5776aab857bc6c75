"""moto's services as WSGI applications, each made when it is first asked for."""

import sys
import threading
import types
from collections.abc import Iterable
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, cast

from local.http import refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from moto.backends import SERVICE_NAMES

# Services whose name in a signature is not moto's name for them.
_MOTO_NAMES = {"states": "stepfunctions", "monitoring": "cloudwatch"}


class MotoApp:
    """One service of moto, by its signing name; what moto does not know is refused.

    moto's own server looks for the service again with every request, in its folder: this does not.
    """

    def __init__(self, service: str) -> None:
        self._service = _MOTO_NAMES.get(service, service)
        self._app: WSGIApplication | None = None
        self._lock = threading.Lock()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        with self._lock:
            if self._app is None:
                self._app = _make(self._service)
        return self._app(environ, start_response)


def _make(service: str) -> "WSGIApplication":
    # Imported late: this is where the embedded AWS's start would otherwise spend its time.
    from moto.backends import list_of_moto_modules  # noqa: PLC0415
    from moto.moto_server.werkzeug_app import create_backend_app  # noqa: PLC0415

    if service not in list_of_moto_modules():
        message = f"The embedded AWS has no service {service!r}."
        return lambda _environ, start_response: refusal(
            "501 Not Implemented", "UnknownOperationException", message
        ).send(start_response)
    if service == "stepfunctions":
        leave_out_ec2()
    app: WSGIApplication = create_backend_app(cast("SERVICE_NAMES", service))
    return app


def leave_out_ec2() -> None:
    """Have moto's interpreter loaded without moto's Batch and EC2, which nobody here calls.

    The interpreter wants one enumeration of `moto.batch.utils`; importing that the usual way runs
    the package's `__init__`, which loads every instance type of every Region: a second of the
    start. So the package is put there without its `__init__`.
    """
    spec = PathFinder.find_spec("moto.batch", sys.modules["moto"].__path__)
    if "moto.batch" not in sys.modules and spec is not None:
        package = types.ModuleType("moto.batch")
        package.__path__ = list(spec.submodule_search_locations or ())
        sys.modules["moto.batch"] = package
