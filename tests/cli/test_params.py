"""`secagg params`: what it finds, says and weighs."""

import pytest

from secagg import Params, Sparse

from .test_commands import Outcome, run, run_json

SMALL = ("params", "--length", "100")


def test_the_choice_is_the_one_that_params_make() -> None:
    report = run_json(*SMALL, "--clients", "1000", "--corrupt", "5%", "--dropouts", "40", "--json")
    found = Params.sparse(1000, corrupt=50, dropouts=40)
    assert (report["degree"], report["threshold"], report["corrupt_neighbours"]) == (found.degree, found.t, found.c)
    assert (report["min_joined"], report["min_users"], report["graph"]) == (900, 860, "sparse")
    assert report["log2_privacy"] == found.log2_privacy <= -40
    assert report["log2_correctness"] == found.log2_correctness <= -20
    params = Params(**found.settings, m=100, modulus=1 << 24)
    assert params.graph == Sparse(report["degree"])
    sparse, complete = report["costs"]
    assert (sparse["graph"], complete["graph"]) == ("sparse", "complete")
    for cost in ("client_sent", "client_received", "client_seconds", "server_seconds"):
        assert 0 < sparse[cost] < complete[cost]


def test_a_person_reads_the_same() -> None:
    text = run(*SMALL, "--clients", "1000", "--corrupt", "50", "--dropouts", "5%", "--min-joined", "1000")
    assert "sparse, 30 neighbours each" in text
    assert "17 of 31 shares" in text
    assert "at most 16 neighbours of an honest client" in text
    assert "an input with probability 2^-41.5 at most" in text


def test_bytes_are_itemised_by_message() -> None:
    """1.3 MB of everybody's keys and signatures in round 1, and the quorum's signatures in the last."""
    arguments = (*SMALL, "--clients", "10000", "--dropouts", "450", "--model", "active")
    sparse, complete = run_json(*arguments, "--json")["costs"]
    assert list(sparse["client_messages"]) == list(complete["client_messages"])
    assert list(sparse["client_messages"])[:3] == ["AdvertiseKeys", "ShareKeysRequest", "ShareKeys"]
    assert sparse["client_messages"]["ShareKeysRequest"] == 2 + 5 + 1250 + 4 + 640_000 + 4 + 640_000
    assert sparse["client_messages"]["UnmaskingRequest"] == 2 + 32 + 5 + 657 + 4 + 5251 * 64
    assert complete["client_messages"]["UnmaskingRequest"] == 2 + 32 + 5 + 1250 + 4 + 10_000 * 64
    for costs in (sparse, complete):
        assert sum(costs["client_messages"].values()) == costs["client_sent"] + costs["client_received"]
    assert [line.split() for line in run(*arguments).splitlines() if "UnmaskingRequest" in line] == [
        ["UnmaskingRequest", "336,764", "641,293"]
    ]


def test_a_small_cohort_takes_the_complete_graph_and_says_why() -> None:
    arguments = (*SMALL, "--clients", "100", "--corrupt", "30", "--dropouts", "20")
    assert "complete: a sparse one would need a degree above n / 2" in run(*arguments)
    report = run_json(*arguments, "--json")
    assert (report["graph"], report["degree"], report["log2_privacy"], len(report["costs"])) == (
        "complete",
        99,
        None,
        1,
    )


def test_the_active_model_takes_more_neighbours() -> None:
    text = run(*SMALL, "--clients", "10000", "--dropouts", "450", "--model", "active")
    assert "sparse, 212 neighbours each" in text
    assert "177 of 213 shares" in text
    assert "an input with probability 2^-105.7 at most" in text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--corrupt", "x"), "--corrupt must be a number such as 50, or a share such as 5%"),
        (("--dropouts", "-1"), "--dropouts must be a number"),
        (("--dropouts", "%"), "--dropouts must be a number"),
        (("--dropouts", "70%"), "users stay, but a round needs"),
        (("--bits", "65"), "--bits must be 1 .. 64, got 65"),
        (("--length", "0"), "--length must be at least 1"),
        (("--model", "lying"), "--model must be one of semi-honest (1), active (2); got 'lying'"),
        (("--clients", "1"), "n must be 2 .. 2**32 - 1, got 1"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], reason: str) -> None:
    outcome = Outcome(*SMALL, *arguments)
    assert outcome.code == 2
    assert reason in outcome.err
    assert outcome.out == ""
