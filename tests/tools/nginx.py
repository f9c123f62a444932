"""A real nginx as Debian sets it up, with a file of `deploy/` unchanged, on ports 80 and 443 of a namespace."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.tools.processes import listening

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
    certificate = make_certificate(etc / "livereactor", [f"IP:{host}", *(f"DNS:{name}" for name in names)])
    command = ["unshare", "--mount", "--", "sh", "-c", _START, "sh", str(directory)]
    with listening(command, host, 443, said=directory / "said"):
        yield Nginx(certificate, log_dir)


def make_certificate(directory: Path, subjects: list[str]) -> Path:
    """A certificate that nobody vouches for, its key `privkey.pem` beside it."""
    directory.mkdir()
    made = directory / "fullchain.pem"
    usage = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,digitalSignature,keyCertSign")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=tests", "-keyout", str(directory / "privkey.pem"), "-out", str(made)]
    for extension in (f"subjectAltName={','.join(subjects)}", *usage):
        command += ["-addext", extension]
    subprocess.run(command, check=True, capture_output=True)
    return made
