from pathlib import Path

import pytest

from livereactor.base.errors import UsageError
from livereactor.cli.commands.new import Template, class_name, new
from livereactor.runtime.execution.loading import load_model
from livereactor.testing import Stage


@pytest.mark.parametrize("template", list(Template))
def test_every_template_makes_a_model_whose_first_step_gives_a_picture(tmp_path: Path, template: Template) -> None:
    folder = tmp_path / "my-first"
    new(str(folder), template)
    model = load_model(str(folder))
    assert model.__name__ == "MyFirst"
    assert len((folder / "model.py").read_text().splitlines()) <= 60
    with Stage(model) as stage:
        stage.open()
        frames = stage.step().frames.get("main_video", [])
    assert (len(frames) >= 1) is (template is not Template.webcam)  # without a camera the webcam model waits


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        new(str(tmp_path))
    new(str(tmp_path), force=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(("text", "name"), [("hello", "Hello"), ("my-first model", "MyFirstModel"), ("x2", "X2")])
def test_a_folder_name_becomes_a_class_name(text: str, name: str) -> None:
    assert class_name(text) == name


@pytest.mark.parametrize("text", ["", "2fast", "---", "none"])
def test_what_cannot_name_a_class_is_refused(text: str) -> None:
    if text == "none":  # a keyword only with this capital
        text = "None"
    with pytest.raises(UsageError, match="cannot name a model"):
        class_name(text)
