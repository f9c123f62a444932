"""How a coordinator serves, as its settings say."""

from __future__ import annotations

from typing import Any

import pytest

from livereactor.settings import Settings
from livereactor.wiring.coordinator import coordinator_options


@pytest.mark.parametrize(
    ("given", "guests", "from_anywhere"),
    [
        ({}, True, False),
        ({"host": "0.0.0.0"}, False, False),
        ({"public_url": "https://live.example"}, False, False),  # it is there for others
        ({"guests": False}, False, False),
        ({"guests": True, "public_url": "https://live.example"}, True, True),
    ],
)
def test_whoever_is_on_this_machine_is_a_guest_unless_it_serves_others(
    given: dict[str, Any], guests: bool, from_anywhere: bool
) -> None:
    options = coordinator_options(Settings.model_validate({"coordinator": given}))
    assert (options.guests, options.guests_from_anywhere) == (guests, from_anywhere)
