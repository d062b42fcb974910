"""Why a request is not answered."""

import typing

if typing.TYPE_CHECKING:
    import grpc

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_LONGEST = 400  # characters of a message


class Refused(Exception):  # noqa: N818  (an answer, not a fault)
    """A request is not answered.

    Args:
        status: HTTP status.
        message: One line that says why.
    """

    def __init__(self, status: int, message: str):
        super().__init__(" ".join(message.split())[:_LONGEST])
        self.status = status

    @property
    def code(self) -> "grpc.StatusCode":
        """The same for gRPC."""
        import grpc

        return grpc.StatusCode[_CODES.get(self.status, "INTERNAL")]


BROKEN = "the server failed to answer; its log says why"
