"""What a confined process can still do, and what it cannot, on a kernel that has what confinement needs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from livereactor.pool.confinement import CONFINED
from livereactor.pool.model_process import MODULE
from tests.tools.serving import livereactor_serve

PROBE: Final = """
import ctypes, json, os, pathlib, platform, resource, signal, socket, subprocess, sys, threading
from livereactor.pool.confinement import confine
hidden, mounts, outside = pathlib.Path(sys.argv[1]), sys.argv[2] == "mounts", int(sys.argv[3])
os.chdir(hidden)  # where a service's working folder often is
kind = confine([hidden, hidden / "absent"], mounts=mounts).value
def tried(act):
    try:
        return bool(act())
    except OSError:
        return False
beside = pathlib.Path(sys.argv[4])
ioprio_set, sched_setattr = {"x86_64": (251, 314), "aarch64": (30, 274)}.get(platform.machine(), (-1, -1))
normal, own = os.sched_param(0), os.getpid()
def called(*arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(*(each if isinstance(each, bytes) else ctypes.c_long(each) for each in arguments)) == 0
def scheduling(pid):
    return called(sched_setattr, pid, (48).to_bytes(4, "little") + bytes(44), 0)  # struct sched_attr
ended = threading.Event()
other = threading.Thread(target=ended.wait)
other.start()
print(json.dumps({
    "kind": kind,
    "secret": tried(lambda: (hidden / "secrets.json").read_text()),
    "child": subprocess.run(["cat", str(hidden / "secrets.json")], capture_output=True).returncode == 0,
    "replaced": tried(lambda: (hidden / "secrets.json").write_text("mine") or True),
    "added": tried(lambda: (hidden / "new").write_text("mine") or True),
    "through_proc": tried(lambda: pathlib.Path(f"/proc/{outside}/root{hidden}/secrets.json").read_text()),
    "environment": tried(lambda: pathlib.Path(f"/proc/{outside}/environ").read_bytes()),
    "relative": tried(lambda: pathlib.Path("secrets.json").read_text()),
    "socket": tried(lambda: socket.socket(socket.AF_UNIX).connect(sys.argv[5].replace("@", chr(0))) or True),
    "limits": tried(lambda: resource.prlimit(outside, resource.RLIMIT_CPU, (0, 0)) or True),
    "core": resource.getrlimit(resource.RLIMIT_CORE) != (0, 0),
    "priority": tried(lambda: os.setpriority(os.PRIO_PROCESS, outside, 1) or True),
    "priority_of_group": tried(lambda: os.setpriority(os.PRIO_PGRP, 0, 0) or True),
    "priority_of_user": tried(lambda: os.setpriority(os.PRIO_USER, os.getuid(), 0) or True),
    "io_priority": tried(lambda: called(ioprio_set, 1, outside, 3 << 13)),
    "io_priority_of_user": tried(lambda: called(ioprio_set, 3, os.getuid(), 3 << 13)),
    "scheduler": tried(lambda: os.sched_setscheduler(outside, os.SCHED_OTHER, normal) or True),
    "scheduler_parameters": tried(lambda: os.sched_setparam(outside, normal) or True),
    "scheduling": tried(lambda: scheduling(outside)),
    "affinity_of_parent": tried(lambda: os.sched_setaffinity(os.getppid(), os.sched_getaffinity(os.getppid())) or True),
    "own_priority": all(tried(lambda: os.setpriority(os.PRIO_PROCESS, each, 0) or True) for each in (0, own)),
    "own_io_priority": all(tried(lambda: called(ioprio_set, 1, each, 2 << 13)) for each in (0, own)),
    "own_scheduler": all(
        tried(lambda: os.sched_setscheduler(each, os.SCHED_OTHER, normal) or True)
        and tried(lambda: os.sched_setparam(each, normal) or True)
        and tried(lambda: scheduling(each))
        for each in (0, own)
    ),
    "own_affinity": all(
        tried(lambda: os.sched_setaffinity(each, os.sched_getaffinity(each)) or True)
        for each in (0, own, other.native_id)
    ),
    "own_limits": all(
        tried(lambda: resource.prlimit(each, resource.RLIMIT_STACK, resource.getrlimit(resource.RLIMIT_STACK)))
        for each in (0, own)
    ),
    "killed": tried(lambda: os.kill(outside, signal.SIGTERM) or True),
    "unmounted": subprocess.run(["umount", str(hidden)], capture_output=True).returncode == 0,
    "privileges": "NoNewPrivs:\\t0" in pathlib.Path("/proc/self/status").read_text(),
    "neighbour": tried(lambda: (beside / "weights").read_text()),
    "written": tried(lambda: (beside / "made").write_text("x")),
    "device": tried(lambda: open("/dev/null").read() == ""),
}))
ended.set()
"""
MODEL: Final = """
from collections.abc import Iterator
import livereactor as lr

class Pond(lr.Model):
    main_video = lr.VideoOut(width=64, height=64, fps=10)

    def stream(self) -> Iterator[None]:
        yield None
"""
READER: Final = """
import os
from pathlib import Path

def read(phase):
    facts, said = Path(os.environ["FACTS"]), Path(os.environ["SAID"])
    try:
        got = (facts / "live.db").read_bytes()[:6].decode()
    except OSError:
        got = "nothing"
    try:
        names = sorted(each.name for each in facts.iterdir())
    except OSError:
        names = []
    (said / f"{phase}.database").write_text(got)
    (said / f"{phase}.names").write_text(str(names))

read("imported")
"""
READING: Final = """
    def load(self) -> None:
        read("loaded")
"""
CANNOT: Final = (
    "secret",
    "child",
    "replaced",
    "added",
    "through_proc",
    "relative",
    "socket",
    "limits",
    "priority",
    "priority_of_group",
    "priority_of_user",
    "io_priority",
    "io_priority_of_user",
    "scheduler",
    "scheduler_parameters",
    "scheduling",
    "affinity_of_parent",
    "core",
    "environment",
    "killed",
    "unmounted",
    "privileges",
)
CAN: Final = (
    "neighbour",
    "written",
    "device",
    "own_priority",
    "own_io_priority",
    "own_scheduler",
    "own_affinity",
    "own_limits",
)


def tried(tmp_path: Path, mode: str) -> dict[str, Any]:
    hidden, beside = tmp_path / "data", tmp_path / "beside"
    hidden.mkdir()
    beside.mkdir()
    (hidden / "secrets.json").write_text("secret")
    (beside / "weights").write_text("weights")
    name = f"@livereactor-test-{os.getpid()}"
    with (
        socket.socket(socket.AF_UNIX) as listening,
        subprocess.Popen(["sleep", "60"], env={"SECRET": "secret", "PATH": os.environ["PATH"]}) as outside,
    ):
        try:
            listening.bind(name.replace("@", "\0"))
            listening.listen()
            command = [sys.executable, "-c", PROBE, str(hidden), mode, str(outside.pid), str(beside), name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            assert outside.poll() is None
        finally:
            outside.kill()
    assert (hidden / "secrets.json").read_text() == "secret"
    assert [each.name for each in hidden.iterdir()] == ["secrets.json"]
    return json.loads(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux confines processes")
@pytest.mark.parametrize(("mode", "kind"), [("mounts", "mount namespace and landlock"), ("landlock", "landlock")])
def test_a_confined_process_reaches_its_own_and_nothing_hidden(tmp_path: Path, mode: str, kind: str) -> None:
    found = tried(tmp_path, mode)
    if found["kind"] != kind:
        pytest.skip(f"this kernel or container allows only: {found['kind']}")
    assert {name for name in CANNOT if found[name]} == set()
    assert {name for name in CAN if not found[name]} == set()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux confines processes")
@pytest.mark.parametrize("mode", ["mounts", "landlock"])
def test_a_folder_in_another_hidden_one_shows_nothing_of_that(tmp_path: Path, mode: str) -> None:
    """As the data folder, beside a database that lies in the folder above it."""
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for place in (inner, inner.parent):
        (place / "facts").write_text("secret")
    reading = """
import pathlib, sys
from livereactor.pool.confinement import confine
inner = pathlib.Path(sys.argv[1])
confine([inner, inner.parent], mounts=sys.argv[2] == "mounts")
for each in (inner, inner.parent):
    try:
        print((each / "facts").read_text())
    except OSError:
        print("hidden")
"""
    command = [sys.executable, "-c", reading, str(inner), mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["hidden", "hidden"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux confines processes")
@pytest.mark.parametrize("isolation", ["auto", "off"])
def test_a_model_reads_no_database_outside_the_data_folder(tmp_path: Path, isolation: str) -> None:
    """Neither while its schema is read nor while it is served; it would, if it were trusted."""
    facts, models, said = (tmp_path / name for name in ("facts", "models", "said"))
    models.mkdir()
    said.mkdir()
    (models / "pond.py").write_text(f"{READER}{MODEL}{READING}")
    environment = {
        "LIVEREACTOR_STORE__URL": f"sqlite:///{facts}/live.db",
        "LIVEREACTOR_POOL__ISOLATION": isolation,
        "LIVEREACTOR_COORDINATOR__DRAIN_TIMEOUT": "1",
        "FACTS": str(facts),
        "SAID": str(said),
    }
    started = livereactor_serve([models / "pond.py"], log_path=tmp_path / "log", environment=environment)
    with started as served:
        served.wait_for_worker()
        found = {each.name: each.read_text() for each in said.iterdir()}
    names = "[]" if isolation == "auto" else "['live.db', 'live.db-shm', 'live.db-wal']"
    got = "nothing" if isolation == "auto" else "SQLite"
    assert found == {f"{phase}.{what}": is_got for phase in ("imported", "loaded") for what, is_got in
                     (("database", got), ("names", names))}  # fmt: skip


def test_the_working_folder_is_not_imported_from(tmp_path: Path) -> None:
    """A model may have left a module there, named as one that every process imports before it is confined."""
    (tmp_path / "socket.py").write_text("raise SystemExit('planted')")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "beside.py").write_text("ANSWER = 42")
    model = tmp_path / "models" / "pond.py"
    model.write_text(f"import beside\n{MODEL}")
    command = [*MODULE, "livereactor.pool.confinement", "livereactor.runtime.execution.schema_file", str(model)]
    done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["info"]["title"] == "pond"


@pytest.mark.parametrize("planted", ["usercustomize.py", "planted.pth"])
def test_what_a_model_left_in_the_users_packages_runs_only_once_confined(tmp_path: Path, planted: str) -> None:
    """Its libraries may be there all the same, and are found."""
    environment = {each: value for each, value in os.environ.items() if each != "PYTHONNOUSERSITE"}
    environment |= {"PYTHONUSERBASE": str(tmp_path / "base"), CONFINED: "", "PYTHONPATH": str(Path("src").absolute())}
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    where = [base, "-c", "import site; print(site.ENABLE_USER_SITE, site.getusersitepackages())"]
    said, folder = subprocess.run(where, env=environment, capture_output=True, text=True, check=True).stdout.split()
    if said != "True":
        pytest.skip("this Python has no packages of a user")
    Path(folder).mkdir(parents=True)
    line = "import pathlib; pathlib.Path('{}').write_text(str('NoNewPrivs:\\t0' in open('/proc/self/status').read()))"
    Path(folder, planted).write_text(line.format(tmp_path / "ran"))
    Path(folder, "a_library.py").write_text("print('found')")
    options = "from livereactor.pool.model_process import MODULE; print(*MODULE)"
    command = [base, "-s", "-c", "import site; site.ENABLE_USER_SITE = True; " + options]
    given = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    done = subprocess.run(
        [base, *given, "livereactor.pool.confinement", "a_library"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "found\n", done.stderr
    ran = tmp_path / "ran"
    assert not ran.exists() or ran.read_text() == "False"
