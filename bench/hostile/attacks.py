"""All attacks, by name."""

from __future__ import annotations

from collections.abc import Mapping

from bench.hostile import http, media, messages, sessions
from bench.hostile.attack import Attack

MODULES = (http, media, messages, sessions)
ATTACKS: Mapping[str, Attack] = {attack.name: attack for module in MODULES for attack in module.ATTACKS}
