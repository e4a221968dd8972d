"""The site's own part, which its operator names in `local/privacy.json` and a job can neither change nor replace."""

import re
from contextlib import suppress
from pathlib import Path

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ProcessType
from nvflare.apis.fl_context import FLContext

from ...errors import LocalProtocolError, SecAggError, require
from .. import Site, SitePolicy

_SITE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # a name that may stand for {site} in a path
_NAME_MAX = 200


class SecAggSite(FLComponent):  # type: ignore[misc]
    """What a site accepts of a round, and where it keeps the protocol's state.

    FLARE adds the components of `local/privacy.json` to the process of every job, and refuses a job that has a
    component of the same id.

    Args:
        policy: the policy's TOML file, absolute or beside `privacy.json`; `{site}` stands for the site's name.
        plain_tasks: names of tasks whose metrics may leave this site in the clear, such as "validate": at most 32
            numbers, and no array. Results of all others leave under a mask, or not at all.
    """

    def __init__(self, policy: str, plain_tasks: list[str] | None = None) -> None:
        super().__init__()
        self.policy = policy
        self.plain_tasks = tuple(plain_tasks or ())
        self._site: Site | None = None
        self._session: str | None = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Says in the site's log what is in force when a job starts, and removes what it leaves when it ends.

        Args:
            event_type: FLARE's.
            fl_ctx: FLARE's.
        """
        if fl_ctx.get_prop(FLContextKey.PROCESS_TYPE) != ProcessType.CLIENT_JOB:
            return
        if event_type == EventType.START_RUN:
            self._announce(fl_ctx)
        elif event_type == EventType.END_RUN:
            self._leave()

    def opened(self, fl_ctx: FLContext) -> Site:
        """The node of the protocol that this site is, made once a process.

        Args:
            fl_ctx: FLARE's.

        Raises:
            LocalProtocolError: the policy is refused.
            OSError: its file cannot be read.
        """
        if self._site is None:
            name = _checked_name(fl_ctx.get_identity_name())
            policy = SitePolicy.read(self._path(fl_ctx, name))
            self._site = Site(policy, f"nvflare {name}")
        return self._site

    def entered(self, session: str) -> None:
        """A round has begun: what the one before has left, if it never ended, is of no use.

        Args:
            session: its name.
        """
        if self._session not in (None, session):
            self._leave()
        self._session = session

    def log_notes(self, fl_ctx: FLContext) -> None:
        """Put what the protocol has to say to this site in its log.

        Args:
            fl_ctx: FLARE's.
        """
        for note in self._site.take_notes() if self._site is not None else ():
            self.log_info(fl_ctx, f"secagg: {note}")

    def _announce(self, fl_ctx: FLContext) -> None:
        try:
            self.opened(fl_ctx)
        except (SecAggError, OSError) as error:
            self.log_error(fl_ctx, f"secagg: this site takes part in no round: {error}")
            return
        self.log_info(fl_ctx, f"secagg: results leave this site by the policy {self.policy}")

    def _leave(self) -> None:
        if self._session is not None and self._site is not None:
            with suppress(SecAggError, OSError):  # what stays is removed when it is old
                self._site.forget(self._session)
        self._session = None

    def _path(self, fl_ctx: FLContext, name: str) -> Path:
        folder = fl_ctx.get_engine().get_workspace().get_site_config_dir()
        return Path(folder) / self.policy.replace("{site}", name)


def _checked_name(name: str | None) -> str:
    require(
        name is not None and len(name) <= _NAME_MAX and _SITE_NAME.fullmatch(name) is not None,
        f"the site's name {name!r} must be of letters, digits, '.', '_' and '-', and not begin with '.'",
    )
    if name is None:
        raise LocalProtocolError("the site has no name")
    return name
