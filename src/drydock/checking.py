"""What only AWS can tell of a request: buckets, prefixes, pinned data, the image.

Every check adds its problems to one list, so that a user reads them all at once.
"""

from dataclasses import dataclass, field

from drydock.errors import DrydockError, NotFound, RequestRejected
from drydock.images import is_allowed
from drydock.inputs import list_inputs, list_object
from drydock.request import Request
from drydock.services import Services
from drydock.store import AccessDenied
from drydock.task_document import PinnedAsset, PinnedObject
from drydock.uris import S3Uri, parse_s3_uri

# Above this, what each child copies costs more than a moment.
DOCKFILES_WARN_BYTES = 100 * 1000 * 1000
_GIB = 1024**3
RECEPTOR = "receptor.pdbqt"
_MAX_ASSET_OBJECTS = 10_000


@dataclass(slots=True)
class Checked:
    """What the checks found. ``list_etag`` is that of the input when it is a list."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    assets: dict[str, PinnedAsset] = field(default_factory=dict)
    dockfiles: PinnedAsset | None = None
    list_etag: str | None = None

    def refuse_problems(self) -> None:
        """Refuse the request if anything is wrong with it.

        Raises:
            RequestRejected: with every problem.
        """
        if self.problems:
            raise RequestRejected(self.problems)


def check_request(services: Services, request: Request) -> Checked:
    """Check a request against AWS and pin what it refers to."""
    checked = Checked()
    if _check_bucket(services, checked, "input", request.input, also_intake=True):
        _check_input(services, checked, request)
    _check_bucket(services, checked, "output", request.output)
    _check_apart(checked, request)
    for name, uri in request.assets.items():
        if _check_bucket(services, checked, f"assets.{name}", uri):
            pinned = _pin(services, checked, f"assets.{name}", parse_s3_uri(uri))
            if pinned is not None:
                checked.assets[name] = pinned
    if request.dockfiles is not None and _check_bucket(
        services, checked, "dockfiles", request.dockfiles
    ):
        folder = parse_s3_uri(request.dockfiles).folder()
        checked.dockfiles = _pin(services, checked, "dockfiles", folder)
        _check_dockfiles(checked, request, folder)
    _check_size(services, checked)
    _check_image(services, checked, request)
    if request.resources.gpus:
        checked.problems.append(
            f"resources.gpus: {request.resources.gpus} was given: this stack has no GPU environment"
        )
    return checked


def _check_bucket(
    services: Services, checked: Checked, where: str, text: str, *, also_intake: bool = False
) -> bool:
    uri = parse_s3_uri(text)
    settings = services.settings
    allowed = set(settings.data_buckets) | ({settings.intake_bucket} if also_intake else set())
    if uri.bucket not in allowed:
        checked.problems.append(
            f"{where}: {text!r} was given: bucket {uri.bucket!r} is none that this stack was given "
            f"({', '.join(settings.data_buckets)})"
        )
        return False
    try:
        region = services.store.bucket_region(uri.bucket)
    except NotFound:
        checked.problems.append(f"{where}: {text!r} was given: there is no bucket {uri.bucket!r}")
        return False
    except AccessDenied:
        checked.problems.append(
            f"{where}: {text!r} was given: the stack's role may not read bucket {uri.bucket!r}"
        )
        return False
    except DrydockError as error:
        checked.problems.append(
            f"{where}: {text!r} was given: bucket {uri.bucket!r} cannot be used; "
            f"it may lie in another Region ({error})"
        )
        return False
    if region and region != services.store.region:
        checked.problems.append(
            f"{where}: {text!r} was given: bucket {uri.bucket!r} lies in {region}; this stack "
            f"works in {services.store.region}"
        )
        return False
    return True


def _check_apart(checked: Checked, request: Request) -> None:
    """What a run writes must not be among what it reads."""
    output, folder = parse_s3_uri(request.output).folder(), parse_s3_uri(request.input).folder()
    is_below = str(output).startswith(str(folder)) if request.options.recursive else False
    if output == folder or is_below:
        checked.problems.append(
            f"output: {request.output!r} was given: it lies in the input {request.input!r}, whose "
            "objects would be inputs; choose another prefix"
        )


def _check_dockfiles(checked: Checked, request: Request, folder: S3Uri) -> None:
    """Without a receptor among the assets vina looks for one in the dockfiles."""
    if checked.dockfiles is None or "receptor" in request.assets:
        return
    wanted = f"{folder}{RECEPTOR}"
    if wanted not in {found.uri for found in checked.dockfiles.objects}:
        checked.problems.append(
            f"dockfiles: {request.dockfiles!r} was given: it holds no {RECEPTOR}, and there is no "
            "assets.receptor"
        )


def _check_input(services: Services, checked: Checked, request: Request) -> None:
    """An exact object is a list, anything else a prefix that must hold at least one input."""
    uri = parse_s3_uri(request.input)
    found = list_object(services.store, uri)
    if found is not None:
        checked.list_etag = found.etag
        if found.size == 0:
            checked.problems.append(f"input: {request.input!r} was given: the list is empty")
        return
    folder = uri.folder()
    listed = list_inputs(services.store, folder, recursive=request.options.recursive)
    if next(listed, None) is None:
        checked.problems.append(f"input: {request.input!r} was given: nothing lies below {folder}")


def _pin(services: Services, checked: Checked, where: str, uri: S3Uri) -> PinnedAsset | None:
    objects: list[PinnedObject] = []
    if not uri.is_folder:
        try:
            found = services.store.head(uri.bucket, uri.key)
        except NotFound:
            checked.problems.append(f"{where}: {str(uri)!r} was given: there is no such object")
            return None
        return PinnedAsset(str(uri), (PinnedObject(str(uri), found.etag, found.size),))
    for found in services.store.list(uri.bucket, uri.key):
        if not found.key.endswith("/"):
            where_it_is = str(S3Uri(uri.bucket, found.key))
            objects.append(PinnedObject(where_it_is, found.etag, found.size))
        if len(objects) > _MAX_ASSET_OBJECTS:
            checked.problems.append(
                f"{where}: {str(uri)!r} was given: it holds more than {_MAX_ASSET_OBJECTS} objects"
            )
            return None
    if not objects:
        checked.problems.append(f"{where}: {str(uri)!r} was given: nothing lies below it")
        return None
    return PinnedAsset(str(uri), tuple(objects))


def _check_size(services: Services, checked: Checked) -> None:
    """Everything that each child copies must fit its scratch, and should be small."""
    pinned = list(checked.assets.values())
    if checked.dockfiles is not None:
        pinned.append(checked.dockfiles)
    copied = sum(found.size for asset in pinned for found in asset.objects)
    limit = services.settings.scratch_gib * _GIB
    told = f"{copied / 1e6:.0f} MB of dockfiles and assets are copied by each of up to 10,000 jobs"
    if copied > limit:
        checked.problems.append(
            f"dockfiles: {told}; the scratch has {services.settings.scratch_gib} GiB"
        )
    elif copied > DOCKFILES_WARN_BYTES:
        checked.warnings.append(f"dockfiles: {told}")


def _check_image(services: Services, checked: Checked, request: Request) -> None:
    settings = services.settings
    if request.image is None:
        return
    if not is_allowed(request.image, settings.worker_image, settings.allowed_images):
        allowed = ", ".join((settings.worker_image, *settings.allowed_images))
        checked.problems.append(f"image: {request.image!r} was given: this stack may run {allowed}")
