"""Mutants of participants: what they accept, what they send again, and what they leave behind."""

from .mutant import Mutant

_POLICY = ("tests/service/test_policy.py",)
_STEPS = "tests/service/test_participation.py"
_LIES = "tests/attacks/service/test_malicious_coordinator.py"
_STAY = "tests/service/test_participation.py::test_whoever_leaves_before_u2_is_gone_and_later_may_come_back"
_SUM = (f"{_LIES}::test_a_sum_that_is_none_is_refused", f"{_LIES}::test_a_result_that_is_none_is_refused")

MUTANTS = (
    # What a site accepts.
    Mutant(
        "policy-is-not-asked",
        "secagg.service.participation:Participation._join",
        "self._policy.check(params, announcement.roster_hash, noisy=self._input.noisy, users=self._users)",
        "None",
        "A weaker session is joined.",
        (f"{_STEPS}::test_a_weaker_session_is_refused_before_anything_of_the_protocol_is_sent",),
    ),
    Mutant(
        "at-least-is-at-most",
        "secagg.service.policy:Policy._different",
        "asked < wanted",
        "asked > wanted",
        "A threshold below the site's is accepted.",
        _POLICY,
    ),
    Mutant(
        "at-most-is-not-asked",
        "secagg.service.policy:Policy._different",
        "asked > wanted",
        "False",
        "A larger range, or more room for noise, is accepted.",
        _POLICY,
    ),
    Mutant(
        "some-of-a-roster-will-do",
        "secagg.service.policy:Policy._left_open",
        "not counted and params.n < users",
        "False",
        "The coordinator chooses two users, of whom one is its own, and has the other's vector.",
        (f"{_LIES}::test_coordinator_picks_two_of_a_roster",),
    ),
    Mutant(
        "nobody-need-be-corrupt",
        "secagg.service.policy:Policy._left_open",
        "params.n_corrupt < least",
        "False",
        "The coordinator says that no user is its own.",
        _POLICY,
    ),
    Mutant(
        "roster-is-not-compared",
        "secagg.service.policy:Policy._others",
        "roster_hash != self.roster",
        "False",
        "The coordinator's roster takes the place of the site's.",
        _POLICY,
    ),
    Mutant(
        "context-is-not-compared",
        "secagg.service.policy:Policy._different",
        "params.context != self.context",
        "False",
        "A vector of one task enters another task's sum.",
        _POLICY,
    ),
    Mutant(
        "announcement-of-another-user",
        "secagg.service.participation:Participation._join",
        "self._site.user not in (None, announcement.user)",
        "False",
        "The coordinator says who a user is.",
        (f"{_LIES}::test_a_user_cannot_be_told_that_it_is_another",),
    ),
    Mutant(
        "token-user-claims-no-nonce",
        "secagg.service.participation:Participation._machine",
        "self._claim(announcement.params)",
        "None",
        "In the semi-honest model a session can be played again with its nonce.",
        (f"{_STEPS}::test_a_user_takes_part_in_a_session_once",),
    ),
    # What is sent, and where.
    Mutant(
        "redirections-are-answers",
        "secagg.service.calls:_not_redirected",
        "300 <= response.status < 400",
        "False",
        "A redirection is taken for an answer.",
        (f"{_LIES}::test_a_redirection_is_not_followed",),
    ),
    Mutant(
        "untrusted-certificates-are-tried-again",
        "secagg.service.calls:Calls._outcome",
        "_UNTRUSTED in reply.detail",
        "False",
        "What cannot succeed is tried over and over.",
        (f"{_STEPS}::test_a_certificate_that_is_not_trusted_is_not_tried_again",),
    ),
    Mutant(
        "fresh-nonces-are-not-tried",
        "secagg.service.calls:Calls.ask",
        "reply.status == 401",
        "False",
        "A participant never signs anything.",
        (f"{_STEPS}::test_a_coordinator_that_is_restarted_knows_no_nonces",),
    ),
    Mutant(
        "last-answer-is-not-sent-again",
        "secagg.service.participation:Participation._play",
        "answer = machine.answer",
        "answer = None",
        "An answer whose acknowledgement was lost never arrives.",
        (f"{_STEPS}::test_each_request_may_be_the_one_that_a_restart_prevents",),
    ),
    Mutant(
        "request-of-any-round",
        "secagg.service.participation:Participation._request",
        "_media_type(response) != OCTETS or expected is None or named != ROUND_NAMES[expected]",
        "False",
        "After its last answer a participant listens to another U3.",
        (f"{_LIES}::test_a_participant_that_has_unmasked_is_shown_another_u3_in_vain",),
    ),
    # What is left behind.
    Mutant(
        "state-goes-after-u2",
        "secagg.service.participation:Participation.steps",
        "machine.answered is None or machine.answered < Round.SHARE_KEYS",
        "True",
        "Whoever is interrupted in U2 cannot come back.",
        (_STAY,),
    ),
    Mutant(
        "state-stays-before-u2",
        "secagg.service.participation:Participation.steps",
        "machine.answered is None or machine.answered < Round.SHARE_KEYS",
        "False",
        "Whoever has left keeps its secrets on disk.",
        (_STAY,),
    ),
    Mutant(
        "state-stays-after-a-refusal",
        "secagg.service.participation:Participation.steps",
        "refused.kind in _OUT",
        "False",
        "Whoever is out keeps its secrets on disk.",
        (f"{_STEPS}::test_refusals_that_put_a_user_out_leave_no_state",),
    ),
    Mutant(
        "state-stays-where-the-session-is-gone",
        "secagg.service.participation:Participation._known",
        "refused.kind in _OUT",
        "False",
        "Whoever comes back too late keeps its secrets on disk.",
        (f"{_STEPS}::test_whoever_comes_back_to_a_session_that_is_gone_leaves_no_state",),
    ),
    Mutant(
        "old-states-stay",
        "secagg.protocol.saved:_to_be_removed",
        "header.created < before",
        "False",
        "Whoever never comes back keeps its secrets on disk.",
        (f"{_STEPS}::test_states_that_nobody_came_back_to_are_removed",),
    ),
    # The result.
    Mutant(
        "sum-of-any-hash",
        "secagg.service.sums:read_sum",
        "sha256(body).hexdigest() != form.sha256",
        "False",
        "A sum is not the one that was announced.",
        _SUM,
    ),
    Mutant(
        "any-list-of-survivors",
        "secagg.service.contribution:check_form",
        "not ascending or not params.min_users <= len(form.survivors) <= params.n",
        "False",
        "A sum of too few users is decoded.",
        _SUM,
    ),
)
