"""A real nginx as Debian sets it up, with a file of `deploy/` unchanged, on ports 80 and 443 of a namespace."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ETC = Path("/etc/nginx")
# In a mount namespace of its own: the configuration, the logs and the pid file of this machine's nginx stay its own.
_START = """
set -e
mount --bind "$1/etc" /etc/nginx
mount --bind "$1/log" /var/log/nginx
mount -t tmpfs tmpfs /run
exec nginx -g "daemon off;"
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A proxy that runs.

    Attributes:
        certificate: self-made, and the authority that vouches for it.
        log_dir: where it writes its logs.
    """

    certificate: Path
    log_dir: Path


@contextmanager
def nginx(site: Path, directory: Path, *, host: str, names: tuple[str, ...]) -> Iterator[Nginx]:
    """Start it in the network of the calling thread and end it with the block.

    Args:
        site: goes to /etc/nginx/conf.d; its certificate is looked for in /etc/nginx/livereactor.
        directory: for its configuration and logs.
        host: an address it is reached at.
        names: what the certificate is for, beside that address.
    """
    etc, log_dir = directory / "etc", directory / "log"
    shutil.copytree(_ETC, etc, symlinks=True)
    shutil.copy(site, etc / "conf.d/livereactor.conf")
    log_dir.mkdir()
    certificate = _certificate(etc / "livereactor", [f"IP:{host}", *(f"DNS:{name}" for name in names)])
    said = directory / "said"
    with said.open("wb") as output:
        command = ["unshare", "--mount", "--", "sh", "-c", _START, "sh", str(directory)]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_listening(process, host, said)
        yield Nginx(certificate, log_dir)
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _certificate(directory: Path, subjects: list[str]) -> Path:
    directory.mkdir()
    made = directory / "fullchain.pem"
    usage = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,digitalSignature,keyCertSign")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=tests", "-keyout", str(directory / "privkey.pem"), "-out", str(made)]
    for extension in (f"subjectAltName={','.join(subjects)}", *usage):
        command += ["-addext", extension]
    subprocess.run(command, check=True, capture_output=True)
    return made


def _wait_listening(process: subprocess.Popen[bytes], host: str, said: Path) -> None:
    deadline = time.monotonic() + 20.0
    while True:
        try:
            socket.create_connection((host, 443), 1.0).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
        else:
            return
        try:  # waits for its end, at most this long
            code = process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"nginx ended with code {code}: {said.read_text()}")
