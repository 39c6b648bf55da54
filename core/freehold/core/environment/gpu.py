"""Is there an NVIDIA GPU, and which?"""

import shutil
import subprocess
from pathlib import Path

DRIVER_FOLDER = Path("/proc/driver/nvidia/gpus")
TIMEOUT_S = 20


def has_nvidia_gpu(driver_folder: Path = DRIVER_FOLDER) -> bool:
    """Whether the driver lists a GPU. Containers often lack one of the two places, so either one counts."""
    if driver_folder.is_dir() and any(driver_folder.iterdir()):
        return True
    return any(line.startswith("GPU ") for line in nvidia_smi("-L"))


def nvidia_smi(*arguments: str) -> list[str]:
    """Lines that nvidia-smi prints; none where it is missing, fails or hangs on a broken driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        ended = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return []
    return ended.stdout.splitlines() if ended.returncode == 0 else []
