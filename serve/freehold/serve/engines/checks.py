"""What `freehold doctor` asks about engines: does each environment import vLLM, and are small CPUs set up well?"""

import os
from collections.abc import Mapping, Sequence

from freehold.core.doctor.check import Check, Finding, SimpleCheck, Status
from freehold.core.environment.gpu import has_nvidia_gpu
from freehold.core.errors import EngineError
from freehold.core.progress import hint
from freehold.core.settings import Settings
from freehold.serve.engines.environments import EngineEnvironment, engine_environments
from freehold.serve.engines.installing import import_vllm

SMALL_CPU = 4


def checks(settings: Settings) -> Sequence[Check]:
    """One for each engine environment, and one for OpenMP."""
    environments = engine_environments(settings)
    if not environments:
        return (SimpleCheck("engine", _no_engine), SimpleCheck("openmp", check_openmp))
    return (*map(ImportCheck, environments), SimpleCheck("openmp", check_openmp))


class ImportCheck:
    """Imports vLLM in one environment, which takes half a minute on a small machine."""

    def __init__(self, environment: EngineEnvironment) -> None:
        self._environment = environment

    @property
    def name(self) -> str:
        return f"engine {self._environment.name}"

    def run(self) -> Finding:
        environment = self._environment
        hint(f"Importing {environment.engine} {environment.version} in {environment.name} …")
        try:
            imported = import_vllm(environment.executable)
        except EngineError as error:
            return Finding(Status.FAIL, str(error), self._remedy())
        expected = environment.version.partition("+")[0]
        if imported.partition("+")[0] != expected:
            finding = f"metadata say {environment.version}, the module says {imported}"
            return Finding(Status.FAIL, finding, self._remedy())
        return Finding(Status.OK, f"{environment.engine} {imported} imports, Python {environment.python}")

    def _remedy(self) -> str:
        environment = self._environment
        if environment.is_default:
            return "Make the environment anew with `make clean env`."
        again = f"freehold engine install {environment.engine}=={environment.version} --name {environment.name}"
        return f"Run `freehold engine remove {environment.name} --yes`, then `{again}`."


def check_openmp(cores: int | None = None, environ: Mapping[str, str] = os.environ) -> Finding:
    """On a small machine two OpenMP threads under load were ten times slower than one."""
    cores = cores or os.cpu_count() or 1
    if has_nvidia_gpu():
        return Finding(Status.SKIP, "engines use the GPU")
    chosen = environ.get("OMP_NUM_THREADS")
    if chosen and chosen != "1" and cores <= SMALL_CPU:
        remedy = "Unset it, or `export OMP_NUM_THREADS=1`: two threads under load were ten times slower than one."
        return Finding(Status.WARN, f"OMP_NUM_THREADS={chosen} on {cores} cores", remedy)
    said = f"OMP_NUM_THREADS={chosen}" if chosen else "engines get one thread" if cores <= SMALL_CPU else "vLLM decides"
    return Finding(Status.OK, f"{cores} cores, {said}")


def _no_engine() -> Finding:
    return Finding(
        Status.FAIL, "no environment holds vLLM", "Run `make env` or `freehold engine install vllm==0.32.0`."
    )
