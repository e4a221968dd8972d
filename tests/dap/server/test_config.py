"""An Aggregator's configuration, its logs, its keys, and what one process makes of them."""

import json
import logging
import os
import sqlite3
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from secagg.dap.aggregator.directory import SETTLED, Directory
from secagg.dap.aggregator.key_rotation import import_key, new_key, retire_key
from secagg.dap.aggregator.leader import Leader
from secagg.dap.aggregator.opt_in import Quota
from secagg.dap.hpke import PrivateKey, seal
from secagg.dap.messages import HpkeConfig, Role
from secagg.dap.server.config import SECRET_VARIABLE, Config, tables, template
from secagg.dap.server.limits import Limits
from secagg.dap.server.process import Process
from secagg.dap.store import engine
from secagg.dap.store.engine import Store
from secagg.dap.store.keys import list_keys
from secagg.dap.store.vault import Vault
from secagg.dap.task_policy import TaskPolicy
from secagg.dp import ApproxDp, ZCdp
from secagg.errors import LocalProtocolError, SecAggError
from secagg.http import logs
from secagg.http.addresses import split_address
from secagg.settings import ConfigError

from ...support.processes import ran

BOTH = pytest.mark.parametrize("role", [Role.LEADER, Role.HELPER])
MINIMAL = 'role = "leader"\n[store]\ndatabase = "sqlite:///a.db"\nsecret_file = "a.secret"\n'
SECRET = bytes(range(32))


@pytest.fixture(autouse=True)
def no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)


def write(folder: Path, content: str = MINIMAL, *, secret: bytes = SECRET) -> Path:
    path, file = folder / "a.toml", folder / "a.secret"
    path.write_text(content)
    file.unlink(missing_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
    file.write_text(secret.hex())
    return path


def with_line(table: str, line: str) -> str:
    """MINIMAL with one more line in a table."""
    if table == "store":
        return MINIMAL + line + "\n"
    return f"{MINIMAL}[{table}]\n{line}\n"


def made(folder: Path, content: str = MINIMAL) -> Config:
    """A configuration whose store exists and has a key."""
    config = Config.load(write(folder, content))
    store = config.open_store(create=True)
    new_key(store, 0.0, config.keys.cache)
    store.close()
    return config


# --- the file ---------------------------------------------------------------------------------------------------


@BOTH
def test_the_template_states_every_key_and_its_default(role: Role, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(template(role, {"store": {"database": "sqlite:///a.db"}}))
    config = Config.load(path)
    assert config.role is role
    for name, kind in tables(role).items():
        expected = kind(database="sqlite:///a.db") if name == "store" else kind()
        assert getattr(config, name) == expected
        for key in kind.__dataclass_fields__:
            assert f"\n{key} = " in path.read_text() or f"\n# {key} = " in path.read_text()


def test_what_the_file_says_is_what_is_used(tmp_path: Path) -> None:
    tables = (
        "[limits]\nupload_bytes = 4096\nwaiting_reports = 7\n[jobs]\njob_size = 9\nbackoff = 2.5\n[keys]\ncache = 60\n"
    )
    config = Config.load(write(tmp_path, MINIMAL + tables))
    assert config.app_limits() == Limits(upload_bytes=4096, waiting_reports=7, key_cache=60)
    assert (config.settings().job_size, config.settings().backoff) == (9, 2.5)
    patient = Config.load(write(tmp_path, MINIMAL + "[helper]\ntimeout = 600\n"))
    assert patient.settings().lease == 1200  # or others would begin anew what one still waits for
    assert config.sqlite_file == tmp_path / "a.db"
    assert config.url == f"sqlite:///{tmp_path}/a.db"


@pytest.mark.parametrize(
    ("content", "reason"),
    [("", 'role must be "leader" or "helper"'),
     ('role = "collector"', 'role must be "leader" or "helper"'),
     ("role = ", "is not TOML"),
     (MINIMAL + "[servers]\n", "a leader has no [servers]: tables are server, store, helper"),
     (MINIMAL.replace("leader", "helper") + "[helper]\n", "a helper has no [helper]"),
     (MINIMAL.replace("leader", "helper") + "[jobs]\njob_size = 3\n", "[jobs] has no key job_size: its keys are later"),
     ('role = "leader"\nserver = 3\n', "server must be a table: write [server] before its keys"),
     ('role = "leader"\n', "[store] database is missing"),
     (with_line("server", "port = 80"), "[server] has no key port: its keys are listen, processes"),
     (with_line("server", 'listen = "8080"'), '[server] listen must be an address such as "127.0.0.1:8080"'),
     (with_line("server", 'listen = "a:99999"'), "[server] listen must be an address"),
     (with_line("server", "processes = 0"), "[server] processes must be a whole number from 1 to 256, got 0"),
     (with_line("server", "processes = true"), "[server] processes must be a whole number"),
     (with_line("server", 'certificate = "a.crt"'), "[server] needs both certificate and private_key, or neither"),
     (with_line("helper", "timeout = 0"), "[helper] timeout must be seconds"),
     (with_line("log", 'level = "loud"'), "[log] level must be one of debug, info, warning, error"),
     (with_line("limits", "upload_bytes = 1.5"), "[limits] upload_bytes must be a whole number"),
     (with_line("workers", "threads = -1"), "[workers] threads must be a whole number from 0"),
     (MINIMAL.replace("sqlite:///a.db", "a.db"), '[store] database must be a URL such as "sqlite:///a.db"'),
     (MINIMAL.replace("sqlite:///a.db", "sqlite://"), "[store] database must name a file"),
     (MINIMAL.replace("sqlite:///a.db", "mysql://h/d"), "[store] database must be SQLite or PostgreSQL, not mysql"),
     (MINIMAL.replace("sqlite:///a.db", "postgresql+psycopg://u:hunter2@h/d"), "must not hold a password"),
     (MINIMAL.replace("sqlite:///a.db", "postgresql+psycopg://u@h/d?password=hunter2"), "must not hold a password"),
     (with_line("helper", 'proxy = "http://u:hunter2@proxy:3128"'), "must not hold a password"),
     (with_line("taskprov", "opt_in = true"), "needs epsilon, with delta or without, or rho; or exact = true"),
     (with_line("taskprov", 'opt_in = true\nepsilon = "1"'), "[taskprov] needs total_epsilon, with total_delta or"),
     (with_line("taskprov", 'opt_in = true\nepsilon = "1"\nrho = "1"'), "[taskprov] needs epsilon, with delta"),
     (with_line("taskprov", 'opt_in = true\nrho = "1"\ndelta = "1e-9"'), "[taskprov] needs epsilon, with delta"),
     (with_line("taskprov", 'opt_in = true\nepsilon = "-1"'), "[taskprov] epsilon must be positive"),
     (with_line("taskprov", 'opt_in = true\nexact = true\ntotal_rho = "1"'), "exact = true takes no budget"),
     (with_line("taskprov", 'opt_in = true\nexact = true\nvdafs = "Count, Mean"'), "[taskprov] vdafs must be names of"),
     (with_line("taskprov", "honest = 3"), "[taskprov] honest must be a whole number from 1 to 2"),
     (with_line("taskprov", "peers = 3"), "[taskprov] has no key peers")],
)  # fmt: skip
def test_refused_with_a_reason(content: str, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigError) as error:
        Config.load(path)
    assert reason in str(error.value)
    assert str(path) in str(error.value)
    assert "hunter2" not in str(error.value)


PRIVATE = """[taskprov]
opt_in = true
vdafs = "Count,  Histogram"
epsilon = "0.5"
delta = "1e-9"
total_rho = "2"
min_batch_size = 7
report_bytes = 9000
time_precision = 60
lifetime = 3
honest = 2
collections = 11
tasks = 5
tasks_a_day = 4
"""


@BOTH
def test_what_an_aggregator_asks_of_advertised_tasks(role: Role, tmp_path: Path) -> None:
    content = MINIMAL.replace("leader", role.name.lower()) + PRIVATE
    config = made(tmp_path, content)
    expected = TaskPolicy(
        vdafs=frozenset({"Count", "Histogram"}),
        min_batch_size=7,
        report_bytes=9000,
        time_precision=60,
        lifetime=3 * 86_400,
        budget=ApproxDp("0.5", "1e-9"),
        total=ZCdp(2),
        honest=2,
        collections=11,
    )
    process = Process(config)
    decides = process.context.opt_in
    assert decides is not None
    assert (decides._role, decides._policy, decides._quota) == (role, expected, Quota(tasks=5, a_day=4))
    process.close()
    small = Config.load(write(tmp_path, content + "[limits]\nupload_bytes = 5000\n"))
    assert small.taskprov.policy("", small.limits.upload_bytes).report_bytes == 5000


def test_advertised_tasks_are_not_taken_unless_the_operator_says_so(tmp_path: Path) -> None:
    process = Process(made(tmp_path))
    assert process.context.opt_in is None
    process.close()
    exact = Config.load(write(tmp_path, with_line("taskprov", "opt_in = true\nexact = true")))
    policy = exact.taskprov.policy("", 1 << 20)
    assert (policy.budget, policy.total, policy.min_batch_size, policy.time_precision) == (None, None, 100, 3600)


def test_addresses() -> None:
    assert split_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert split_address("[::1]:0") == ("::1", 0)


# --- the secret -------------------------------------------------------------------------------------------------


def test_the_secret_is_in_a_file_or_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config.load(write(tmp_path))
    assert config.vault() == Vault(SECRET)
    monkeypatch.setenv(SECRET_VARIABLE, SECRET.hex())
    with pytest.raises(ConfigError, match="two secrets"):
        config.vault()
    config = Config.load(write(tmp_path, MINIMAL.replace('secret_file = "a.secret"', "")))
    assert config.vault() == Vault(SECRET)
    monkeypatch.delenv(SECRET_VARIABLE)
    with pytest.raises(ConfigError, match="no secret"):
        config.vault()


def test_no_secret_is_shown(tmp_path: Path) -> None:
    config = made(tmp_path)
    process = Process(config)
    for value in (config, config.vault(), process, process.store, process.aggregator):
        assert SECRET.hex() not in repr(value)
        assert repr(SECRET) not in repr(value)
    process.close()


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    config = Config.load(write(tmp_path))
    (tmp_path / "a.secret").chmod(0o640)
    with pytest.raises(LocalProtocolError, match=r"others may read .*: chmod 600"):
        config.vault()


def test_a_store_opens_under_its_own_secret_only(tmp_path: Path) -> None:
    made(tmp_path)
    with pytest.raises(LocalProtocolError, match="written under another secret"):
        Process(Config.load(write(tmp_path, secret=bytes(32))))


def test_a_store_has_to_be_made_first_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    config = Config.load(write(tmp_path))
    with pytest.raises(ConfigError, match=r"there is no store .*: make it with `secagg dap store upgrade"):
        config.open_store()
    store = config.open_store(create=True)
    with store.write() as tx:
        tx.execute(text("CREATE TABLE something (x INTEGER)"))
        files = [path for path in tmp_path.iterdir() if path.name.startswith("a.db")]
        assert len(files) == 3
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    store.close()


TAKE_LOCK = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
"""


def test_a_store_that_another_thread_makes_meanwhile_keeps_its_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POSIX: a process that closes a file loses its locks on it, whichever descriptor has them."""
    config, store, real = Config.load(write(tmp_path)), tmp_path / "a.db", os.open
    faster: list[sqlite3.Connection] = []
    taken: list[bytes] = []

    def late(path: Any, flags: int, *mode: int, **others: Any) -> int:
        if Path(path) == store and not faster:
            faster.append(sqlite3.connect(store, isolation_level=None))
            faster[0].execute("CREATE TABLE something (x INTEGER)")
            faster[0].execute("BEGIN IMMEDIATE")
        return real(path, flags, *mode, **others)

    def pause(seconds: float) -> None:
        taken.append(ran(sys.executable, "-c", TAKE_LOCK, store).stderr)
        faster[0].execute("ROLLBACK")

    monkeypatch.setattr(os, "open", late)
    monkeypatch.setattr(engine, "sleep", pause)
    config.open_store(create=True).close()
    faster[0].close()
    assert [error.splitlines()[-1] for error in taken] == [b"sqlite3.OperationalError: database is locked"]


# --- a process --------------------------------------------------------------------------------------------------


def test_a_process_is_what_its_configuration_says(tmp_path: Path) -> None:
    process = Process(made(tmp_path, with_line("keys", "cache = 77")))
    assert isinstance(process.aggregator, Leader)
    assert process.context.limits.key_cache == 77
    assert not process.context.helper_later
    process.refresh()
    assert b"secagg_dap_queue_depth 0.0" in process.metrics.text()
    process.close()


def test_a_helper_may_answer_later(tmp_path: Path) -> None:
    process = Process(made(tmp_path, MINIMAL.replace("leader", "helper") + "[jobs]\nlater = true\n"))
    assert process.context.helper_later
    process.close()


@pytest.mark.parametrize("line", ['ca = "nowhere.pem"', 'ca = "a.secret"'])
def test_a_ca_that_is_none(line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[helper\] ca cannot be used"):
        Process(made(tmp_path, with_line("helper", line)))


def test_a_proxy_that_is_none(tmp_path: Path) -> None:
    for url in ("gopher://x", "http://b\u00fccher..example:3128", "proxy:3128"):
        with pytest.raises(ConfigError, match=r"\[helper\] proxy must be the URL of a server: "):
            made(tmp_path, with_line("helper", f'proxy = "{url}"'))
    Process(made(tmp_path, with_line("helper", 'proxy = "http://b\u00fccher.example:3128"'))).close()


def test_without_a_key_it_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = Config.load(write(tmp_path))
    config.open_store(create=True).close()
    Process(config).close()
    assert "no HPKE key is advertised: make one with `secagg dap key new" in caplog.text


# --- keys -------------------------------------------------------------------------------------------------------

CACHE = 100.0


class Rotation:
    """Keys of one store, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.store = Store(f"sqlite:///{folder}/a.db", Vault(SECRET))

    def new(self, **options: Any) -> int:
        return new_key(self.store, self.now, CACHE, **options).config.id

    def end(self, number: int, **options: Any) -> None:
        retire_key(self.store, number, self.now, CACHE, **options)

    def at(self, now: float) -> tuple[list[int], set[int], set[int]]:
        """Numbers of the keys that are advertised, accepted and that can open."""
        directory = Directory(self.store, lambda: now)
        numbers = [config.id for config in directory.advertised().configs]
        return numbers, directory.accepted(), set(directory.private_keys())


@pytest.fixture
def rotation(tmp_path: Path) -> Any:
    made = Rotation(tmp_path)
    yield made
    made.store.close()


def test_a_new_key_comes_first_and_the_old_one_stays_for_twice_the_cache(rotation: Rotation) -> None:
    assert rotation.new() == 0
    assert rotation.at(1000) == ([0], {0}, {0})  # it is the only one
    rotation.now = 2000.0
    assert rotation.new() == 1
    settled = 2000 + SETTLED
    assert rotation.at(settled - 1) == ([0], {0, 1}, {0, 1})  # not every process has the new one yet
    assert rotation.at(settled) == ([1], {0, 1}, {0, 1})
    assert rotation.at(settled + 2 * CACHE - 1)[1] == {0, 1}
    assert rotation.at(settled + 2 * CACHE) == ([1], {1}, {0, 1})  # what was accepted in time still opens


def test_a_key_with_a_lifetime_ends_by_itself(rotation: Rotation) -> None:
    rotation.new(lifetime=500.0)
    assert rotation.at(1499) == ([0], {0}, {0})
    assert rotation.at(1500) == ([], {0}, {0})
    assert rotation.at(1500 + 2 * CACHE) == ([], set(), {0})


def test_a_rotation_never_lengthens_a_life(rotation: Rotation) -> None:
    rotation.new(lifetime=5.0)
    rotation.new()
    assert rotation.at(1005 + 2 * CACHE)[1] == {1}


def test_a_stolen_key_ends_at_once(rotation: Rotation) -> None:
    rotation.new()
    rotation.new()
    rotation.end(0, at_once=True)
    assert rotation.at(1000) == ([1], {1}, {0, 1})


def test_the_last_key_cannot_end(rotation: Rotation) -> None:
    number = rotation.new()
    with pytest.raises(LocalProtocolError, match="make a new one first"):
        rotation.end(number)
    with pytest.raises(LocalProtocolError, match="there is no HPKE key with number 9"):
        rotation.end(9)


def test_numbers_go_round_and_run_out(rotation: Rotation) -> None:
    for expected in range(256):
        assert rotation.new() == expected
        rotation.now += 1
    with pytest.raises(LocalProtocolError, match="256 HPKE keys are in the store already"):
        rotation.new()
    with rotation.store.read() as tx:
        assert len(list_keys(tx)) == 256


def test_a_key_of_another_server_comes_with_its_number(rotation: Rotation) -> None:
    rotation.new()
    elsewhere = PrivateKey.generate()
    rotation.now = 2000.0
    config = HpkeConfig(200, 0x20, 1, 1, elsewhere.public_bytes)
    assert import_key(rotation.store, config, elsewhere, rotation.now, CACHE).config == config
    settled = 2000 + SETTLED
    assert rotation.at(settled) == ([200], {0, 200}, {0, 200})
    assert rotation.at(settled + 2 * CACHE)[1] == {200}
    directory = Directory(rotation.store, lambda: settled)
    sealed = seal(config.public_key, b"info", b"aad", b"a report")
    assert directory.private_keys()[200].open(sealed[0], b"info", b"aad", sealed[1]) == b"a report"
    rotation.now += 1
    assert rotation.new() == 201


def test_keys_that_cannot_be_imported(rotation: Rotation) -> None:
    key, other = PrivateKey.generate(), PrivateKey.generate()
    rotation.new()
    for config, reason in (
        (HpkeConfig(0, 0x20, 1, 1, key.public_bytes), "there is an HPKE key with number 0 already"),
        (HpkeConfig(7, 0x20, 1, 1, other.public_bytes), "does not belong to its key"),
        (HpkeConfig(7, 0x10, 1, 1, key.public_bytes), "is not supported"),
    ):
        with pytest.raises(SecAggError, match=reason):
            import_key(rotation.store, config, key, rotation.now, CACHE)
    assert rotation.at(1000) == ([0], {0}, {0})


# --- logs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged() -> Any:
    """`configure` with its output, undone afterwards."""
    root, stream = logging.getLogger(), StringIO()
    names = ["", "uvicorn", "uvicorn.access", "httpx", "httpcore", "sqlalchemy", "asyncio"]
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in names}

    def configure(level: str, form: str) -> StringIO:
        logs.configure(level, form, "leader", stream, quiet=["sqlalchemy"])
        return stream

    yield configure
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_a_json_line_is_an_object(logged: Any) -> None:
    stream = logged("info", "json")
    try:
        raise ValueError("what went\nwrong")
    except ValueError:
        logging.getLogger("secagg.dap.x").exception("failed %s\nfake", 3)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    entry = json.loads(lines[0])
    assert (entry["level"], entry["logger"], entry["role"]) == ("error", "secagg.dap.x", "leader")
    assert (entry["message"], entry["process"]) == ("failed 3\nfake", os.getpid())
    assert "ValueError: what went" in entry["exception"]
    assert entry["time"].endswith("Z")


def test_a_text_line_is_one_line(logged: Any) -> None:
    stream = logged("warning", "text")
    logging.getLogger("secagg.dap.x").warning("from a peer: %s", "a\r\nWARNING b\x1b[2J")
    logging.getLogger("secagg.dap.x").info("not this")
    lines = stream.getvalue().split("\n")
    assert len(lines) == 2
    assert "WARNING secagg.dap.x: from a peer: a  WARNING b" in lines[0]
    assert "\x1b" not in lines[0]


def test_nothing_that_names_clients_or_headers_is_logged(logged: Any) -> None:
    stream = logged("debug", "text")
    logging.getLogger("uvicorn.access").info('127.0.0.1:5 - "POST /tasks HTTP/1.1" 200')
    logging.getLogger("uvicorn.error").debug("127.0.0.1:5 - connection made")
    logging.getLogger("httpcore.http11").debug("send_request_headers authorization: Bearer x")
    logging.getLogger("httpx").info("HTTP Request: POST https://helper")
    logging.getLogger("sqlalchemy.engine").info("[generated] (b'row',)")
    assert stream.getvalue() == ""


def test_a_database_error_shows_no_rows(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/a.db", Vault(SECRET))
    row = {"id": 1, "value": b"hunter2"}
    statement = text("INSERT INTO hpke_keys VALUES (:id, :value, :value, 0, 0, 0)")
    with store.write() as tx:
        tx.execute(statement, row)
    with pytest.raises(IntegrityError) as error, store.write() as tx:
        tx.execute(statement, row)
    assert "hunter2" not in str(error.value)
    store.close()
