"""What `livereactor replay` refuses before it looks for anything."""

import pytest
from typer.testing import CliRunner

from livereactor.base.errors import UsageError
from livereactor.cli.main import app


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--film", "pond.avi"], "--film pond.avi is not an MP4; choose a name that ends in .mp4"),
        (["--from", "5", "--to", "5"], "--to 5 is not after --from 5; choose a later --to"),
    ],
)
def test_options_that_cannot_be_are_refused_with_what_to_write(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(app, ["replay", "ses_1", *arguments])
    assert isinstance(result.exception, UsageError)
    assert sentence in result.exception.message
