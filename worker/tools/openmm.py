"""OpenMM: molecular dynamics of a system, or of a structure and a force field.

The simulation runs in a process of its own, so that its threads and its crashes are not the
worker's. What is finished is a number of steps.
"""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

from worker.endings import Misconfigured, RestartUnusable
from worker.program import Program, clean_environment, import_environment
from worker.tools import FetchedInput, Resume, Setting
from worker.tools.openmm_files import Files, FilesError, from_assets
from worker.tools.openmm_job import JOB, Job, OpenMMOptions
from worker.tools.openmm_restart import RestartError, read_about
from worker.tools.openmm_session import OpenMMSession
from worker.tools.options import read_options

PROGRAM = ["-P", "-m", "worker.tools.openmm_run"]
# Libraries of numbers start a thread a core unless told otherwise.
_OTHERS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


class OpenMM:
    """OpenMM with its options, ready to simulate."""

    def __init__(self, options: OpenMMOptions, setting: Setting) -> None:
        self.options = options
        self.say = setting.say
        self._setting = setting
        self._shared = Files()
        # OpenMM's own test is made once an attempt, before the first simulation.
        self._to_test = options.test_installation

    @classmethod
    def from_setting(cls, setting: Setting) -> "OpenMM":
        """OpenMM as a task document describes it.

        Raises:
            Misconfigured: there is no OpenMM here, or the options are not OpenMM's.
        """
        options = read_options("openmm", OpenMMOptions, setting.options)
        if setting.gpus and options.platform in ("CPU", "Reference"):
            raise Misconfigured(
                f"resources.gpus is {setting.gpus}, and options.platform {options.platform} uses "
                "no GPU: change one of them"
            )
        if importlib.util.find_spec("openmm") is None:
            raise Misconfigured(
                "OpenMM is missing: use an image that has it, or install the Python package "
                "openmm (make tools, for make run)"
            )
        return cls(options, setting)

    def prepare(self, assets: Mapping[str, Path]) -> None:
        """Find what all inputs share among the assets."""
        try:
            self._shared = from_assets(assets)
        except FilesError as error:
            raise Misconfigured(str(error)) from error

    def open(self, fetched: FetchedInput, folder: Path, resume: Resume) -> OpenMMSession:
        """Begin to simulate, or go on from a restart that is found whole.

        Raises:
            RestartUnusable: it is not.
        """
        restart = resume.restart
        if 0 < resume.progress < self.options.steps:
            if restart is None:
                raise RestartUnusable("the part has no restart")
            try:
                step = read_about(restart).step
            except RestartError as error:
                raise RestartUnusable(str(error)) from error
            if step != resume.progress:
                raise RestartUnusable(f"it is of step {step} and the part ends at the other")
        return OpenMMSession(self, fetched, folder / "simulation", resume)

    def start(self, fetched: FetchedInput, folder: Path, restart: Path | None) -> Program:
        """Start the simulation in ``folder``, which is made."""
        setting = self._setting
        folder.mkdir()
        job = Job(
            self.options,
            self._shared,
            fetched.path,
            restart,
            setting.vcpus,
            setting.gpus,
            self._to_test,
        )
        self._to_test = False
        job.write(folder / JOB)
        environment = clean_environment(folder, setting.variables) | import_environment()
        environment |= dict.fromkeys(_OTHERS_THREADS, "1")
        environment["OPENMM_CPU_THREADS"] = str(setting.vcpus)
        return Program([sys.executable, *PROGRAM], folder, environment)
