"""Look up the packages of a lock file in a copy of the OSV database. `make audit DB=…` runs it, without a network.

The database is the folder or the archive that osv.dev publishes for the ecosystem PyPI (`PyPI/all.zip`), with one JSON
file an advisory. Exit status: 0 = no advisory holds for a locked version, 1 = some do, 2 = the database or the lock
cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_ECOSYSTEM: Final = "PyPI"
SUMMARY: Final = 120  # characters
_RANGES: Final = ("ECOSYSTEM", "SEMVER")  # ranges of commits say nothing of a release


class UnreadableError(Exception):
    """A file that cannot be judged; an audit of it would be no audit."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An advisory that holds for a locked version."""

    name: str
    version: str
    ids: tuple[str, ...]
    summary: str
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        mended = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fixed version is known"
        return f"{self.name} {self.version}: {' '.join(self.ids)}: {self.summary} ({mended})"


def locked(text: str) -> dict[str, set[str]]:
    """Return the versions of each package of a lock file; one package may have several, for several Pythons.

    Raises:
        UnreadableError: a line is no requirement, or leaves its version open.
    """
    found: dict[str, set[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        said = line.partition(" --hash=")[0].partition(" #")[0].strip()
        if not said or said.startswith("#"):
            continue
        try:
            requirement = Requirement(said)
        except InvalidRequirement as error:
            raise UnreadableError(f"{said!r} is no requirement: {error}") from error
        pins = [each.version for each in requirement.specifier if each.operator == "=="]
        if len(pins) != 1 or pins[0].endswith(".*"):
            raise UnreadableError(f"{said!r} does not say which version")
        found.setdefault(canonicalize_name(requirement.name), set()).add(pins[0])
    return found


def advisories(database: Path) -> Iterator[Mapping[str, Any]]:
    """Yield all advisories for PyPI of a folder or a ZIP archive that were not withdrawn.

    Raises:
        UnreadableError: neither of them, a file that is no advisory, or no advisory at all.
    """
    count = 0
    for name, content in _files(database):
        try:
            advisory = json.loads(content)
            affected = advisory["affected"] if not advisory.get("withdrawn") else ()
            concerned = any(each["package"]["ecosystem"] == _ECOSYSTEM for each in affected if "package" in each)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableError(f"{name} is no OSV advisory: {error!r}") from error
        if concerned:
            count += 1
            yield advisory
    if not count:
        raise UnreadableError(f"{database} has no advisory for {_ECOSYSTEM}; want osv.dev's {_ECOSYSTEM}/all.zip")


def _files(database: Path) -> Iterator[tuple[str, bytes]]:
    if database.is_dir():
        for path in sorted(database.rglob("*.json")):
            yield str(path), path.read_bytes()
    elif zipfile.is_zipfile(database):
        with zipfile.ZipFile(database) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".json"):
                    yield name, archive.read(name)
    else:
        raise UnreadableError(f"{database} is neither a folder nor a ZIP archive")


def audit(packages: Mapping[str, set[str]], found: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Return what holds for these packages; advisories that are aliases of each other are one finding."""
    findings: dict[tuple[str, str, frozenset[str]], Finding] = {}
    for advisory in found:
        for affected in advisory["affected"]:
            package = affected.get("package", {})
            name = canonicalize_name(package.get("name", ""))
            if package.get("ecosystem") != _ECOSYSTEM:
                continue
            for version in packages.get(name, ()):
                if not _holds(affected, version):
                    continue
                ids = {advisory["id"], *advisory.get("aliases", ())}
                fixed = {event["fixed"] for each in _ranges(affected) for event in each if "fixed" in event}
                known = [key for key in findings if key[:2] == (name, version) and key[2] & ids]
                for key in known:
                    before = findings.pop(key)
                    ids |= key[2]
                    fixed |= set(before.fixed)
                summary = _summary(advisory)
                finding = Finding(name, version, tuple(sorted(ids)), summary, tuple(sorted(fixed)))
                findings[name, version, frozenset(ids)] = finding
    return sorted(findings.values(), key=str)


def _summary(advisory: Mapping[str, Any]) -> str:
    """Return an advisory's summary; PyPI's own have none, and details that begin with a sentence."""
    said = str(advisory.get("summary") or advisory.get("details") or "no summary").strip()
    return said.partition("\n")[0][:SUMMARY]


def _ranges(affected: Mapping[str, Any]) -> list[Sequence[Mapping[str, str]]]:
    return [each.get("events", ()) for each in affected.get("ranges", ()) if each.get("type") in _RANGES]


def _holds(affected: Mapping[str, Any], version: str) -> bool:
    locked_version = Version(version)
    if any(_version(each) == locked_version for each in affected.get("versions", ())):
        return True
    return any(_within(events, locked_version) for events in _ranges(affected))


def _within(events: Sequence[Mapping[str, str]], version: Version) -> bool:
    """Whether a version is in a range: the last event that it has reached decides."""
    reached: list[tuple[Version, bool]] = []
    for event in events:
        for kind, said in event.items():
            at = Version("0.dev0") if said == "0" else _version(said)
            if at is None:
                continue  # a number from before PEP 440; `versions` lists what it means
            if kind == "introduced" and version >= at:
                reached.append((at, True))
            elif (kind in ("fixed", "limit") and version >= at) or (kind == "last_affected" and version > at):
                reached.append((at, False))
    return bool(reached) and max(reached)[1]


def _version(said: str) -> Version | None:
    try:
        return Version(said)
    except InvalidVersion:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each finding on a line of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path, help="folder or ZIP archive of OSV advisories")
    parser.add_argument("--lock", type=Path, default=Path("requirements.lock"))
    asked = parser.parse_args(arguments)
    try:
        packages = locked(asked.lock.read_text())
        known = list(advisories(asked.database))
        findings = audit(packages, known)
    except (UnreadableError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for each in findings:
        print(each)
    print(f"{len(packages)} packages, {len(findings)} advisories that hold for them", file=sys.stderr)
    newest = max((str(each.get("modified", "")) for each in known), default="")
    print(f"{len(known)} advisories were looked at, the newest of {newest[:10] or 'unknown date'}", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
