"""Runs fuzzers one after the other, each from its corpus: `python -m tests.fuzz --seconds 60 [NAME …]`."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests.fuzz.targets import CORPUS, NAMES, kept

KEPT_BYTES: Final = 8_000  # of one corpus; all of them together stay below 200 KB
KEPT_FILES: Final = 60
HANGS_AFTER: Final = 20  # seconds of one input, where milliseconds are usual: on a loaded machine no verdict
MEMORY: Final = 2_048  # MiB


def main() -> int:
    """Run the chosen fuzzers; 1 where one of them found something."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    options.add_argument("--seconds", type=int, default=60, help="for each")
    chosen = options.parse_args()
    if unknown := set(chosen.names) - set(NAMES):
        options.error(f"no target {sorted(unknown)}")
    if find_spec("atheris") is None:
        print("no fuzzer here: Atheris has wheels for Linux on x86-64 only; the kept corpus is read by tests/fuzz")
        return 0
    broken = [name for name in chosen.names or NAMES if not fuzzed(name, chosen.seconds)]
    for name in broken:
        print(f"{name}: see the files crash-…, timeout-… or oom-… in {CORPUS / name}")
    return 1 if broken else 0


def fuzzed(name: str, seconds: int) -> bool:
    """Run one fuzzer, and keep what it found; returns whether all promises held."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="livereactor-fuzz-") as scratch:
        found, added = Path(scratch) / "found", Path(scratch) / "added"
        found.mkdir()
        limits = [f"-timeout={HANGS_AFTER}", f"-rss_limit_mb={MEMORY}", f"-artifact_prefix={folder}/"]
        run = _libfuzzer(name, scratch, f"-max_total_time={seconds}", *limits, str(found), str(folder))
        # What reaches code that the kept corpus does not: by branches, as counts of loops would keep every other input.
        shutil.copytree(folder, added)
        _libfuzzer(name, scratch, "-merge=1", "-use_counters=0", f"-artifact_prefix={scratch}/", str(added), str(found))
        _keep(folder, added)
    seen = re.findall(r"^#\d+.*cov: \d+ .*exec/s: \d+", run.stderr, re.MULTILINE)
    print(f"{name}: {len(kept(name))} inputs kept; {seen[-1] if seen else 'none was run'}", flush=True)
    if run.returncode != 0:
        print(run.stdout[-6_000:])  # Atheris writes the traceback there, libFuzzer its own reasons elsewhere
        print("\n".join(line for line in run.stderr.splitlines() if line.startswith(("==", "SUMMARY"))))
    return run.returncode == 0


def _keep(folder: Path, added: Path) -> None:
    """Keep new inputs, the smallest first, as long as there is room."""
    room = KEPT_BYTES - sum(path.stat().st_size for path in folder.iterdir())
    places = KEPT_FILES - len(list(folder.iterdir()))
    new = [path for path in added.iterdir() if not (folder / path.name).exists()]
    for path in sorted(new, key=lambda each: (each.stat().st_size, each.name))[: max(0, places)]:
        room -= path.stat().st_size
        if room < 0:
            break
        shutil.copy(path, folder)


def _libfuzzer(name: str, scratch: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # libFuzzer ends its process without a chance to remove temporary files.
    environment = os.environ | {"TMPDIR": scratch}
    command = [sys.executable, "-m", "tests.fuzz.one", name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)


if __name__ == "__main__":
    sys.exit(main())
