"""How full this machine's GPUs are, as the driver says through nvidia-smi."""

from dataclasses import dataclass

from freehold.core.environment.gpu import nvidia_smi

QUERY = ("--query-gpu=index,name,memory.used,memory.total,utilization.gpu", "--format=csv,noheader,nounits")
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One GPU now."""

    index: int
    name: str
    used_bytes: int
    total_bytes: int
    utilization: float | None
    """Share of the last moments in which it had work, from 0 to 1; None where the driver does not tell."""


def read_gpus() -> list[GpuReading]:
    """All GPUs here; none where there are none, or the driver does not answer. Takes a tenth of a second."""
    return [reading for line in nvidia_smi(*QUERY) if (reading := parse_gpu(line)) is not None]


def parse_gpu(line: str) -> GpuReading | None:
    """A line of nvidia-smi; None for a GPU that does not tell its memory."""
    cells = [cell.strip() for cell in line.split(",")]
    try:
        index, name, used, total, busy = cells
        utilization = float(busy) / 100 if busy.replace(".", "", 1).isdigit() else None
        return GpuReading(int(index), name, int(used) * MIB, int(total) * MIB, utilization)
    except ValueError:
        return None
