"""UCSF DOCK 3.8: docks the hierarchies of a db2 bundle with the user's own dock64.

DOCK is licensed to its users and never part of this project: ``dock64`` is in the user's image, on
PATH, or an asset. Its parameters are INDOCK and the grids in the dockfiles.
"""

import errno
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.endings import InputFailed, Misconfigured
from worker.program import clean_environment
from worker.tools import FetchedInput, Resume, Setting
from worker.tools.db2 import KINDS
from worker.tools.dock38_restart import Restart
from worker.tools.dock38_run import RESTART, Run
from worker.tools.dock38_session import Dock38Session
from worker.tools.indock import NAME, rewrite_indock

EXECUTABLE_ASSET = "dockexec"
_NO_PROGRAM = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOEXEC)
# Options of a request that the enumeration has dealt with.
_KNOWN_OPTIONS = {"recursive"}


class Dock38:
    """DOCK 3.8, ready to dock."""

    def __init__(self, variables: Sequence[str] = ()) -> None:
        self._variables = variables
        self._program = Path("dock64")
        self._dockfiles = Path("dockfiles")
        self._indock = ""

    @classmethod
    def from_setting(cls, setting: Setting) -> "Dock38":
        """DOCK as a task document describes it.

        Raises:
            Misconfigured: the options are not DOCK's.
        """
        if strange := sorted(set(setting.options) - _KNOWN_OPTIONS):
            raise Misconfigured(f"dock38 has no option {', '.join(strange)}")
        return cls(setting.variables)

    def prepare(self, assets: Mapping[str, Path]) -> None:
        """Find dock64 and the dockfiles, and rewrite INDOCK."""
        self._program = _find_program(assets.get(EXECUTABLE_ASSET))
        folder = assets.get("dockfiles")
        if folder is None or not (folder / NAME).is_file():
            raise Misconfigured(f"dock38 needs dockfiles that hold {NAME}")
        self._dockfiles = folder
        names = {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        }
        # DOCK's files know no encoding: every byte comes back as it was.
        self._indock = rewrite_indock((folder / NAME).read_text("latin-1"), names)

    def open(self, fetched: FetchedInput, folder: Path, resume: Resume) -> Dock38Session:
        """Begin to dock a bundle after the hierarchies that are finished."""
        if not fetched.path.name.lower().endswith(KINDS):
            raise InputFailed("bad_input", f"the name must end with one of {', '.join(KINDS)}")
        (folder / "dockfiles").symlink_to(self._dockfiles, target_is_directory=True)
        return Dock38Session(self.start, fetched, folder, resume)

    def start(self, bundle: Path, folder: Path, restart: Restart) -> Run:
        """Start dock64 in ``folder``, which is made; ``../dockfiles`` is there already.

        DOCK deletes ``restart`` once it has read it: it gets a copy.

        Raises:
            Misconfigured: this is no program of this machine's kind, or may not be executed.
        """
        folder.mkdir()
        (folder / NAME).write_text(self._indock, "latin-1")
        if (text := restart.for_dock()) is not None:
            (folder / RESTART).write_text(text, "latin-1")
        environment = clean_environment(folder, self._variables)
        command = [str(self._program), NAME]
        try:
            return Run(command, folder, environment, bundle, restart.left_out)
        except OSError as error:
            if error.errno not in _NO_PROGRAM:
                raise
            raise Misconfigured(f"dock64 cannot be started: {error}") from error


def _find_program(asset: Path | None) -> Path:
    """The user's dock64: an asset, else on PATH.

    Raises:
        Misconfigured: it is in neither place.
    """
    if asset is not None:
        if not asset.is_file():
            raise Misconfigured(f"assets.{EXECUTABLE_ASSET} must be one object, DOCK's executable")
        asset.chmod(0o755)
        return asset
    if path := shutil.which("dock64"):
        return Path(path)
    raise Misconfigured(
        "dock64 is missing: DOCK 3.8 is not part of this image; use an image that has dock64 on "
        f"PATH, or give assets.{EXECUTABLE_ASSET}"
    )
