"""Which GPUs are there, and does the driver fit the engine's CUDA?"""

from collections.abc import Sequence

from freehold.core.doctor.check import Finding, Status
from freehold.core.environment.gpu import has_nvidia_gpu, nvidia_smi

QUERY = ("--query-gpu=name,memory.total,driver_version,compute_cap", "--format=csv,noheader,nounits")
MINIMUM_DRIVER = 580
"""CUDA 13, which the pinned torch is built for, needs this branch or a newer one."""
MINIMUM_CAPABILITY = 7.5
"""Older GPUs have no kernels in CUDA 13."""


def check_gpu() -> Finding:
    lines = nvidia_smi(*QUERY)
    if not lines and has_nvidia_gpu():
        remedy = "Install the driver's tools; in a container, start it with the NVIDIA runtime (`--gpus all`)."
        return Finding(Status.FAIL, "the driver lists a GPU, but nvidia-smi does not answer", remedy)
    if not lines:
        return Finding(Status.SKIP, "no NVIDIA GPU: engines run on the CPU, for small models and tests")
    return judge(lines)


def judge(lines: Sequence[str]) -> Finding:
    """A finding from the lines of nvidia-smi: name, memory in MiB, driver version, compute capability."""
    gpus = [[field.strip() for field in line.split(",")] for line in lines if line.strip()]
    found = "; ".join(f"{name} {float(memory) / 1024:.0f} GiB" for name, memory, _, _ in gpus)
    driver = gpus[0][2]
    finding = f"{found}; driver {driver}"
    if int(driver.split(".")[0]) < MINIMUM_DRIVER:
        return Finding(Status.FAIL, f"{finding}: too old for CUDA 13", f"Install driver {MINIMUM_DRIVER} or newer.")
    old = [name for name, _, _, capability in gpus if float(capability) < MINIMUM_CAPABILITY]
    if old:
        remedy = "Leave it out with CUDA_VISIBLE_DEVICES, or serve on the CPU with FREEHOLD_VARIANT=cpu."
        return Finding(Status.FAIL, f"{finding}: {', '.join(old)} is older than CUDA 13 supports", remedy)
    return Finding(Status.OK, finding)
