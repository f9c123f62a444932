"""The pages of the demo models say what the models say now."""

from scripts.demo_pages import PAGES, pages


def test_the_pages_are_made_of_the_models_as_they_are() -> None:
    made = dict(pages())
    assert len(made) == 7
    kept = {page.name: page.read_text(encoding="utf-8") for page in PAGES.glob("*.md")}
    assert kept == made, "run scripts/demo_pages.py"


def test_every_page_has_its_moving_picture() -> None:
    for name in pages_with_a_model():
        assert (PAGES / f"{name}.webm").resolve().is_file()


def pages_with_a_model() -> list[str]:
    return [page.stem for page in PAGES.glob("*.md") if page.stem != "index"]
