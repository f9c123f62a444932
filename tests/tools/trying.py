"""Bounds in time that are tested while other tests run beside."""

from __future__ import annotations

import pytest

# The test holds in one of three tries, each with clients of its own: neighbours spoil one now and then; what is wrong
# with us spoils every one. Anything else than a bound that was missed fails at once.
in_one_of_three = pytest.mark.flaky(reruns=2, only_rerun=["AssertionError"])
