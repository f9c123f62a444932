from pathlib import Path

import pytest
from typer.testing import CliRunner

from livereactor.base.errors import ConfigError
from livereactor.cli.main import app
from livereactor.settings import effective, resolve
from livereactor.wiring.runtime import runtime_options
from tests.integration.models import Plain


def settle(folder: Path, text: str = "", environ: dict[str, str] | None = None, **command_line: object):
    if text:
        (folder / "livereactor.toml").write_text(text)
    flat = {name.replace("__", "."): value for name, value in command_line.items()}
    return resolve(folder, command_line=flat, environ=environ or {})


def test_nothing_needs_a_file(tmp_path: Path) -> None:
    resolved = settle(tmp_path)
    assert resolved.settings.runtime.port == 8080
    assert resolved.path is None


def test_the_command_line_wins_over_environment_file_and_default(tmp_path: Path) -> None:
    text = "[runtime]\nport = 1\nmax_connections = 2\nhost = '127.0.0.2'\n"
    environ = {"LIVEREACTOR_RUNTIME__PORT": "3", "LIVEREACTOR_RUNTIME__MAX_CONNECTIONS": "5"}
    resolved = settle(tmp_path, text, environ, runtime__port=4)
    rows = {name: (value, origin) for name, value, origin in effective(resolved)}
    assert rows["runtime.port"] == (4, "command line, --port")
    assert rows["runtime.max_connections"] == (5, "environment LIVEREACTOR_RUNTIME__MAX_CONNECTIONS")
    assert rows["runtime.host"] == ("127.0.0.2", "livereactor.toml line 4")
    assert rows["runtime.engine"] == ("auto", "default")


def test_an_unknown_key_names_the_nearest_and_its_line(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"livereactor.toml line 2: no setting 'runtime.prot', did you mean 'runtime.port'"
    ):
        settle(tmp_path, "[runtime]\nprot = 1\n")


def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 1: no setting 'runtme', did you mean 'runtime'"):
        settle(tmp_path, "[runtme]\nport = 1\n")


def test_a_wrong_type_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"livereactor.toml line 3: runtime.port = 'many'"):
        settle(tmp_path, "[runtime]\nhost = 'x'\nport = 'many'\n")


def test_a_malformed_variable_is_named_with_its_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"environment LIVEREACTOR_RUNTIME__PORT: runtime.port = 'x'"):
        settle(tmp_path, environ={"LIVEREACTOR_RUNTIME__PORT": "x"})


def test_a_variable_of_an_unknown_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'runtime'"):
        settle(tmp_path, environ={"LIVEREACTOR_RUNTIM__PORT": "1"})


def test_names_of_the_official_runtime_are_fallbacks(tmp_path: Path) -> None:
    environ = {
        "STUN_SERVERS": "stun:a:1, stun:b:2",
        "TURN_SERVERS": "u;c;turn:t:3",
        "ICE_TRANSPORT_POLICY": "relay",
        "WEBRTC_PORT_RANGE": "5000:5010",
    }
    settings = settle(tmp_path, environ=environ).settings
    assert settings.turn.stun == ["stun:a:1", "stun:b:2"]
    assert settings.turn.turn == ["u;c;turn:t:3"]
    assert settings.turn.relay_only
    assert settings.runtime.media_ports() == (5000, 5010)


@pytest.mark.parametrize("value", ["5000", "0:10", "10:5", "1:70000", "a:b"])
def test_a_port_range_that_cannot_be_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"WEBRTC_PORT_RANGE: runtime.port_range"):
        settle(tmp_path, environ={"WEBRTC_PORT_RANGE": value})


def test_a_model_section_takes_any_key(tmp_path: Path) -> None:
    resolved = settle(tmp_path, "[model]\nsteps = 4\n[model.vae]\nscale = 2\n", model__steps="8")
    assert resolved.settings.model == {"steps": "8", "vae": {"scale": 2}}


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"livereactor.toml is not TOML: .*line 1"):
        settle(tmp_path, "[runtime\n")


def test_a_file_that_nests_without_end_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"livereactor.toml nests lists or tables too deeply"):
        settle(tmp_path, "a = " + "[" * 10_000)


def test_types_of_uploads_reach_the_runtime_and_what_is_no_type_is_refused(tmp_path: Path) -> None:
    resolved = settle(tmp_path, '[runtime]\nupload_types = ["image/*", "audio/wav"]\n')
    assert runtime_options(Plain, resolved).upload_types == ("image/*", "audio/wav")
    for wrong in ("png", "image/", "*/*", "Image/PNG", "a/b c"):
        with pytest.raises(ConfigError, match="is not a MIME type"):
            settle(tmp_path, environ={"LIVEREACTOR_RUNTIME__UPLOAD_TYPES": f'["{wrong}"]'})


@pytest.mark.parametrize("given", ["n" * 32, "n" * 32 + "," + "o" * 16, "n" * 20 + "," + "o" * 15])
def test_a_worker_secret_may_be_replaced_by_a_longer_one(tmp_path: Path, given: str) -> None:
    """An old one behind it may be short; a comma within one secret separates nothing."""
    settled = settle(tmp_path, f'[coordinator]\nworker_secret = "{given}"\n')
    assert settled.settings.coordinator.worker_secret == given


@pytest.mark.parametrize("given", ["w" * 31, "short," + "o" * 20, "n" * 31 + "," + "o" * 64])
def test_a_worker_secret_that_a_model_could_guess_is_refused_with_what_to_do(tmp_path: Path, given: str) -> None:
    with pytest.raises(
        ConfigError, match=r"worker_secret: .*fewer than 32.*openssl rand -hex 32.*in front of it"
    ) as no:
        settle(tmp_path, f'[coordinator]\nworker_secret = "{given}"\n')
    assert given not in no.value.message


SECRETS = {
    "runtime.key": "k" * 15,
    "coordinator.secret": "s" * 31,
    "coordinator.worker_secret": "w" * 31,
    "webhooks.secrets": "h" * 15,
    "turn.turn": "u;cred",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_malformed_secret_is_refused_without_being_told(tmp_path: Path, name: str) -> None:
    section, key = name.split(".")
    value = SECRETS[name]
    written = f'["{value}"]' if name in ("turn.turn", "webhooks.secrets") else f'"{value}"'
    with pytest.raises(ConfigError, match=rf"livereactor.toml line 2: {name}: ") as refused:
        settle(tmp_path, f"[{section}]\n{key} = {written}\n")
    assert value not in refused.value.message


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_config_shows_that_a_secret_is_set_and_not_what_it_is(tmp_path: Path, form: list[str]) -> None:
    text = "[runtime]\nkey = '{0}'\n[coordinator]\nsecret = '{0}'\n[store]\nurl = 'postgresql://u:{0}@h/d'\n"
    text += "[turn]\nsecret = '{0}'\nturn = ['u;{0};turn:t:1']\n"
    (tmp_path / "livereactor.toml").write_text(text.format("q" * 40))
    result = CliRunner().invoke(app, ["config", str(tmp_path), *form])
    assert result.exit_code == 0
    assert "q" * 40 not in result.output
    assert result.output.count("set, not shown") == 5


def test_one_variable_names_the_data_folder_for_every_command(tmp_path: Path) -> None:
    resolved = settle(tmp_path, environ={"LIVEREACTOR_DATA_DIR": "/srv/live"})
    rows = {name: (value, origin) for name, value, origin in effective(resolved)}
    assert rows["coordinator.data_dir"] == (Path("/srv/live"), "environment LIVEREACTOR_DATA_DIR")
    longer = {"LIVEREACTOR_DATA_DIR": "/srv/live", "LIVEREACTOR_COORDINATOR__DATA_DIR": "/srv/other"}
    assert settle(tmp_path, environ=longer).settings.coordinator.data_dir == Path("/srv/other")


def test_proxies_are_those_of_this_machine_or_addresses_and_networks(tmp_path: Path) -> None:
    settings = settle(tmp_path).settings
    assert settings.coordinator.proxies == settings.runtime.proxies == ["127.0.0.1", "::1"]
    settings = settle(tmp_path, '[coordinator]\nproxies = ["10.0.0.5", "fd00::/8"]\n').settings
    assert settings.coordinator.proxies == ["10.0.0.5", "fd00::/8"]
    for wrong in ("proxy.example", "10.0.0.0/33", "*"):
        with pytest.raises(ConfigError, match="is not an address or network"):
            settle(tmp_path, environ={"LIVEREACTOR_COORDINATOR__PROXIES": f'["{wrong}"]'})
