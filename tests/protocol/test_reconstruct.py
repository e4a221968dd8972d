"""Secrets from many holders' shares, some of them false, and who is blamed for them."""

from contextlib import suppress
from itertools import combinations
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import Abort, shamir
from secagg.codec import Octets
from secagg.protocol.graph import Circle, Everybody
from secagg.protocol.reconstruct import Reconstruction, WrongShare, blame
from secagg.shamir import Q


class Dealing:
    """n users' secrets and shares [holder, dealer], to be falsified; user ids are 10, 20, .."""

    def __init__(self, n: int, t: int, n_corrupt: int) -> None:
        self.users = np.arange(10, 10 * n + 1, 10, dtype=np.uint32)
        self.t = t
        self.secrets = shamir.random_scalars(n)
        self.shares = shamir.share(self.secrets, t, self.users)
        self.reconstruction = Reconstruction(Everybody(self.users), t, n_corrupt, self.check)

    def check(self, v: int, secret: bytes) -> str | None:
        return f"secret {v}" if secret == self.secrets[v // 10 - 1].tobytes() else None

    def recover(self, *silent: int) -> Reconstruction:
        """Everyone but the silent holders answers, and every secret comes out."""
        self.fill(*silent)
        assert self.reconstruction.secrets() == {v: f"secret {v}" for v in self.users.tolist()}
        return self.reconstruction

    def abort(self, reason: str, *silent: int) -> Reconstruction:
        self.fill(*silent)
        with pytest.raises(Abort, match=reason):
            self.reconstruction.secrets()
        return self.reconstruction

    def fill(self, *silent: int) -> None:
        for row, u in enumerate(self.users.tolist()):
            if u not in silent:
                self.reconstruction.add(u, self.users, self.shares[row])

    def falsify(self, holder: int, *dealers: int) -> set[WrongShare]:
        for v in dealers:
            self.shares[holder // 10 - 1, v // 10 - 1] = shamir.random_scalars(1)[0]
        return {WrongShare(holder, v) for v in dealers}

    def deal_again(self, v: int, secret: Octets, t: int) -> None:
        self.shares[:, v // 10 - 1] = shamir.share(secret, t, self.users)[:, 0]


ALL = tuple(range(10, 101, 10))


def test_honest_shares_raise_no_suspicion() -> None:
    result = Dealing(10, 7, 3).recover(20, 50, 100)
    assert (result.wrong, result.doubtful, result.impostors) == (set(), set(), set())


@pytest.mark.parametrize("holder", [10, 70])
def test_every_wrong_share_of_one_holder_is_found(holder: int) -> None:
    dealing = Dealing(10, 7, 3)
    wrong = dealing.falsify(holder, *ALL)
    assert dealing.recover().wrong == wrong


def test_wrong_shares_that_are_not_needed_go_unnoticed() -> None:
    """The first t holders' shares pass every check, so nobody looks at the others'."""
    dealing = Dealing(10, 7, 3)
    dealing.falsify(100, *ALL)
    assert dealing.recover().wrong == set()


def test_wrong_shares_of_another_holder_are_found_beside() -> None:
    dealing = Dealing(10, 5, 3)
    wrong = dealing.falsify(20, *ALL) | dealing.falsify(100, 30, 40, 50, 60)
    assert dealing.recover().wrong == wrong


class SparseDealing(Dealing):
    """60 users on a circle in the order of their ids, with eight neighbours each."""

    def __init__(self) -> None:
        super().__init__(60, 3, 1)
        graph = Circle(self.users, 8, np.arange(60))
        self.compared: list[int] = []
        self.reconstruction = Reconstruction(graph, 3, 1, self.check)
        compare = self.reconstruction._compare

        def counted(sources: list[tuple[int, bytes]]) -> set[int]:
            self.compared += [v for v, _ in sources]
            return compare(sources)

        self.reconstruction._compare = counted  # type: ignore[method-assign]
        self.graph = graph

    def fill(self, *silent: int) -> None:
        for row, u in enumerate(self.users.tolist()):
            around = self.graph.holders(u, self.users)
            self.reconstruction.add(u, around, self.shares[row, around // 10 - 1])


def test_only_the_neighbourhood_of_a_liar_is_compared() -> None:
    """20 lies about two, of whom one is decoded for it; it holds shares of nine."""
    dealing = SparseDealing()
    near = set(dealing.graph.holders(200, dealing.users).tolist())
    wrong = dealing.falsify(200, *sorted(near)[-2:])
    assert dealing.recover().wrong == wrong
    assert set(dealing.compared) < near
    assert len(dealing.compared) == len(set(dealing.compared)) >= 7


def test_who_is_found_beside_a_liar_has_its_neighbourhood_compared() -> None:
    dealing = SparseDealing()
    wrong = dealing.falsify(200, 240)  # who is among the first three of 240's holders
    wrong |= dealing.falsify(190, 160, 150)  # not needed for either; 160 is near 200, and 150 is not
    dealing.falsify(180, 140)  # not needed for 140, which is near neither
    assert dealing.recover().wrong == wrong
    near = {v for u in (190, 200) for v in dealing.graph.holders(u, dealing.users).tolist()}
    assert sorted(dealing.compared) == sorted(near - {240})


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_liars_up_to_the_radius_are_corrected(data: st.DataObject) -> None:
    n = data.draw(st.integers(3, 14))
    t = data.draw(st.integers(2, n))
    dealing = Dealing(n, t, 0)
    users = dealing.users.tolist()
    silent = data.draw(st.permutations(users))[: data.draw(st.integers(0, n - t))]
    answering = sorted(set(users) - set(silent))
    wrong: set[WrongShare] = set()
    for v in users:
        liars = data.draw(st.permutations(answering))[: data.draw(st.integers(0, (len(answering) - t) // 2))]
        for u in liars:
            wrong |= dealing.falsify(u, v)
    result = dealing.recover(*silent)
    assert result.wrong <= wrong
    assert result.doubtful == set()


def test_one_liar_more_than_the_radius_aborts() -> None:
    dealing = Dealing(10, 5, 0)
    for u in (10, 20, 30):
        dealing.falsify(u, 40)
    result = dealing.abort("too many shares of user 40's secret are wrong")
    assert (result.wrong, result.impostors) == (set(), set())


def test_erasures_correct_more_liars_than_the_radius() -> None:
    """10, 20 and 30 lie of 70, but 10 was caught with 40's share, and 20 and 30 with 50's and 60's."""
    dealing = Dealing(11, 5, 0)
    for u, v in ((10, 40), (20, 50), (30, 60)):
        dealing.falsify(u, v)
    for u in (10, 20, 30, 110):
        dealing.falsify(u, 70)
    result = dealing.recover()
    pairs = ((10, 40), (20, 50), (30, 60), (10, 70), (110, 70))
    assert {WrongShare(*pair) for pair in pairs} <= result.wrong


def test_too_few_shares_abort() -> None:
    dealing = Dealing(10, 7, 3)
    dealing.abort("shares of user 10's secret: 6 answered, 7 needed", 10, 20, 30, 40)


def test_dealers_need_not_deal_to_the_same_holders() -> None:
    dealing = Dealing(10, 4, 0)
    for row, u in enumerate(dealing.users.tolist()):
        held = dealing.users[(np.arange(10) + row) % 3 > 0]
        dealing.reconstruction.add(u, held, dealing.shares[row][(held // 10 - 1).astype(np.intp)])
    assert len(dealing.reconstruction.secrets()) == 10


def test_dealer_of_another_secret_is_an_impostor() -> None:
    dealing = Dealing(10, 7, 3)
    dealing.deal_again(50, shamir.random_scalars(1), 7)
    assert dealing.abort("user 50's shares are not of the secret that it committed to").impostors == {50}


def test_dealer_of_another_secret_is_no_impostor_while_others_may_have_made_it_up() -> None:
    """t + n_corrupt - 1 agreeing shares could be n_corrupt false ones and t - 1 true ones."""
    dealing = Dealing(10, 7, 3)
    dealing.deal_again(50, shamir.random_scalars(1), 7)
    assert dealing.abort("too many shares of user 50's secret are wrong", 100).impostors == set()


def move_shares(dealing: Dealing, v: int, corrupt: list[int], zeros: list[int]) -> None:
    """The corrupt holders add to their shares of v's secret the product of the (x - zero).

    So they move to another polynomial, on which the shares of those in `zeros` lie too, without knowing either.
    """
    for u in corrupt:
        share = int.from_bytes(dealing.shares[u // 10 - 1, v // 10 - 1].tobytes(), "big")
        moved = (share + prod(u - zero for zero in zeros)) % Q
        dealing.shares[u // 10 - 1, v // 10 - 1] = np.frombuffer(moved.to_bytes(32, "big"), np.uint8)


def test_holders_cannot_make_an_honest_dealer_an_impostor() -> None:
    """4 corrupt holders and 8 of 9 honest ones agree on another secret: t + n_corrupt would be one more."""
    dealing = Dealing(13, 9, 4)
    move_shares(dealing, 10, corrupt=[10, 20, 30, 40], zeros=[50, 60, 70, 80, 90, 100, 110, 120])
    result = dealing.abort("too many shares of user 10's secret are wrong")
    assert (result.wrong, result.impostors) == (set(), set())


def test_holders_cannot_frame_others_with_a_polynomial_of_the_right_secret() -> None:
    """13 users, t = 9, 4 corrupt, two more than are corrected: they add a multiple of x that is zero at 7 of the 9
    honest holders. Then 11 of 13 shares lie on a polynomial with the right secret, and the other 2 are the honest ones.
    """
    dealing = Dealing(13, 9, 4)
    for v in dealing.users.tolist():
        move_shares(dealing, v, corrupt=[10, 20, 30, 40], zeros=[0, 60, 70, 80, 90, 100, 110, 120])
    result = dealing.recover()
    assert result.wrong == set()
    assert {WrongShare(50, 10), WrongShare(130, 10)} <= result.doubtful


@pytest.mark.parametrize("corrupt", [50, 60])
def test_one_user_cannot_frame_a_holder_as_dealer_and_holder(corrupt: int) -> None:
    """It deals 10 a bad share, so that its own shares are asked for instead, and these are false."""
    dealing = Dealing(6, 4, 1)
    framed = dealing.falsify(10, corrupt)
    dealing.falsify(corrupt, *(v for v in dealing.users.tolist() if v != corrupt))
    result = dealing.recover()
    holders, dealers, _ = blame(result.wrong, 1)
    assert framed <= result.wrong | result.doubtful
    assert holders <= {corrupt}
    assert dealers == set()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_honest_are_never_blamed(data: st.DataObject) -> None:
    """Corrupt users deal and hold whatever they like, shares that fit other polynomials through the right secret too;
    every pair that is called wrong has one of them."""
    n = data.draw(st.integers(3, 13))
    n_corrupt = data.draw(st.integers(1, (n - 1) // 2))
    t = data.draw(st.integers(n_corrupt + 1, n))
    dealing = Dealing(n, t, n_corrupt)
    users = dealing.users.tolist()
    corrupt = data.draw(st.permutations(users))[:n_corrupt]
    honest = [u for u in users if u not in corrupt]
    zeros = [0, *data.draw(st.permutations(honest))[: t - 2]]
    for v in users:
        if data.draw(st.booleans()):
            move_shares(dealing, v, corrupt, zeros)
        if v in corrupt and data.draw(st.booleans()):
            dealing.deal_again(v, shamir.random_scalars(1), t)
        for u in data.draw(st.lists(st.sampled_from(users), max_size=3)):
            if u in corrupt or v in corrupt:
                dealing.falsify(u, v)
    dealing.fill(*data.draw(st.lists(st.sampled_from(users), max_size=n - t)))
    with suppress(Abort):
        dealing.reconstruction.secrets()
    result = dealing.reconstruction
    assert all(u in corrupt or v in corrupt for u, v in result.wrong)
    assert result.impostors <= set(corrupt)
    holders, dealers, _ = blame(result.wrong, n_corrupt)
    assert holders | dealers <= set(corrupt)


@pytest.mark.parametrize("n_corrupt", [0, 1, 2])
def test_blame_asks_for_more_accusers_than_can_lie(n_corrupt: int) -> None:
    few, many = range(2, 2 + n_corrupt), range(2, 3 + n_corrupt)
    assert blame({WrongShare(1, v) for v in few}, n_corrupt) == (set(), set(), {WrongShare(1, v) for v in few})
    assert 1 in blame({WrongShare(1, v) for v in many}, n_corrupt)[0]
    assert blame({WrongShare(u, 1) for u in few}, n_corrupt) == (set(), set(), {WrongShare(u, 1) for u in few})
    assert 1 in blame({WrongShare(u, 1) for u in many}, n_corrupt)[1]


def test_blame_leaves_no_pair_of_those_named() -> None:
    pairs = [WrongShare(u, v) for u, v in combinations(range(1, 5), 2)]  # 1 holds three wrong shares, 4 dealt three
    assert blame(pairs, 2) == ({1}, {4}, {WrongShare(2, 3)})
