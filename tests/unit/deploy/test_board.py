"""The Grafana board asks for nothing that `/metrics` does not have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from livereactor.coordinator.decider import Decider
from livereactor.coordinator.metrics import CoordinatorMetrics
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.runtime.session.metrics import Metrics as RuntimeMetrics
from livereactor.store.memory.store import MemoryStore
from tests.tools.figures import figures_of_outputs
from tests.unit.deploy.said import DEPLOY

BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text())
_VARIABLES = {"$__rate_interval": "1m", "$model": "pond"}
_NAME = re.compile(r"\blivereactor_\w+")


def queries() -> Iterator[tuple[str, str]]:
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


async def there() -> set[str]:
    """Names of all that is counted."""
    decider = Decider(MemoryStore(), WorkerSockets(), CoordinatorOptions(), lambda: 0)
    metrics = CoordinatorMetrics(decider)
    metrics.request("GET", "/health", 200)
    found = figures_of_outputs()
    for text in (await metrics.render(), RuntimeMetrics().render()):
        for family in text_string_to_metric_families(text.decode()):
            ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [])
            found |= {family.name, *(f"{family.name}{end}" for end in ends)}
    return found


@pytest.mark.parametrize(("title", "query"), list(queries()))
async def test_each_query_is_promql_over_what_is_counted(title: str, query: str) -> None:
    for name, value in _VARIABLES.items():
        query = query.replace(name, value)
    promql_parser.parse(query)
    names = set(_NAME.findall(query))
    assert names
    assert names <= (await there()), title


def test_panels_stand_beside_each_other_and_have_a_name() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert len({panel["title"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in BOARD["panels"]}
    assert len(places) == len(BOARD["panels"])


async def test_what_the_guide_says_of_figures_is_counted() -> None:
    guide = (DEPLOY.parent / "docs/operating.md").read_text()
    named = set(re.findall(r"`(livereactor_\w+)`", guide))
    assert named <= (await there())
