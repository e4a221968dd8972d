"""Amplification by sampling: what a run tells somebody who does not know whom the operator invited.

In each round m of N people are invited, drawn at random before anybody knew who is available. Let P and Q be a pair
that dominates a round for two data sets that differ in one of its participants. With A and B the round's laws where a
person is left out and where it is invited, and B' the latter with other data of that person, a round is the mixture of
(1 - q) A and q B, or of (1 - q) A and q B', with q = m / N. One participant's data moves B to B', and B to A as well:
to leave somebody out is to invite somebody else. Hence, at alpha >= 1 and with delta(epsilon) the profile of P and Q,

    H_alpha((1 - q) A + q B, (1 - q) A + q B') <= q delta(ln(1 + (alpha - 1) / q)),

by advanced joint convexity (Balle, Barthe and Gaboardi 2018, Theorem 2; Zhu, Dong and Wang 2022, Theorem 11). This is
the profile of U = (1 - q) Q + q P against Q. Below 1 it is that of Q against U. Both make a pair that is its own mirror
image: U and Q where U is larger, Q and U mirrored, and what is left has no loss. Rounds may depend on earlier results.

That holds for replaced data and samples of a fixed size. It holds towards nobody who knows who took part in a round:
not towards the server, other participants, or whoever watches the network; and not where whoever comes first is taken.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..arguments import convert, whole
from ..errors import LocalProtocolError, require
from .budget import ApproxDp
from .composition import Spent, least_epsilon
from .exact import Exact, exp_upper, text, three_digits_up
from .known_noise import loss_of
from .plan import Place, Plan
from .privacy_loss import PrivacyLoss, float_above, from_atoms

_UP, _DOWN = 1 + 2.0**-36, 1 - 2.0**-36
_PAD = 2.0**-40


@dataclass(frozen=True)
class Invited:
    """How many are invited to each round, of how many.

    Attributes:
        people: m, drawn at random for each round, all sets of so many being as likely.
        population: N, above m.

    Raises:
        LocalProtocolError: not 1 <= people < population.
    """

    people: int
    population: int

    def __post_init__(self) -> None:
        convert(self, whole, "people", "population")
        require(
            1 <= self.people < self.population,
            f"fewer must be invited than there are: got {self.people:,} of {self.population:,}",
        )

    @property
    def share(self) -> Fraction:
        """q = m / N."""
        return Fraction(self.people, self.population)


def sampled(loss: PrivacyLoss, invited: Invited) -> PrivacyLoss:
    """The privacy loss of one round towards somebody who does not know who was invited.

    Args:
        loss: of the round where that is known.
        invited: how many of how many.
    """
    # Only positive losses count at alpha >= 1: P is larger there, and so is U.
    positive = loss.losses > 0
    known, masses, q = loss.losses[positive], loss.masses[positive], float_above(invited.share)
    decay = np.exp(-known)
    small = np.log1p(q * np.expm1(np.minimum(known, 1.0)))
    large = np.logaddexp(np.log1p(-q), np.log(q) + np.maximum(known, 1.0))
    hidden = np.where(known < 1, small, large)

    # U where it is larger than Q, the mirror image, and what is left.
    above, below = masses * (q + (1 - q) * decay) * _UP, masses * decay * _UP
    rest = max(0.0, 1 - float(above.sum() + below.sum())) + _PAD
    losses = np.concatenate([hidden * _UP + _PAD, -hidden * _DOWN, [0.0]])
    return from_atoms(losses, np.concatenate([above, below, [rest]]), loss.infinite * q * _UP)


@dataclass(frozen=True)
class Views:
    """What a whole run tells of one client, by who looks on: each is (epsilon, delta)-DP.

    Attributes:
        insiders: epsilon towards the server, the clients, and whoever else knows who took part in a round.
        outsiders: epsilon towards those who see the results alone and took part in no round.
        delta: of both.
        invited: how many are drawn for a round, of how many.
    """

    insiders: Fraction
    outsiders: Fraction
    delta: Fraction
    invited: Invited

    def report(self) -> list[tuple[str, str]]:
        """Both in words, each with whom it is towards and what it depends on."""
        inside, outside = (three_digits_up(float(each)) for each in (self.insiders, self.outsiders))
        at = f"at delta = {text(self.delta)}, towards"
        return [
            ("insiders", f"epsilon = {inside} {at} the server, the clients and all who know who took part in a round"),
            (
                "outsiders",
                f"epsilon = {outside} {at} those who see results alone and took part in no round; if for each round"
                f" {self.invited.people:,} of {self.invited.population:,} are drawn at random before it is known who is"
                " available, and who drops out does not depend on who was invited",
            ),
        ]


def hidden_epsilon(
    loss: PrivacyLoss, invited: Invited, rounds: int, delta: Fraction, total_variation: Fraction, known: Fraction
) -> Fraction:
    """An epsilon of a whole run towards somebody who does not know who was invited.

    Args:
        loss: of one round where that is known.
        invited: how many of how many.
        rounds: of the run.
        delta: above 0 and below 1.
        total_variation: of a round's samples from their law.
        known: an epsilon of the run where it is known who was invited, which holds here as well.
    """
    # At an epsilon up to that one, the samples take at most so much of delta.
    samples = (1 + exp_upper(known)) * total_variation * rounds
    hidden = sampled(loss, invited).times(rounds)
    if 2 * samples >= delta or 2 * Fraction(hidden.infinite) >= delta:
        return known
    return min(known, hidden.epsilon(delta - samples))


def views(plan: Plan, population: int, delta: Exact) -> Views:
    """What a run tells towards those who know whom the operator invited, and towards those who do not.

    The second is amplified by sampling, and asks for more than a plan can see. So many people as the plan has clients
    are drawn for each round, of a population that is declared before, and before anybody knows who is available. Who
    looks on learns the results alone, and not how many or who took part. Who drops out does not depend on who was
    invited. Cohorts of whoever comes first have no second guarantee.

    Args:
        plan: of noise that clients add together.
        population: of which the clients of a round are drawn, larger than their number.
        delta: at which both epsilons are stated, above 0 and below 1.

    Raises:
        LocalProtocolError: others add the noise, a unit has several reports, the population is not larger than a round,
            or no worst pair of neighbours is known of such noise.
    """
    require(plan.place is Place.DISTRIBUTED, "only clients that add noise together are drawn for a round")
    require(plan.unit.reports == 1, "amplification by sampling is for units that have one report in a round")
    loss = loss_of(plan.guarantee)
    if loss is None:
        raise LocalProtocolError(f"no worst pair of neighbours is known of noise that is {plan.guarantee}: take more")
    invited, delta = Invited(plan.parties, population), ApproxDp(1, delta).delta
    known = least_epsilon({Spent(plan.guarantee, plan.total_variation): plan.per_client}, delta)
    hidden = hidden_epsilon(loss, invited, plan.rounds, delta, plan.total_variation, known)
    return Views(known, hidden, delta, invited)
