"""The README's model runs, links lead somewhere, and the pages name every setting there is."""

import re

import numpy as np
import pytest

from livereactor.runtime.execution.loading import load_model
from livereactor.settings import SECTIONS
from livereactor.testing import Stage
from tests.tools.processes import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page) -> None:
    missing = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert missing == []


def test_the_model_in_the_readme_runs(tmp_path) -> None:
    text = re.search(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.S)
    assert text is not None
    assert len([line for line in text[1].splitlines() if line.strip()]) <= 15
    (tmp_path / "model.py").write_text(text[1], encoding="utf-8")
    with Stage(load_model(str(tmp_path))) as stage:
        first, second = (stage.step().frames["main_video"][0] for _ in range(2))
    assert not np.array_equal(first, second)


def test_every_setting_is_explained() -> None:
    page = (REPOSITORY / "docs/settings.md").read_text(encoding="utf-8")
    names = [name for section in SECTIONS.values() for name in section.model_fields]
    assert [name for name in names if f"`{name}`" not in page] == []
