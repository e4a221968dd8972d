"""Why a page's request is refused."""

from http import HTTPStatus

from ...errors import SecAggError

MALFORMED, UNAUTHENTICATED, FORBIDDEN, WRONG_TOKENS = "malformed", "unauthenticated", "forbidden", "wrong-tokens"
_STATUS = {
    MALFORMED: HTTPStatus.BAD_REQUEST,
    UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    FORBIDDEN: HTTPStatus.FORBIDDEN,
    WRONG_TOKENS: HTTPStatus.TOO_MANY_REQUESTS,
}


class PageProblem(SecAggError):
    """A page's request is refused; the server whose page it is writes the problem document.

    Args:
        kind: MALFORMED, UNAUTHENTICATED, FORBIDDEN or WRONG_TOKENS.
        detail: what is wrong and what to do.
        retry_after: the seconds after which to try again; None if that does not help.

    Attributes:
        kind: as above.
        status: of HTTP, which belongs to the kind.
        retry_after: as above.
    """

    def __init__(self, kind: str, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status = _STATUS[kind]
        self.retry_after = retry_after
