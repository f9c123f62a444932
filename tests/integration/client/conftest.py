"""What the tests of clients in this very process share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def network() -> bool:
    """The machine's own and no private one: Engines stay in the network in which their process made the first."""
    return False
