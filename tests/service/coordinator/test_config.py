"""A coordinator's configuration: every key stands in the template, and what cannot be is refused by name."""

from pathlib import Path

import pytest

from secagg.http.bounds import Bounds
from secagg.http.tokens import read_token
from secagg.service.authentication import token_hash
from secagg.service.coordinator import Limits
from secagg.service.coordinator.config import TABLES, Config, template
from secagg.settings import ConfigError

TOKEN = "A" * 43


def written(folder: Path, content: str = "") -> Config:
    path = folder / "coordinator.toml"
    path.write_text(content)
    return Config.load(path)


def secret(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_template_states_every_key_and_its_default(tmp_path: Path) -> None:
    config, text = written(tmp_path, template({})), template({})
    for name, kind in TABLES.items():
        assert getattr(config, name) == kind()
        for key in kind.__dataclass_fields__:
            assert f"\n{key} = " in text or f"\n# {key} = " in text
    assert max(map(len, text.splitlines())) <= 120


def test_what_the_file_says_is_what_is_used(tmp_path: Path) -> None:
    config = written(tmp_path, "[limits]\nuploads = 7\nsessions = 8\npoll_seconds = 2.5\nconnections = 9\n")
    assert config.app_limits() == Limits(uploads=7, sessions=8, poll_seconds=2.5)
    assert config.bounds() == Bounds(connections=9, buffered_bytes=1 << 27)


@pytest.mark.parametrize(
    ("content", "reason"),
    [("server = 3", "server must be a table"),
     ("[servers]", "a coordinator has no [servers]: tables are server, state, limits, log"),
     ("[server]\nport = 3", "[server] has no key port"),
     ('[server]\nlisten = "8080"', "[server] listen must be an address"),
     ('[server]\ncertificate = "a.crt"', "needs both certificate and private_key, or neither"),
     ('[server]\nurl = "coordinator"', "[server] url must be the URL of a server"),
     ('[server]\nurl = "https://u:hunter2@host"', "must not hold a name or password"),
     ('[server]\nurl = "http://coordinator.example"', "[server] url must be https, or say allow_http = true"),
     ("[server]\nallow_http = 1", "[server] allow_http must be true or false"),
     ("[limits]\nthreads = 0", "[limits] threads must be a whole number from 1"),
     ("[limits]\nbuffered_bytes = 2048", "[limits] buffered_bytes must be at least request_bytes"),
     ('[log]\nlevel = "loud"', "[log] level must be one of"),
     ("[log", "is not TOML")],
)  # fmt: skip
def test_refused_with_a_reason(content: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        written(tmp_path, content)
    assert reason in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "127.1.2.3:1", "[::1]:0", "localhost:8080"])
def test_plain_http_is_for_this_machine(tmp_path: Path, address: str) -> None:
    written(tmp_path).check_listening(address)


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "[::]:443", "192.0.2.1:80", "coordinator.example:80", "1:80"])
def test_plain_http_for_others_is_asked_for_by_name(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="say allow_http = true"):
        written(tmp_path).check_listening(address)
    written(tmp_path, "[server]\nallow_http = true").check_listening(address)
    written(tmp_path, '[server]\ncertificate = "a.crt"\nprivate_key = "a.key"').check_listening(address)


def test_the_operators_token_is_a_secret(tmp_path: Path) -> None:
    config = written(tmp_path)
    secret(config.token_file, f"{TOKEN}\n")
    assert config.operator() == token_hash(TOKEN)
    config.token_file.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        config.operator()
    for text in ("", "short", "two words " * 3, "x" * 500):
        with pytest.raises(ConfigError, match="holds no token") as error:
            read_token(secret(config.token_file, text))
        assert text == "" or text not in str(error.value)
    config.token_file.write_bytes(b"\xff" * 40)
    with pytest.raises(ConfigError, match="holds no token"):
        config.operator()
    config.token_file.unlink()
    with pytest.raises(ConfigError, match="cannot read a token"):
        config.operator()


def test_participants_are_a_list_of_names_and_hashes(tmp_path: Path) -> None:
    config = written(tmp_path)
    assert config.participants() == {}
    listed = tmp_path / "participants.txt"
    listed.write_text(f"# who\nada {'00' * 32}\n\nbo the second\t{'01' * 32}  # a name of three words\n")
    assert config.participants() == {"ada": bytes(32), "bo the second": bytes([1] * 32)}
    listed.write_text(f'7 {"00" * 32}\n"7" {"01" * 32}\n18446744073709551615 {"02" * 32}\n')
    assert list(config.participants()) == [7, "7", (1 << 64) - 1]
    for bad in ("07", "18446744073709551616", '"7', '""', '"'):
        listed.write_text(f"{bad} {'00' * 32}")
        with pytest.raises(ConfigError, match=r"participants.txt, line 1: a (participant's number|name)"):
            config.participants()
    for bad in (f"ada {'0' * 63}", "ada", f"{'00' * 32}", f"ada {'00' * 32}\nada {'01' * 32}"):
        listed.write_text(bad)
        with pytest.raises(ConfigError, match=r"participants.txt, line [12]"):
            config.participants()
    assert written(tmp_path, '[state]\nparticipants = "other.txt"').participants() == {}
