"""What only AWS can tell of a request: buckets, prefixes, pinned data, the image.

Every check adds its problems to one list, so that a user reads them all at once.
"""

from dataclasses import dataclass, field
from itertools import islice

from drydock.errors import DrydockError, NotFound, RequestRejected
from drydock.images import is_allowed, parse_image
from drydock.inputs import list_inputs, list_object
from drydock.planning import MAX_PROBLEMS
from drydock.records import is_packed
from drydock.request import References
from drydock.secret_arns import whole_secret
from drydock.services import Services
from drydock.slicing import slicing_problem
from drydock.store import AccessDenied
from drydock.task_document import PinnedAsset, PinnedObject
from drydock.uris import S3Uri, parse_s3_uri

# Above this, what each child copies costs more than a moment.
DOCKFILES_WARN_BYTES = 100 * 1000 * 1000
_GIB = 1024**3
RECEPTOR = "receptor.pdbqt"
INDOCK = "INDOCK"
_MAX_ASSET_OBJECTS = 10_000
_PAGE = 1000


@dataclass(slots=True)
class Checked:
    """What the checks found.

    ``list_etag`` is that of the input when it is a list, ``image`` what will run: a digest.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    assets: dict[str, PinnedAsset] = field(default_factory=dict)
    dockfiles: PinnedAsset | None = None
    list_etag: str | None = None
    image: str = ""

    def refuse_problems(self) -> None:
        """Refuse the request if anything is wrong with it.

        Raises:
            RequestRejected: with every problem.
        """
        if self.problems:
            raise RequestRejected(self.problems)


def check_references(services: Services, given: References) -> Checked:
    """Check what a request refers to against AWS, and pin it."""
    checked = Checked()
    found = _reachable(services, checked, "input", given.input, also_intake=True)
    if found is not None:
        _check_input(services, checked, found, given)
    _reachable(services, checked, "output", given.output)
    _check_apart(checked, given)
    for name, uri in given.assets.items():
        found = _reachable(services, checked, f"assets.{name}", uri)
        pinned = None if found is None else _pin(services, checked, f"assets.{name}", found)
        if pinned is not None:
            checked.assets[name] = pinned
    found = _reachable(services, checked, "dockfiles", given.dockfiles)
    if found is not None:
        checked.dockfiles = _pin(services, checked, "dockfiles", found.folder())
        _check_dockfiles(checked, given, found.folder())
    _check_size(services, checked)
    _check_image(services, checked, given)
    _check_secrets(services, checked, given)
    if given.gpus and services.settings.gpu_spot_queue_arn is None:
        checked.problems.append(
            f"resources.gpus: {given.gpus} was given: this stack has no GPU environment, and gets "
            "one by its parameter GpuMaxVcpus"
        )
    return checked


def _reachable(
    services: Services,
    checked: Checked,
    where: str,
    text: str | None,
    *,
    also_intake: bool = False,
) -> S3Uri | None:
    """Where a reference points, if that bucket is the stack's to use and can be reached."""
    if text is None:
        return None
    uri = parse_s3_uri(text)
    settings = services.settings
    allowed = set(settings.data_buckets) | ({settings.intake_bucket} if also_intake else set())
    if uri.bucket not in allowed:
        checked.problems.append(
            f"{where}: {text!r} was given: bucket {uri.bucket!r} is none that this stack was given "
            f"({', '.join(settings.data_buckets)})"
        )
        return None
    try:
        region = services.store.bucket_region(uri.bucket)
    except NotFound:
        checked.problems.append(f"{where}: {text!r} was given: there is no bucket {uri.bucket!r}")
        return None
    except AccessDenied:
        checked.problems.append(
            f"{where}: {text!r} was given: the stack's role may not read bucket {uri.bucket!r}"
        )
        return None
    except DrydockError as error:
        checked.problems.append(
            f"{where}: {text!r} was given: bucket {uri.bucket!r} cannot be used; "
            f"it may lie in another Region ({error})"
        )
        return None
    if region and region != services.store.region:
        checked.problems.append(
            f"{where}: {text!r} was given: bucket {uri.bucket!r} lies in {region}; this stack "
            f"works in {services.store.region}"
        )
        return None
    return uri


def _check_apart(checked: Checked, given: References) -> None:
    """What a run writes must not be among what it reads."""
    if given.output is None or given.input is None:
        return
    output, folder = parse_s3_uri(given.output).folder(), parse_s3_uri(given.input).folder()
    is_below = given.recursive and str(output).startswith(str(folder))
    if output == folder or is_below:
        checked.problems.append(
            f"output: {given.output!r} was given: it lies in the input {given.input!r}, whose "
            "objects would be inputs; choose another prefix"
        )


def _check_dockfiles(checked: Checked, given: References, folder: S3Uri) -> None:
    """DOCK reads INDOCK there; without a receptor among the assets vina looks for one."""
    if checked.dockfiles is None:
        return
    names = {found.uri.removeprefix(str(folder)) for found in checked.dockfiles.objects}
    if given.tool == "dock38":
        if INDOCK not in names:
            checked.problems.append(
                f"dockfiles: {given.dockfiles!r} was given: it holds no {INDOCK}, DOCK's parameters"
            )
    elif "receptor" not in given.assets and RECEPTOR not in names:
        checked.problems.append(
            f"dockfiles: {given.dockfiles!r} was given: it holds no {RECEPTOR}, and there is no "
            "assets.receptor"
        )


def _check_input(services: Services, checked: Checked, uri: S3Uri, given: References) -> None:
    """An exact object is a list, anything else a prefix that must hold at least one input.

    Of files that are to be cut the first page's names are looked at, the others' when they are cut.
    """
    found = list_object(services.store, uri)
    if found is not None:
        checked.list_etag = found.etag
        if found.size == 0:
            checked.problems.append(f"input: {str(uri)!r} was given: the list is empty")
        elif given.is_cut and is_packed(uri.key):
            checked.problems.append(str(slicing_problem(str(uri))))
        return
    folder = uri.folder()
    listed = list_inputs(services.store, folder, recursive=given.recursive)
    first = list(islice(listed, _PAGE if given.is_cut else 1))
    if not first:
        checked.problems.append(f"input: {str(uri)!r} was given: nothing lies below {folder}")
    elif given.is_cut:
        names = (f"s3://{folder.bucket}/{each.key}" for each in first)
        problems = (problem for name in names if (problem := slicing_problem(name)))
        checked.problems += islice(problems, MAX_PROBLEMS)


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


def _check_image(services: Services, checked: Checked, given: References) -> None:
    """Settle which image will run, before anything runs: a tag may name another one tomorrow.

    Only the account's own registry can be asked; of all others the digest has to be known.
    """
    settings = services.settings
    reference = given.image or settings.worker_image
    told = f"image: {reference!r} was given" if given.image else f"WorkerImage is {reference!r}"
    if not is_allowed(reference, settings.worker_image, settings.allowed_images):
        allowed = ", ".join((settings.worker_image, *settings.allowed_images))
        checked.problems.append(f"{told}: this stack may run {allowed}")
        return
    image = parse_image(reference)
    _, _, _, region, account, *_ = settings.job_definition_arn.split(":")
    digest = image.digest
    if image.home == (account, region):
        try:
            digest = services.registry.digest(image)
        except NotFound as error:
            checked.problems.append(f"{told}: {error}")
            return
    if digest is None:
        checked.problems.append(
            f"{told}: outside of this account's ECR in {region} nobody can be asked which image "
            f"that is: give it by its digest ({image.name}@sha256:…), or put a copy there"
        )
        return
    checked.image = image.pinned(digest)


def _check_secrets(services: Services, checked: Checked, given: References) -> None:
    known = services.settings.secret_arns
    for name, arn in given.secrets.items():
        if whole_secret(arn) not in known:
            allowed = ", ".join(known) or "none, as its parameter SecretArns is empty"
            checked.problems.append(
                f"secrets.{name}: {arn!r} was given: this stack may read {allowed}"
            )
