"""A keeper whose Worker does what it is told, for tests/fault/test_keeper.py; prints deaths it tells, then its code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from livereactor.base.ids import worker_id
from livereactor.cli.commands.worker import WorkerSupervisor
from livereactor.pool.port import WorkerExit

_PROGRAM = """
import os, signal, sys, time
sys.path.insert(0, "src")
from livereactor.cli.commands.worker import exit_with_parent
what = sys.argv[1]
signal.signal(signal.SIGTERM, signal.SIG_IGN if what == "stubborn" else lambda *_: os._exit(0))
exit_with_parent()
print("up", os.getpid(), flush=True)
if what == "fails":
    sys.exit(3)
time.sleep(60)
"""


def main(what: str) -> int:
    def command(worker: str) -> Sequence[str]:
        return [sys.executable, "-c", _PROGRAM, what, worker]

    def tell(ended: WorkerExit) -> None:
        print("died", ended.reason, flush=True)

    return WorkerSupervisor(command, worker_id, tell, grace=0.3).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
