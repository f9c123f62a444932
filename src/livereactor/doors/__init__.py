"""Former name of `livereactor.integrations`: programs written for it find the modules here."""

from __future__ import annotations

from livereactor import integrations

__path__ = integrations.__path__
