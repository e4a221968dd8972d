"""The three ways a round can fail. Any of them ends a client; a server outlives the errors of its clients."""


class SecAggError(Exception):
    """Base of every error that this package raises on purpose."""


class LocalProtocolError(SecAggError):
    """Our own caller misused a state machine or passed an input that the parameters do not allow."""


class ArgumentTypeError(LocalProtocolError, TypeError):
    """An argument is of a type that is not taken: a float where an integer belongs, text where bytes do."""


class RemoteProtocolError(SecAggError):
    """The peer sent something that the protocol does not allow.

    Attributes:
        client: id of the client at fault, or None when the peer is the server.
    """

    def __init__(self, reason: str, client: int | None = None) -> None:
        super().__init__(reason if client is None else f"client {client}: {reason}")
        self.reason = reason
        self.client = client

    def __reduce__(self) -> tuple[type["RemoteProtocolError"], tuple[str, int | None]]:
        return RemoteProtocolError, (self.reason, self.client)


class ReportRejected(RemoteProtocolError):
    """One report of a batch is refused, for what its Client or another Aggregator sent; the others are not.

    Attributes:
        report: its position in the batch; 0 where it was alone.
    """

    def __init__(self, reason: str, report: int) -> None:
        super().__init__(reason)
        self.report = report

    def __str__(self) -> str:
        return f"report {self.report}: {self.reason}"

    def __reduce__(self) -> tuple[type["ReportRejected"], tuple[str, int]]:
        return ReportRejected, (self.reason, self.report)


class Abort(SecAggError):
    """The paper's abort: too few users, or shares of a secret, are left to go on (Fig. 4).

    Attributes:
        answered: how many users answered the round, or how many shares there are.
        needed: how many had to: `Params.quorum`, `Params.min_users`, or of shares `Params.t`.
    """

    def __init__(self, reason: str, answered: int, needed: int) -> None:
        super().__init__(f"{reason}: {answered} answered, {needed} needed")
        self.reason = reason
        self.answered = answered
        self.needed = needed

    def __reduce__(self) -> tuple[type["Abort"], tuple[str, int, int]]:
        return Abort, (self.reason, self.answered, self.needed)  # by default pickle would pass one argument


def require(condition: bool, reason: str) -> None:
    """Raises `LocalProtocolError` unless the condition holds."""
    if not condition:
        raise LocalProtocolError(reason)
