"""Settings: command line over environment over `livereactor.toml` over default; each value knows where it came from."""

from livereactor.settings.resolving import Resolved, effective, is_secret, resolve, variable
from livereactor.settings.sections import SECTIONS, Settings

__all__ = ["SECTIONS", "Resolved", "Settings", "effective", "is_secret", "resolve", "variable"]
