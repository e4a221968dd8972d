"""The three ways in which a round can fail. Each of them ends a client; a server survives the errors of its clients."""


class SecAggError(Exception):
    """Base of every error that this package raises on purpose."""


class LocalProtocolError(SecAggError):
    """The caller misused a state machine, or passed an argument that is not allowed."""


class ArgumentTypeError(LocalProtocolError, TypeError):
    """An argument has a wrong type, such as a float in place of an integer, or text in place of bytes."""


class RemoteProtocolError(SecAggError):
    """The peer sent something that the protocol does not allow.

    Attributes:
        reason: what is wrong.
        client: the user id of the client at fault; None if the peer is the server.
    """

    def __init__(self, reason: str, client: int | None = None) -> None:
        super().__init__(reason if client is None else f"client {client}: {reason}")
        self.reason = reason
        self.client = client

    def __reduce__(self) -> tuple[type["RemoteProtocolError"], tuple[str, int | None]]:
        return RemoteProtocolError, (self.reason, self.client)


class ReportRejected(RemoteProtocolError):
    """One report of a batch is refused because of what its Client or another Aggregator sent; the others are not.

    Attributes:
        report: the report's position in the batch; 0 for a single report.
    """

    def __init__(self, reason: str, report: int) -> None:
        super().__init__(reason)
        self.report = report

    def __str__(self) -> str:
        return f"report {self.report}: {self.reason}"

    def __reduce__(self) -> tuple[type["ReportRejected"], tuple[str, int]]:
        return ReportRejected, (self.reason, self.report)


class Abort(SecAggError):
    """The paper's abort: too few users, or too few shares of a secret, are left (Fig. 4).

    Attributes:
        reason: what there is too little of.
        answered: how many users answered the round, or how many shares there are.
        needed: how many are needed: `Params.quorum` or `Params.min_users` users, or `Params.t` shares.
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
