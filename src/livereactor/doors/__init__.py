"""Former name of `livereactor.integrations`, kept so that programs written for it go on: its modules are found there."""

from __future__ import annotations

from livereactor import integrations

__path__ = integrations.__path__
