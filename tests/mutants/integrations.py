"""Mutants of the integrations' core: what a site agrees to, what leaves it, and what the mean is of."""

from .mutant import Mutant

_TASK = "tests/integrations/test_task.py"
_REFUSALS = "tests/integrations/test_refusals.py"
_ROUNDS = "tests/integrations/test_rounds.py"
_NOISE = "tests/integrations/test_noise.py"
_ARRAYS = ("tests/integrations/test_arrays.py",)
_METRICS = ("tests/integrations/test_metrics.py",)

MUTANTS = (
    # What a site agrees to.
    Mutant(
        "site-asks-no-policy",
        "secagg.integrations.site:Site._agreed",
        'policy.accepts.check(params, roster_hash, noisy=noisy, users=users, where="[protection] of its policy")',
        "None",
        "A server chooses thresholds, and two nodes of a roster.",
        (f"{_REFUSALS}::test_a_session_that_is_weaker_than_the_policy_is_refused_before_training",),
    ),
    Mutant(
        "coding-is-not-compared",
        "secagg.integrations.site:Site._agreed",
        "coding.check(params, policy.application)",
        "None",
        "A server chooses the clip, and sends nodes different models.",
        (
            f"{_REFUSALS}::test_another_coding_is_refused_by_its_name",
            f"{_REFUSALS}::test_a_server_cannot_send_nodes_different_models_in_one_session",
        ),
    ),
    Mutant(
        "nodes-join-more-rounds-than-their-noise-is-for",
        "secagg.integrations.policy:_ledger_of_run",
        "noise.joined",
        "noise.rounds",
        "Noise for two rounds of a node is drawn in all rounds of a run.",
        (f"{_NOISE}::test_a_budget_of_a_run_is_shared_by_the_rounds_that_a_node_joins",),
    ),
    Mutant(
        "a-lost-ledger-is-made-anew",
        "secagg.integrations.policy:_ledger_of_run",
        "Ledger(noise.budget, path, releases=noise.joined, begun=begun.exists())",
        "Ledger(noise.budget, path, releases=noise.joined)",
        "A node whose ledger was lost spends the budget of the run again.",
        (f"{_NOISE}::test_a_ledger_that_is_lost_in_a_run_stops_the_node",),
    ),
    Mutant(
        "nonces-are-of-any-day",
        "secagg.integrations.freshness:is_fresh",
        "abs(now - made) <= age",
        "True",
        "A session of another day is joined.",
        (f"{_REFUSALS}::test_a_session_of_another_day_is_refused",),
    ),
    Mutant(
        "nodes-forget-nonces",
        "secagg.integrations.site:Site._saved",
        "policy.identity is None and not self._claim(params.nonce)",
        "False",
        "A server replays a session once its state is gone.",
        (f"{_REFUSALS}::test_a_server_that_replays_a_session_gets_nothing_new",),
    ),
    Mutant(
        "users-choose-themselves",
        "secagg.integrations.server_round:ServerRound._take",
        "known is not None and user != known",
        "False",
        "A node answers in another's place.",
        (f"{_REFUSALS}::test_a_node_cannot_answer_for_another",),
    ),
    Mutant(
        "one-user-twice",
        "secagg.integrations.server_round:ServerRound._take",
        "known is None and user in self._node_of",
        "False",
        "Two nodes are one user, and the requests of one are lost.",
        (f"{_REFUSALS}::test_two_nodes_cannot_be_one_user",),
    ),
    Mutant(
        "all-nodes-for-each-reply",
        "secagg.integrations.server_round:ServerRound.receive",
        "self._waiting",
        "self.waiting",
        "A round of n nodes takes n^2 steps.",
        ("tests/integrations/test_rounds.py::test_a_reply_is_taken_without_a_set_of_all_nodes",),
    ),
    # What leaves it.
    Mutant(
        "servers-read-the-nodes-log",
        "secagg.integrations.site:Site._encoded",
        'NodeRefusal(PRIVATE_REASON, f"this node\'s update is left out of the round: {error}")',
        "NodeRefusal(str(error))",
        "The server learns which values are NaN or out of range.",
        (f"{_REFUSALS}::test_values_that_cannot_be_averaged_are_named_in_the_nodes_own_log_only",),
    ),
    Mutant(
        "a-first-message-trains-again",
        "secagg.integrations.site:Site._answered",
        "not file.exists()",
        "True",
        "A message that comes twice trains twice, and the node is out.",
        (f"{_ROUNDS}::test_messages_that_come_twice_get_the_same_bytes_and_train_once",),
    ),
    Mutant(
        "two-processes-take-one-session",
        "secagg.integrations.site:Site.take",
        "file.exists()",
        "False",
        "A first message in two processes at once puts the node out.",
        (f"{_REFUSALS}::test_a_first_message_in_two_processes_at_once_gets_one_answer",),
    ),
    Mutant(
        "tasks-are-not-compared",
        "secagg.integrations.coding:Coding.fitted",
        "octets(task, 'task')",
        "b''",
        "A server silences all nodes but one by their learning rate.",
        (f"{_TASK}::test_a_server_cannot_silence_all_nodes_but_one_by_their_learning_rate",),
    ),
    Mutant(
        "tasks-have-no-types",
        "secagg.integrations.task:_encoded",
        "tag + len(body).to_bytes(8, 'big') + body",
        "len(body).to_bytes(8, 'big') + body",
        "Values of two types are one task.",
        (f"{_TASK}::test_no_two_values_have_one_encoding",),
    ),
    # What the mean is of.
    Mutant(
        "means-are-shortened-with-the-change",
        "secagg.integrations.coding:RoundCoding._shortened",
        "norm <= room",
        "True",
        "With noise, metrics shrink wherever the change is longer than the clip.",
        ("tests/integrations/test_noise.py::test_a_change_that_is_shortened_leaves_means_as_they_are",),
    ),
    Mutant(
        "counters-may-come-back-as-floats",
        "secagg.integrations.arrays:_write_difference",
        "is_integer(before.dtype)",
        "is_integer(after.dtype)",
        "A counter that training gives back as a float is clipped silently.",
        _ARRAYS,
    ),
    Mutant(
        "nan-is-a-number",
        "secagg.integrations.arrays:_write_difference",
        "not np.isfinite(change).all()",
        "False",
        "One node's NaN becomes a value of the sum.",
        _ARRAYS,
    ),
    Mutant(
        "integers-are-cut-off",
        "secagg.integrations.arrays:_write_difference",
        "_peak(change) > clip",
        "False",
        "A counter beyond the clip is clipped silently.",
        _ARRAYS,
    ),
    Mutant(
        "counts-lose-a-digit",
        "secagg.integrations.metrics:_digits",
        "-(-metric.max_value.bit_length() // bits)",
        "max(1, metric.max_value.bit_length() // bits)",
        "Large counts lose their highest digit.",
        _METRICS,
    ),
    Mutant(
        "means-are-not-scaled-back",
        "secagg.integrations.metrics:unscaled",
        "entries[place:place + metric.width] / largest * metric.bound",
        "entries[place:place + metric.width] * metric.bound",
        "A mean is wrong by the factor of the clip.",
        _METRICS,
    ),
)
