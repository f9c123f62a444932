from collections.abc import Callable
from typing import Any

import pytest

from livereactor.client.options import ClientOptions, check_attempts, check_connect, options_of

NAMES = ("API_KEY", "JWT", "API_URL", "LOCAL", "LOCAL_URL", "MODEL")
Make = Callable[..., ClientOptions]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"REACTOR_{name}", raising=False)
        monkeypatch.delenv(f"LIVEREACTOR_{name}", raising=False)


def made(model: Any = "pond", **given: Any) -> ClientOptions:
    return options_of(model, given.pop("api_key", None), **given)


@pytest.mark.parametrize("name", ["pond", "lake/pond", "pond@3", "lake/pond@3"])
def test_a_name_of_a_model_is_sent_as_it_is(name: str) -> None:
    assert made(name).model == name


@pytest.mark.parametrize("name", ["", "  ", 3, None, b"pond"])
def test_what_is_no_name_of_a_model_is_refused_at_once(name: object) -> None:
    with pytest.raises(ValueError, match="model_name"):
        made(name)


def test_without_an_address_it_is_the_public_coordinators() -> None:
    assert (made().url, made().local) == ("https://api.reactor.inc", False)


def test_local_is_a_runtime_on_this_machine_and_takes_no_notice_of_the_api_url() -> None:
    options = made(local=True, api_url="https://example.org")
    assert (options.url, options.local) == ("http://localhost:8080", True)


def test_a_local_runtime_elsewhere_is_named() -> None:
    assert made(local="http://10.0.0.7:9000/").url == "http://10.0.0.7:9000"


@pytest.mark.parametrize("url", ["ftp://example.org", "example.org", "https://", "http://host:port"])
def test_another_scheme_or_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        made(api_url=url)


@pytest.mark.parametrize("given", [{"local": 9000}, {"api_url": 9000}, {"api_key": b"rk_1"}])
def test_what_is_no_text_is_refused_at_once(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(given))):
        made(**given)


def test_a_trailing_slash_is_ignored() -> None:
    assert made(api_url="https://example.org/").url == "https://example.org"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"jwt": 3}, TypeError),
        ({"session_args": [1]}, TypeError),
        ({"session_args": {"x": float("nan")}}, ValueError),
        ({"session_args": {"x": object()}}, ValueError),
        ({"connect_timeout": 0}, ValueError),
        ({"connect_timeout": float("inf")}, ValueError),
        ({"connect_timeout": "5"}, TypeError),
        ({"max_session_duration": -1}, ValueError),
        ({"generation": "fast"}, ValueError),
    ],
)
def test_arguments_that_cannot_be_are_refused_at_once(given: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        made(**given)


def test_what_is_absent_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REACTOR_MODEL", "pond")
    monkeypatch.setenv("REACTOR_API_KEY", "rk_1")
    monkeypatch.setenv("REACTOR_API_URL", "https://example.org")
    options = made(None)
    assert (options.model, options.api_key, options.url) == ("pond", "rk_1", "https://example.org")


def test_our_own_variables_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REACTOR_JWT", "theirs")
    monkeypatch.setenv("LIVEREACTOR_JWT", "ours")
    assert made().jwt == "ours"


def test_what_the_program_says_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REACTOR_API_KEY", "rk_1")
    monkeypatch.setenv("REACTOR_JWT", "from outside")
    options = made(api_key="rk_2")
    assert (options.api_key, options.jwt) == ("rk_2", None)


def test_local_by_the_environment_gives_way_to_an_address_in_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REACTOR_LOCAL", "1")
    monkeypatch.setenv("LIVEREACTOR_LOCAL_URL", "http://localhost:9000")
    assert (made().url, made().local) == ("http://localhost:9000", True)
    assert not made(api_url="https://example.org").local


def test_a_local_client_carries_no_credentials_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REACTOR_API_KEY", "rk_1")
    assert made(local=True).api_key is None


def test_keys_and_tokens_are_in_no_repr() -> None:
    assert "secret" not in repr(made(api_key="rk_secret", jwt="secret"))


@pytest.mark.parametrize("number", [1000, 10_000, 0, -1])
def test_numbers_of_connections_are_four_digits(number: int) -> None:
    with pytest.raises(ValueError, match="1001 to 9999"):
        check_connect("ses_1", number, 6)


def test_a_connection_is_one_of_a_session() -> None:
    with pytest.raises(ValueError, match="session_id"):
        check_connect(None, 1001, 6)
    check_connect("ses_1", 1001, 6)


@pytest.mark.parametrize(("attempts", "error"), [(0, ValueError), (True, TypeError), (1.5, TypeError)])
def test_attempts_are_a_whole_number_from_1_on(attempts: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_attempts(attempts)
