"""The two filters that put the protocol between a site's training and the server.

FLARE runs the filters that a site names in `local/privacy.json` for every task of every job: those of requests before
the job's code sees a task, those of results before the job's own filters see a result. `RequestFilter` refuses a round
that the site's policy does not allow, before any training. `ReplyFilter` takes what training gave, and lets nothing out
but the protocol's next message.

A job that `secure` has made brings the same filters, for two reasons. FLARE's simulator knows no filters of sites. And
at a site that has none, an update would leave in the clear: the job's filters find no `SecAggSite` there, and refuse.
Where both are in force, the site's do the work.
"""

from dataclasses import dataclass

from nvflare.apis.filter import Filter
from nvflare.apis.fl_constant import FilterKey, FLContextKey, ProcessType, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply

from ...errors import LocalProtocolError, SecAggError
from .. import Admitted, NodeRefusal
from ..wire import is_first, session_name
from .models import Model, copied, model_of, update_of
from .plain import code_of, metrics_of
from .site import SecAggSite
from .steering import steering, without_other_words
from .wire import MESSAGE, REFUSAL, SITE_COMPONENT, message_of

_ERRAND = "secagg.errand"
_NO_SITE = "this site has no secagg policy: its operator must name SecAggSite in local/privacy.json (docs/nvflare.md)"
_PLAIN = "the task does not run secure aggregation, and this site sends no result in the clear"
_HELD = "the result of a plain task is held back"
_OWN_TASK = "this site gives no tasks to others, because they would carry a model in the clear"


class TaskRefused(Exception):
    """Ends a task before training; FLARE answers the server, with this site's reason beside its return code."""


@dataclass
class _Errand:
    """What the filters know of one task.

    Attributes:
        task: FLARE's id of it.
        plain: whether the site lets the result's metrics out.
        request: the protocol's message.
        admitted: the session that the policy allows, in the first exchange.
        received: the model to be trained, in the first exchange.
        sent: the reply that this site's filter has made.
    """

    task: str
    plain: bool = False
    request: bytes = b""
    admitted: Admitted | None = None
    received: Model | None = None
    sent: Shareable | None = None


class _SiteFilter(Filter):  # type: ignore[misc]
    """What both filters share: the site's component, and the task's errand."""

    def _site(self, fl_ctx: FLContext) -> SecAggSite | None:
        site = fl_ctx.get_engine().get_component(SITE_COMPONENT)
        return site if isinstance(site, SecAggSite) else None

    def _is_server(self, fl_ctx: FLContext) -> bool:
        """FLARE's simulator gives its server the sites' filters, too."""
        return bool(fl_ctx.get_prop(FLContextKey.PROCESS_TYPE) == ProcessType.SERVER_JOB)

    def _errand(self, fl_ctx: FLContext) -> _Errand | None:
        errand = fl_ctx.get_prop(_ERRAND)
        return errand if isinstance(errand, _Errand) and errand.task == _task_of(fl_ctx) else None


class RequestFilter(_SiteFilter):
    """Takes the protocol's message out of a task, and refuses the task where the site's policy does."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """The task as the executor is to see it.

        Args:
            shareable: the task's data.
            fl_ctx: FLARE's.

        Raises:
            TaskRefused: there is no policy, or it refuses the round; the server gets the reason.
        """
        if self._is_server(fl_ctx) or self._errand(fl_ctx) is not None:
            return shareable  # in a site: its own filter came before the job's
        errand = _Errand(_task_of(fl_ctx))
        try:
            self._check(errand, shareable, fl_ctx)
        except NodeRefusal as refusal:
            raise self._refused(fl_ctx, str(refusal), refusal.reason) from None
        except (SecAggError, OSError) as error:
            raise self._refused(fl_ctx, str(error), _public(error)) from None
        fl_ctx.set_prop(_ERRAND, errand, private=True, sticky=False)
        shareable.pop(MESSAGE, None)
        return shareable

    def _check(self, errand: _Errand, shareable: Shareable, fl_ctx: FLContext) -> None:
        """Read the task, and ask the policy."""
        site = self._site(fl_ctx)
        if site is None:
            raise NodeRefusal(_NO_SITE)
        if fl_ctx.get_prop(FLContextKey.FILTER_DIRECTION) == FilterKey.OUT:
            raise NodeRefusal(_OWN_TASK)
        request = message_of(shareable)
        if request is None:
            errand.plain = fl_ctx.get_prop(FLContextKey.TASK_NAME) in site.plain_tasks
            if not errand.plain:
                raise NodeRefusal(_PLAIN)
            return
        errand.request = request
        node = site.opened(fl_ctx)
        if is_first(request):
            site.entered(session_name(request))
            without_other_words(shareable, fl_ctx)
            errand.received = copied(model_of(shareable))
            errand.admitted = node.admit(request, errand.received, task=_steering(shareable, fl_ctx))

    def _refused(self, fl_ctx: FLContext, said: str, reason: str) -> TaskRefused:
        self.log_error(fl_ctx, f"secagg: task refused: {said}", fire_event=False)
        fl_ctx.set_prop(REFUSAL, reason, private=False, sticky=False)  # public properties go with the reply
        return TaskRefused(reason)


class ReplyFilter(_SiteFilter):
    """Puts the protocol's next message in the place of what the executor gave."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """The reply that leaves this site.

        Args:
            shareable: the executor's reply.
            fl_ctx: FLARE's.
        """
        if self._is_server(fl_ctx) or fl_ctx.get_prop(FLContextKey.FILTER_DIRECTION) == FilterKey.IN:
            return shareable  # it comes in
        errand, site = self._errand(fl_ctx), self._site(fl_ctx)
        if errand is None or site is None:
            return self._refusal(fl_ctx, NodeRefusal("RequestFilter has not seen this task; name both filters"))
        if shareable is errand.sent:
            return shareable  # in a site: its own filter came before the job's
        code = code_of(shareable)
        errand.sent = make_reply(code) if code != ReturnCode.OK else self._sent(site, errand, shareable, fl_ctx)
        errand.received = errand.admitted = None
        site.log_notes(fl_ctx)
        return errand.sent

    def _sent(self, site: SecAggSite, errand: _Errand, result: Shareable, fl_ctx: FLContext) -> Shareable:
        if not errand.plain:
            return self._message(site, errand, result, fl_ctx)
        try:
            return metrics_of(result)
        except LocalProtocolError as error:
            return self._refusal(fl_ctx, NodeRefusal(f"{_HELD}: {error}"))

    def _message(self, site: SecAggSite, errand: _Errand, result: Shareable, fl_ctx: FLContext) -> Shareable:
        """The protocol's message as a reply; what it costs this site's part in the round is in the log."""
        try:
            reply = make_reply(ReturnCode.OK)
            reply[MESSAGE] = _answer(site, errand, result, fl_ctx)
            return reply
        except NodeRefusal as refusal:
            return self._refusal(fl_ctx, refusal)
        except (SecAggError, OSError) as error:
            return self._refusal(fl_ctx, error)

    def _refusal(self, fl_ctx: FLContext, error: Exception) -> Shareable:
        self.log_error(fl_ctx, f"secagg: this site leaves the round: {error}", fire_event=False)
        reply = make_reply(ReturnCode.TASK_RESULT_FILTER_ERROR)
        reply[REFUSAL] = error.reason if isinstance(error, NodeRefusal) else _public(error)
        return reply


def _task_of(fl_ctx: FLContext) -> str:
    return str(fl_ctx.get_prop(FLContextKey.TASK_ID))


def _steering(shareable: Shareable, fl_ctx: FLContext) -> bytes:
    """What steers the training, as this site has received it, and the job as it is to this site."""
    try:
        return steering(fl_ctx.get_prop(FLContextKey.TASK_NAME), fl_ctx.get_job_id(), shareable)
    except LocalProtocolError as error:
        raise NodeRefusal(f"the task is refused: {error}") from None


def _answer(site: SecAggSite, errand: _Errand, result: Shareable, fl_ctx: FLContext) -> bytes:
    """The message that answers the task's."""
    node, admitted, received = site.opened(fl_ctx), errand.admitted, errand.received
    if admitted is None or received is None:
        return node.answer(errand.request)
    if admitted.reply is not None:
        return admitted.reply  # to the same request as before; FLARE has trained again
    try:
        update = update_of(result, received, weighted=node.policy.coding.max_weight is not None)
    except LocalProtocolError as error:
        raise NodeRefusal(f"the application's update does not fit: {error}") from None
    return node.take(admitted, update)


def _public(error: Exception) -> str:
    """What the server is told where the site's own log has the whole text."""
    return f"{type(error).__name__}: see the site's log"
