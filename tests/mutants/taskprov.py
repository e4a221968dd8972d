"""Mutants of tasks that others make: advertised ones, and those of a test runner.

What is derived, who may begin a task, what is asked of one, and how many there are.
"""

from .mutant import Mutant

_DERIVED = ("tests/dap/test_taskprov.py",)
_POLICY = ("tests/dap/test_task_policy.py",)
_HTTP = "tests/dap/server/test_advertised.py"
_FLOOD = "tests/attacks/dap/test_advertised.py"
_INTEROP = "tests/dap/interop/test_interop.py"

MUTANTS = (
    # What is derived, and advertised.
    Mutant(
        "task-id-without-its-salt",
        "secagg.dap.taskprov:derive_task_id",
        "_TASK_ID_SALT + octets(configuration, 'configuration')",
        "octets(configuration, 'configuration')",
        "No other implementation knows the task.",
        _DERIVED,
    ),
    Mutant(
        "one-key-for-all-tasks",
        "secagg.dap.taskprov:derive_verify_key",
        "HKDF(SHA256(), length, _VERIFY_KEY_SALT, info)",
        "HKDF(SHA256(), length, _VERIFY_KEY_SALT, b'')",
        "All tasks of two Aggregators have the same verification key.",
        _DERIVED,
    ),
    Mutant(
        "two-headers-are-one",
        "secagg.dap.taskprov:read_advertisement",
        "len(lines) == 1",
        "lines",
        "A proxy and an Aggregator read two tasks from one request.",
        _DERIVED,
    ),
    Mutant(
        "leader-does-not-advertise",
        "secagg.dap.aggregator.peer:HttpPeer._send",
        "advertisement(record.task)",
        "{}",
        "The Helper never hears of a task, and its reports wait forever.",
        (f"{_HTTP}::test_every_request_of_the_leader_advertises_the_task",),
    ),
    # Who may begin a task.
    Mutant(
        "header-of-another-task",
        "secagg.dap.server.advertised:find_advertised_task",
        "base64url(task_id) != text",
        "False",
        "A request is answered for a task that it does not name.",
        (f"{_HTTP}::test_a_request_that_advertises_another_task_is_of_no_task",),
    ),
    Mutant(
        "helper-asks-for-no-token",
        "secagg.dap.aggregator.opt_in:OptIn.opt_in",
        "self._role is Role.HELPER and (not token_matches(token, peer.secrets.peer_token))",
        "False",
        "Anybody fills the Helper's store with tasks.",
        (f"{_HTTP}::test_the_helper_takes_tasks_of_its_leader_alone",),
    ),
    Mutant(
        "tasks-of-any-servers",
        "secagg.dap.aggregator.opt_in:OptIn._peer",
        "peer.has(leader_url, helper_url)",
        "True",
        "An Author names itself as the Helper, and gets the Leader's token.",
        (f"{_HTTP}::test_a_task_of_other_aggregators_is_none_of_ours",),
    ),
    Mutant(
        "collector-begins-a-task",
        "secagg.dap.server.leader:LeaderResources._task",
        "find_advertised_task(self._context, request, opt_in=False)",
        "find_advertised_task(self._context, request)",
        "The Leader opts in before there is a report, and before it has asked for a token.",
        (f"{_HTTP}::test_a_collector_begins_no_task",),
    ),
    Mutant(
        "token-for-another-leader",
        "secagg.dap.peer_file:CollectorPeer.party",
        "all((parse_server_url(a) == parse_server_url(b) for a, b in zip(own, its, strict=True)))",
        "True",
        "The Collector shows its token to whatever server a task names.",
        ("tests/dap/test_peer_file.py",),
    ),
    Mutant(
        "opting-out-cuts-jobs",
        "secagg.dap.aggregator.leader:Leader._ask",
        "problem.status in _REFUSALS and problem.type not in _OF_TASKS",
        "problem.status in _REFUSALS",
        "Jobs are cut into single reports while their Helper opts out.",
        (f"{_HTTP}::test_reports_wait_for_a_helper_that_opts_out",),
    ),
    # What is asked of a task.
    Mutant(
        "any-budget",
        "secagg.dap.task_policy:TaskPolicy._check_budgets",
        "least is None or keeps_budget(least, [Spent(given)])",
        "True",
        "A task with epsilon = 1000 is taken where the operator demands 1.",
        _POLICY,
    ),
    Mutant(
        "no-noise-where-a-budget-is-demanded",
        "secagg.dap.task_policy:TaskPolicy._check_budgets",
        "self.budget is None",
        "True",
        "Results of an advertised task are exact.",
        _POLICY,
    ),
    Mutant(
        "noise-of-both-aggregators",
        "secagg.dap.task_policy:TaskPolicy._check_budgets",
        "privacy.honest <= self.honest",
        "True",
        "One Aggregator that tells its noise halves what protects people.",
        _POLICY,
    ),
    Mutant(
        "batches-of-one",
        "secagg.dap.task_policy:TaskPolicy._check_sizes",
        "size >= self.min_batch_size",
        "True",
        "A task for one Client gives its Author that Client's measurement.",
        _POLICY,
    ),
    Mutant(
        "tasks-that-have-ended",
        "secagg.dap.task_policy:TaskPolicy._check_interval",
        "end > now",
        "True",
        "A party takes part in a task that is over, which the draft forbids.",
        _POLICY,
    ),
    Mutant(
        "tasks-that-never-end",
        "secagg.dap.task_policy:TaskPolicy._check_interval",
        "end <= latest",
        "True",
        "Tasks fill the quota for years.",
        _POLICY,
    ),
    Mutant(
        "reports-of-any-size",
        "secagg.dap.task_policy:TaskPolicy._check_task",
        "size <= self.report_bytes",
        "True",
        "A Client makes a task whose reports fill the disk.",
        _POLICY,
    ),
    Mutant(
        "a-total-without-end",
        "secagg.dap.task_policy:TaskPolicy._check_task",
        "not many",
        "True",
        "Each look at the task's budget takes half a minute.",
        _POLICY,
    ),
    # How many there are.
    Mutant(
        "tasks-without-number",
        "secagg.dap.aggregator.opt_in:OptIn._add",
        "lasting >= self._quota.tasks",
        "False",
        "A Client fills the store with tasks.",
        (f"{_FLOOD}::test_a_flood_of_tasks_fills_a_quota_and_nothing_else",),
    ),
    Mutant(
        "tasks-that-end-are-free",
        "secagg.dap.aggregator.opt_in:OptIn._add",
        "recent >= self._quota.a_day",
        "False",
        "A Client fills the store with tasks that end at once.",
        (f"{_FLOOD}::test_tasks_that_end_at_once_fill_the_quota_of_a_day",),
    ),
    Mutant(
        "judging-without-rest",
        "secagg.dap.aggregator.opt_in:OptIn._judge",
        "started < self._rests_until",
        "False",
        "Clients keep a processor busy with calibrations.",
        (f"{_FLOOD}::test_judging_tasks_takes_a_small_part_of_the_time",),
    ),
    Mutant(
        "a-full-quota-is-looked-at-again",
        "secagg.dap.aggregator.opt_in:OptIn._check_full",
        "self._ticks() < self._full.get(peer.key, float('-inf'))",
        "False",
        "Each advertised task costs a transaction that keeps uploads waiting.",
        (f"{_FLOOD}::test_a_flood_of_tasks_fills_a_quota_and_nothing_else",),
    ),
    # Test runners.
    Mutant(
        "test-runners-of-other-machines",
        "secagg.dap.interop.commands:require_loopback",
        "host.startswith('127.')",
        "host.startswith('')",
        "Anybody adds tasks whose secrets they know.",
        (f"{_INTEROP}::test_what_is_no_loopback",),
    ),
    Mutant(
        "test-runners-at-any-time",
        "secagg.dap.server.process:Process.app",
        "interop",
        "True",
        "An Aggregator in use takes tasks from whoever is on its machine.",
        (f"{_INTEROP}::test_without_the_flag_there_is_no_such_thing",),
    ),
    Mutant(
        "test-runners-in-browsers",
        "secagg.dap.interop.commands:_answering",
        "kind is None or kind[0] != 'application/json'",
        "False",
        "A page adds tasks to an Aggregator on its reader's machine.",
        (f"{_INTEROP}::test_a_page_in_a_browser_cannot_send_commands",),
    ),
)
