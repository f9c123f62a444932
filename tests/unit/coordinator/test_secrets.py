"""The master secret and the keys made of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from livereactor.base.errors import ConfigError
from livereactor.coordinator.auth.secrets import FILE_NAME, Secrets, given_secrets, kept_secrets

NEW, OLD = "n" * 40, "o" * 40


def test_a_data_folder_gets_a_secret_that_only_its_owner_reads(tmp_path: Path) -> None:
    made = kept_secrets(tmp_path / "data")
    assert stat.S_IMODE((tmp_path / "data" / FILE_NAME).stat().st_mode) == 0o600
    assert len(made.masters) == 1
    assert len(made.masters[0]) >= 32


def test_the_secret_is_made_once(tmp_path: Path) -> None:
    assert kept_secrets(tmp_path) == kept_secrets(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_reach_is_refused_with_what_to_say(tmp_path: Path, mode: int) -> None:
    kept_secrets(tmp_path)
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(ConfigError, match=r"can be read by others \(mode 06..\); run `chmod 600"):
        kept_secrets(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"secrets": []}', '{"secrets": ["short"]}', '{"secrets": [7]}', "\0"]
)
def test_a_file_without_secrets_is_refused_and_its_text_is_not_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="holds no secrets") as refused:
        kept_secrets(tmp_path)
    assert "short" not in refused.value.message


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot create .*secrets\.json"):
        kept_secrets(tmp_path / "file" / "data")


def test_the_first_secret_signs_and_all_verify() -> None:
    rotated, before = given_secrets(f"{NEW},{OLD}"), given_secrets(OLD)
    assert next(iter(rotated.token_keys)) == next(iter(given_secrets(NEW).token_keys))
    assert set(before.token_keys.items()) < set(rotated.token_keys.items())


def test_a_worker_started_before_the_secret_changed_is_still_known() -> None:
    rotated, before = given_secrets(f"{NEW},{OLD}"), given_secrets(OLD)
    assert rotated.knows_worker(before.worker)
    assert rotated.knows_worker(rotated.worker)
    assert rotated.worker != before.worker
    assert not before.knows_worker(rotated.worker)
    assert not rotated.knows_worker("")


def test_what_an_operator_set_wins_over_what_is_derived() -> None:
    found = given_secrets(NEW, worker="between us two")
    assert found.worker == "between us two"
    assert found.knows_worker("between us two")


def test_keys_of_two_purposes_have_nothing_in_common() -> None:
    found = given_secrets(NEW)
    keys = {found.worker, *(each.hex() for each in found.blobs), *(each.hex() for each in found.token_keys.values())}
    assert len(keys) == 3
    assert [len(each) for each in found.blobs] == [32]


def test_a_short_secret_is_refused_without_being_told() -> None:
    with pytest.raises(ConfigError, match="fewer than 32 characters") as refused:
        given_secrets(f"{NEW},brief")
    assert "brief" not in refused.value.message


def test_no_secret_stands_in_a_repr() -> None:
    shown = repr(Secrets((NEW,), "the worker's"))
    assert NEW not in shown
    assert "the w" not in shown


def test_a_secret_file_can_be_rotated_by_hand(tmp_path: Path) -> None:
    before = kept_secrets(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_text(json.dumps({"secrets": [NEW, *before.masters]}))
    assert kept_secrets(tmp_path).masters == (NEW, *before.masters)
