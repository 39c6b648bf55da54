"""Why a contemplation, or a part of one, ends without an answer."""

from freehold.core.errors import RemoteError, UserError


class PartCut(RemoteError):
    """A part was stopped by its contemplation."""

    http_status = 504
    code = "contemplation_cut"


class NoQuorum(RemoteError):
    """Too few agents have answered."""

    code = "contemplation_failed"


class OutOfTime(RemoteError):
    """The time is over and nothing has come."""

    http_status = 504
    code = "contemplation_timeout"


class Refused(UserError):
    """The engines refuse the request itself: another try would end alike."""

    code = "invalid_request"

    def __init__(self, what: str, *, why: str, http_status: int) -> None:
        super().__init__(what, why=why)
        self.http_status = http_status
