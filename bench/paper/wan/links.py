"""The link of each participant, drawn from a seed.

The paper's clients ran in data centres far from its server, and it prints no delays or rates; its protocol is meant for
telephones. So links are drawn as mobile networks have them: both delay and rate are log-normal, which gives many a good
link, and a few a bad one.
"""

from dataclasses import dataclass

import numpy as np

MEDIAN_DELAY, DELAY_SIGMA, DELAYS = 40, 0.5, (10, 200)  # milliseconds, one way
MEDIAN_RATE, RATE_SIGMA, RATES = 1250, 0.7, (125, 12_500)  # KB/s from the participant: 10, and 1 .. 100 Mbit/s
DOWN_PER_UP = 4
SLOW_RATE = 32  # KB/s: 256 kbit/s

DISTRIBUTION = (
    f"One-way delays are log-normal with a median of {MEDIAN_DELAY} ms (sigma {DELAY_SIGMA}, {DELAYS[0]} to"
    f" {DELAYS[1]} ms), each part of a message up to a quarter earlier or later. Rates from a participant are"
    f" log-normal with a median of {MEDIAN_RATE * 8 // 1000} Mbit/s (sigma {RATE_SIGMA}, {RATES[0] * 8 // 1000} to"
    f" {RATES[1] * 8 // 1000} Mbit/s); those to it are {DOWN_PER_UP} times as high, up to the same limit."
)


@dataclass(frozen=True)
class Link:
    """What lies between a participant and the coordinator.

    Attributes:
        delay: milliseconds that bytes take, one way.
        jitter: milliseconds by which that varies, up or down.
        up: KB/s from the participant.
        down: KB/s to the participant.
    """

    delay: int
    jitter: int
    up: int
    down: int

    def up_seconds(self, size: int) -> float:
        """How long so many bytes take from the participant, without jitter."""
        return self.delay / 1000 + size / (1000 * self.up)

    def down_seconds(self, size: int) -> float:
        """How long so many bytes take to the participant, without jitter."""
        return self.delay / 1000 + size / (1000 * self.down)


def draw_links(count: int, seed: int, slow: float = 0.0) -> list[Link]:
    """So many links, of which a share is slow both ways. Equal seeds give equal links, and fewer are the first of more.

    Args:
        count: how many.
        seed: of the generator.
        slow: the share with `SLOW_RATE`, rounded.
    """
    links = [_draw(np.random.default_rng([seed, u])) for u in range(count)]
    chosen = np.random.default_rng([seed, count]).permutation(count)[: round(slow * count)]
    for u in chosen.tolist():
        links[u] = Link(links[u].delay, links[u].jitter, SLOW_RATE, SLOW_RATE)
    return links


def _draw(rng: np.random.Generator) -> Link:
    delay = round(_log_normal(rng, MEDIAN_DELAY, DELAY_SIGMA, DELAYS))
    up = round(_log_normal(rng, MEDIAN_RATE, RATE_SIGMA, RATES))
    return Link(delay, delay // 4, up, min(DOWN_PER_UP * up, RATES[1]))


def _log_normal(rng: np.random.Generator, median: float, sigma: float, limits: tuple[int, int]) -> float:
    return float(np.clip(median * rng.lognormal(0.0, sigma), *limits))
