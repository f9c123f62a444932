"""A coordinator's own Workers run under its settings, wherever their models lie and whatever lies beside those."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from livereactor.base.errors import ConfigError
from livereactor.coordinator.auth.secrets import Secrets
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, identified
from livereactor.pool.model_process import model_environment
from livereactor.pool.port import Needs
from livereactor.pool.ray.pool import RayPool
from livereactor.settings import Settings, resolve
from livereactor.store.memory.store import MemoryStore
from livereactor.wiring.catalogue import ListedModel
from livereactor.wiring.options import limits
from livereactor.wiring.workers import fleet_plan, make_pool, warn_of_reach

SECRETS = Secrets(("a master secret of the tests, of 32 characters or more",))
OPERATORS = """
[runtime]
max_session_duration = 7200
port_range = "40000:40100"
public_address = "203.0.113.5"
engine = "aiortc"
log_format = "json"
key = "of a stand-alone runtime"
upload_types = ["image/*"]

[coordinator]
drain_timeout = 300

[turn]
relay_only = true
turn = ["user;credential;turn:turn.example:3478"]
"""
AUTHORS = """
[runtime]
max_session_duration = 60
reconnection_window = 5
idle_timeout = 90

[coordinator]
drain_timeout = 1

[turn]
urls = ["turn:turn.example:3478"]

[model]
steps = 4
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a coordinator is started, with a model and its author's settings in a folder below."""
    (tmp_path / "livereactor.toml").write_text(OPERATORS)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "livereactor.toml").write_text(AUTHORS)
    monkeypatch.setenv("LIVEREACTOR_COORDINATOR__LEASE", "20")
    return tmp_path


def both(folder: Path, **command_line: object) -> tuple[Settings, Settings]:
    """The coordinator's settings, and its Worker's."""
    ours = resolve(folder, command_line={name.replace("__", "."): value for name, value in command_line.items()})
    plan = fleet_plan([ListedModel("pond", "v1", "models/pond.py", {})], ours, SECRETS, folder / "data")
    theirs = resolve(folder / "models", command_line={}, environ=model_environment(plan.environment))
    return ours.settings, theirs.settings


def test_a_worker_holds_sessions_to_its_coordinators_bounds(folder: Path) -> None:
    ours, theirs = both(folder)
    assert limits(theirs) == limits(ours)
    assert (theirs.runtime.max_session_duration, theirs.runtime.reconnection_window) == (7200, 30)


def test_a_worker_drains_as_long_as_its_coordinator_waits(folder: Path) -> None:
    assert both(folder)[1].coordinator.drain_timeout == 300
    assert both(folder, coordinator__drain_timeout=0)[1].coordinator.drain_timeout == 0


def test_a_worker_is_reached_as_the_operator_said(folder: Path) -> None:
    theirs = both(folder)[1]
    assert theirs.runtime.media_ports() == (40000, 40100)
    assert (theirs.runtime.public_address, theirs.runtime.engine) == ("203.0.113.5", "aiortc")
    assert (theirs.runtime.log_format, theirs.runtime.upload_types) == ("json", ["image/*"])
    assert theirs.turn.relay_only


def test_relays_and_their_secrets_come_with_sessions_and_not_with_settings(folder: Path) -> None:
    theirs = both(folder)[1]
    assert (theirs.turn.turn, theirs.turn.urls) == ([], [])
    assert theirs.runtime.key is None


def test_what_the_operator_left_open_is_the_authors_to_say(folder: Path) -> None:
    theirs = both(folder)[1]
    assert theirs.runtime.idle_timeout == 90
    assert theirs.model == {"steps": 4}


def test_a_plan_names_each_models_target_and_a_credential_for_each_worker(folder: Path) -> None:
    resolved = resolve(folder, command_line={"pool.idle_stop": 7.0})
    plan = fleet_plan([ListedModel("pond", "v1", "models/pond.py", {})], resolved, SECRETS, folder / "data")
    assert (plan.targets, plan.idle_stop) == ({"pond": "models/pond.py"}, 7.0)
    assert SECRETS.worker not in plan.environment.values()
    assert plan.credential is not None
    identity = identified(plan.credential("wrk_1", "pond"), SECRETS.worker_ring, now_at=0)
    assert identity == WorkerIdentity("wrk_1", "pond")
    assert plan.environment["LIVEREACTOR_WORKER_CONFINED"] == str(folder / "data")
    assert "LIVEREACTOR_WORKER_BLOBS" not in plan.environment


def test_models_that_are_trusted_reach_the_blobs_themselves(folder: Path) -> None:
    resolved = resolve(folder, command_line={"pool.isolation": "off"})
    plan = fleet_plan([ListedModel("pond", "v1", "models/pond.py", {})], resolved, SECRETS, folder / "data")
    assert plan.environment["LIVEREACTOR_WORKER_BLOBS"] == str(folder / "data" / "blobs")
    assert "LIVEREACTOR_WORKER_CONFINED" not in plan.environment


def test_a_model_in_the_data_folder_is_a_mistake(folder: Path) -> None:
    listed = [ListedModel("pond", "v1", str(folder / "data" / "pond.py") + ":Pond", {})]
    with pytest.raises(ConfigError, match="may not see"):
        fleet_plan(listed, resolve(folder, command_line={}), SECRETS, folder / "data")


def hidden_with(folder: Path, url: str) -> list[str]:
    """Folders that workers are told to hide, with this database."""
    resolved = resolve(folder, command_line={"store.url": url})
    plan = fleet_plan([ListedModel("pond", "v1", "models/pond.py", {})], resolved, SECRETS, folder / "data")
    return plan.environment["LIVEREACTOR_WORKER_CONFINED"].split(":")


def test_the_folder_of_a_database_elsewhere_is_hidden(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    data, facts, disk = folder / "data", folder / "facts", folder / "disk"
    assert hidden_with(folder, f"sqlite:///{facts}/live.db") == [str(data), str(facts)]
    assert hidden_with(folder, "sqlite:///facts/live.db") == [str(data), str(facts)]
    assert hidden_with(folder, f"sqlite:///{data}/more/live.db") == [str(data)]
    assert hidden_with(folder, "postgresql://live@db.example/live") == [str(data)]
    facts.mkdir()
    disk.mkdir()
    (facts / "live.db").symlink_to(disk / "live.db")  # both can be written: the link, and the file
    assert hidden_with(folder, f"sqlite:///{facts}/live.db") == [str(data), str(facts), str(disk)]


@pytest.mark.parametrize("needed", ["model", "temporary files"])
def test_a_database_beside_what_models_need_is_a_mistake(
    folder: Path, monkeypatch: pytest.MonkeyPatch, needed: str
) -> None:
    place = folder / "facts" / "below"
    place.mkdir(parents=True)
    if needed == "temporary files":
        monkeypatch.setattr("tempfile.tempdir", str(place))
    listed = [ListedModel("pond", "v1", f"{place if needed == 'model' else folder}/pond.py:Pond", {})]
    resolved = resolve(folder, command_line={"store.url": f"sqlite:///{folder}/facts/live.db"})
    with pytest.raises(ConfigError, match=rf"below.* may not see \({folder}/facts\)"):
        fleet_plan(listed, resolved, SECRETS, folder / "data")


def test_a_buckets_keys_are_kept_from_models(folder: Path) -> None:
    resolved = resolve(folder, command_line={"blobs.url": "s3://bucket/live"})
    plan = fleet_plan([ListedModel("pond", "v1", "models/pond.py", {})], resolved, SECRETS, folder / "data")
    assert plan.environment["AWS_SECRET_ACCESS_KEY"] == ""


def test_a_worker_of_a_cluster_is_told_what_it_needs_and_no_folder_of_this_machine(folder: Path) -> None:
    with (folder / "livereactor.toml").open("a") as file:
        file.write('[pool]\nkind = "ray"\n[pool.needs.pond]\ngpus = 0.5\nresources = {a100 = 1}\n')
    resolved = resolve(folder, command_line={})
    plan = fleet_plan([ListedModel("pond", "v1", "models/pond.py", {})], resolved, SECRETS, folder / "data")
    assert plan.needs == {"pond": Needs(gpus=0.5, cpus=1, resources={"a100": 1})}
    assert "LIVEREACTOR_WORKER_BLOBS" not in plan.environment
    assert plan.environment["LIVEREACTOR_WORKER_CONFINED"] == ""
    assert plan.credential is not None
    identity = identified(plan.credential("wrk_1", "pond"), SECRETS.worker_ring, now_at=0)
    assert identity == WorkerIdentity("wrk_1", "pond")


def test_a_confined_process_is_not_given_the_token_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret of the cluster")
    assert "secret of the cluster" not in model_environment({"LIVEREACTOR_WORKER_CONFINED": ""}).values()
    assert "secret of the cluster" in model_environment().values()  # a model that is trusted may use the cluster


def test_models_on_a_cluster_are_said_to_reach_it(folder: Path) -> None:
    for kind, isolation, warnings in (("ray", "auto", 1), ("ray", "off", 0), ("subprocess", "auto", 0)):
        settings = resolve(folder, command_line={"pool.kind": kind, "pool.isolation": isolation}).settings
        with capture_logs() as said:
            warn_of_reach(settings)
        assert len(said) == warnings, (kind, isolation)


def test_needs_of_a_model_that_is_not_served_are_a_mistake(folder: Path) -> None:
    with (folder / "livereactor.toml").open("a") as file:
        file.write("[pool.needs.pnod]\ngpus = 1\n")
    resolved = resolve(folder, command_line={})
    with pytest.raises(ConfigError, match=r"pool\.needs\.pnod.*the models are pond"):
        fleet_plan([ListedModel("pond", "v1", "models/pond.py", {})], resolved, SECRETS, folder / "data")


async def test_the_pool_is_the_one_that_the_settings_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = resolve(folder, command_line={"pool.kind": "ray"})
    plan = fleet_plan([], resolved, SECRETS, folder / "data")
    assert isinstance(await make_pool(resolved.settings, plan, SECRETS, folder, MemoryStore()), RayPool)
    monkeypatch.setattr("livereactor.wiring.workers.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'livereactor\[ray\]'"):
        await make_pool(resolved.settings, plan, SECRETS, folder, MemoryStore())
    with pytest.raises(ConfigError, match=r"ray:// is not served"):
        resolve(folder, command_line={"pool.ray_address": "ray://10.0.0.5:10001"})


async def test_workers_on_a_cluster_are_found_again_whatever_becomes_of_the_secrets(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespaces: list[str] = []
    monkeypatch.setattr("livereactor.wiring.workers.RayPool", lambda _address, namespace: namespaces.append(namespace))
    settings = resolve(folder, command_line={"pool.kind": "ray"})
    plan = fleet_plan([], settings, SECRETS, folder / "data")
    old, new = SECRETS.masters[0], "another master secret of 32 characters or more"
    store = MemoryStore()
    for masters, workers in (((old,), None), ((new, old), None), ((new,), None), ((new,), "of workers alone")):
        await make_pool(settings.settings, plan, Secrets(masters, workers), folder, store)
    await make_pool(settings.settings, plan, Secrets((new,)), folder, MemoryStore())
    *ours, others = namespaces
    assert len(set(ours)) == 1, ours
    assert others not in ours
