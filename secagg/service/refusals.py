"""Why a participant's request changes nothing."""

from enum import StrEnum

from ..errors import SecAggError


class Kind(StrEnum):
    """The reasons that a participant can tell apart. On disk they are known by their places: a new one is the last."""

    NOT_INVITED = "not-invited"
    """This session does not know the participant."""
    NO_SESSION = "no-session"
    """There is no such session, or it was removed."""
    LATE = "late"
    """The round has ended without the participant, who is out of the session."""
    NOT_NEEDED = "not-needed"
    """Enough others answered before the participant was in U2: it is out, and no secret of it is revealed."""
    OTHER_ANSWER = "other-answer"
    """Another answer of the participant to this round stands."""
    FAULTY = "faulty"
    """The protocol refused a message of the participant, who is out of the session."""
    STRAY = "stray"
    """The message is not proven to be the participant's in this session; the participant can still answer."""
    ABORTED = "aborted"
    """The session has ended without a sum."""
    OVER = "over"
    """The session has finished, and its result is kept no longer."""
    EARLY = "early"
    """The round has not begun."""
    FULL = "full"
    """As many participants have joined as the session has users."""
    BUSY = "busy"
    """The coordinator cannot take the request now, and can be asked again."""
    LEFT = "left"
    """The participant has said that it sends nothing more, and is out of the session."""


class Refused(SecAggError):
    """A participant's request was refused and has changed nothing.

    Attributes:
        kind: why.
        detail: a sentence for the participant.
        retry_after: after how many seconds the same request may be answered; None if it never will be.
    """

    def __init__(self, kind: Kind, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type["Refused"], tuple[Kind, str, float | None]]:
        return Refused, (self.kind, self.detail, self.retry_after)
