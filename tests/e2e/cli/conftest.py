"""The browser of the page's tests, for these too."""

from tests.e2e.page.conftest import browser as browser
