"""The checks that core itself brings."""

from collections.abc import Sequence

from freehold.core.doctor.check import Check, SimpleCheck
from freehold.core.doctor.gpu import check_gpu
from freehold.core.doctor.network import check_port
from freehold.core.doctor.pins import check_pins
from freehold.core.doctor.python import check_python
from freehold.core.doctor.storage import check_disk, check_file_locks, check_memory
from freehold.core.settings import Settings


def checks(settings: Settings) -> Sequence[Check]:
    return (
        SimpleCheck("python", check_python),
        SimpleCheck("pins", check_pins),
        SimpleCheck("gpu", check_gpu),
        SimpleCheck("memory", check_memory),
        SimpleCheck("disk", lambda: check_disk(settings.home)),
        SimpleCheck("file locks", lambda: check_file_locks(settings.home)),
        SimpleCheck("port 8000", check_port),
    )
