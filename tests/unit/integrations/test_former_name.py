"""`livereactor.doors`, the former name of `livereactor.integrations`, still works."""

from importlib import import_module


def test_modules_are_found_under_the_former_name() -> None:
    former = import_module("livereactor.doors.notebook")
    assert former is import_module("livereactor.integrations.notebook")
    assert former.ReactorWidget
