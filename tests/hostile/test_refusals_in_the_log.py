"""Refusals are in the log of `run` and `serve`, few lines for many of them, and the filter of the docs finds them."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hostile.visitors import PROGRAMS, dial, program, status
from tests.tools.processes import REPOSITORY, Program

PATH = {"run": "/session", "serve": "/sessions"}
WRONG = 25  # guesses: below what an address may make a minute
ADDRESS = r"(?P<address>[0-9a-fA-F:.]{2,45})"


@contextmanager
def logging(name: str, folder: Path, form: str) -> Iterator[Program]:
    settings = {"RUNTIME__KEY": "k" * 32} if name == "run" else {}
    with program(name, folder, RUNTIME__LOG_FORMAT=form, **settings) as found:
        yield found


def filters() -> list[str]:
    """The regular expressions of the filter in docs/security.md, as fail2ban reads them."""
    text = (REPOSITORY / "docs/security.md").read_text(encoding="utf-8")
    found = re.search(r"```ini\n(# /etc/fail2ban/filter\.d/.*?)```", text, re.DOTALL)
    assert found
    parser = configparser.RawConfigParser()
    parser.read_string(found[1])
    return [each.replace("<ADDR>", ADDRESS) for each in parser["Definition"]["failregex"].splitlines() if each]


def banned(log: str) -> set[str]:
    return {found["address"] for line in log.splitlines() for each in filters() if (found := re.search(each, line))}


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_guesses_are_few_lines_that_the_filter_finds(name: str, form: str, tmp_path: Path) -> None:
    with logging(name, tmp_path, form) as found:
        for address, key, times in (("192.0.2.7", "wrong", WRONG), ("192.0.2.8", "wrong", 2), ("192.0.2.9", "", WRONG)):
            for _ in range(times):
                assert ask(found, PATH[name], address, key) == 401
        told = [line for line in found.log().splitlines() if "request refused" in line]
        assert [sum(f"192.0.2.{n}" in line for line in told) for n in (7, 8, 9)] == [2, 1, 2]
        # Neither a typing error nor a page that is opened without a token is a guess.
        assert banned(found.log()) == ({"192.0.2.7"} if form == "json" else set())


def test_a_credential_that_expired_bans_nobody() -> None:
    line = '{"address": "192.0.2.7", "reason": "%s", "status": 401, "count": 10, "event": "request refused"'
    assert banned(line % "wrong_credentials") == {"192.0.2.7"}
    assert banned(line % "expired_credentials") == set()


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_line_can_be_forged(name: str, tmp_path: Path) -> None:
    line = '{"address": "192.0.2.1", "reason": "wrong_keys", "status": 429, "count": 99, "event": "request refused"'
    with logging(name, tmp_path, "json") as found:
        for _ in range(12):
            ask(found, "/%0a" + line.replace(" ", "%20").replace('"', "%22"), line, line)
        assert "192.0.2.1" not in banned(found.log())


def ask(found: Program, path: str, address: str, key: str) -> int:
    """Status of a GET that came from that address, says the proxy."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", f"X-Forwarded-For: {address}"]
    lines += [f"X-API-Key: {key}"] if key else []
    with dial(found) as end:
        end.sendall("\r\n".join([*lines, "", ""]).encode())
        return status(end)
