"""`make audit` and `make sbom`, on a database and a lock file of a few lines."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts import audit
from tests.tools.processes import REPOSITORY

LOCK = """\
some-thing==1.4.2 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via other
some-thing==2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
other==3.1 \\
    --hash=sha256:dd
"""


def advisory(**said: Any) -> dict[str, Any]:
    events = said.pop("events", [{"introduced": "0"}, {"fixed": "1.5"}])
    name, ecosystem = said.pop("name", "Some_Thing"), said.pop("ecosystem", "PyPI")
    affected = {
        "package": {"name": name, "ecosystem": ecosystem},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
        "versions": said.pop("versions", []),
    }
    return {"id": "PYSEC-1", "summary": "reads beyond its end", "affected": [affected], **said}


def audited(folder: Path, *found: dict[str, Any]) -> list[str]:
    for number, each in enumerate(found):
        (folder / f"{number}.json").write_text(json.dumps(each))
    return [str(each) for each in audit.audit(audit.locked(LOCK), audit.advisories(folder))]


def test_a_locked_version_in_a_range_is_found_with_its_mend(tmp_path: Path) -> None:
    assert audited(tmp_path, advisory()) == ["some-thing 1.4.2: PYSEC-1: reads beyond its end (fixed in 1.5)"]


@pytest.mark.parametrize(
    ("events", "versions"),
    [
        ([{"introduced": "0"}, {"fixed": "1.4.2"}], []),
        ([{"introduced": "1.4.3"}, {"fixed": "2.0"}], []),
        ([{"introduced": "0"}, {"last_affected": "1.4.1"}], []),
        ([{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "1.1"}, {"fixed": "1.2"}], ["1.3", "not-a-version"]),
    ],
    ids=["fixed in it", "introduced after it", "before it", "between"],
)
def test_a_version_outside_of_every_range_is_not_found(
    tmp_path: Path, events: list[dict[str, str]], versions: list[str]
) -> None:
    assert audited(tmp_path, advisory(events=events, versions=versions)) == []


def test_a_version_that_is_listed_is_found_without_a_range(tmp_path: Path) -> None:
    [line] = audited(tmp_path, advisory(events=[], versions=["2.0.0"]))
    assert line == "some-thing 2.0: PYSEC-1: reads beyond its end (no fixed version is known)"


def test_the_last_affected_version_is_affected(tmp_path: Path) -> None:
    [line] = audited(tmp_path, advisory(events=[{"introduced": "0"}, {"last_affected": "1.4.2"}]))
    assert line.startswith("some-thing 1.4.2: ")


def test_two_names_of_one_fault_are_one_finding(tmp_path: Path) -> None:
    [line] = audited(tmp_path, advisory(aliases=["CVE-1"]), advisory(id="GHSA-1", aliases=["CVE-1"]))
    assert line.startswith("some-thing 1.4.2: CVE-1 GHSA-1 PYSEC-1: ")


def test_what_was_withdrawn_or_is_of_another_ecosystem_is_not_looked_at(tmp_path: Path) -> None:
    other = advisory(name="other", events=[{"introduced": "4"}])
    assert audited(tmp_path, advisory(withdrawn="2026-01-01T00:00:00Z"), advisory(ecosystem="npm"), other) == []


def test_an_archive_is_a_database_as_well_and_the_exit_status_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, database = tmp_path / "requirements.lock", tmp_path / "all.zip"
    lock.write_text(LOCK)
    with zipfile.ZipFile(database, "w") as archive:
        archive.writestr("PYSEC-1.json", json.dumps(advisory()))
    assert audit.main([str(database), "--lock", str(lock)]) == 1
    assert "some-thing 1.4.2" in capsys.readouterr().out
    lock.write_text("other==3.1\n")
    assert audit.main([str(database), "--lock", str(lock)]) == 0


# As osv.dev writes them: of PyPI's advisory database, of GitHub's, of malicious packages, and one of another ecosystem.
DUMP = (
    {
        "id": "PYSEC-2026-1",
        "details": "Some-thing reads beyond its end when a header is long.\n\nUpgrade to 1.5.",
        "aliases": ["CVE-2026-1", "GHSA-aaaa-bbbb-cccc"],
        "modified": "2026-03-02T10:11:12.131415Z",
        "published": "2026-03-01T00:00:00Z",
        "references": [{"type": "ADVISORY", "url": "https://example.com/1"}],
        "affected": [
            {
                "package": {"name": "some-thing", "ecosystem": "PyPI", "purl": "pkg:pypi/some-thing"},
                "ranges": [
                    {
                        "type": "GIT",
                        "repo": "https://example.com/repo",
                        "events": [{"introduced": "0"}, {"fixed": "0a1b2c"}],
                    },
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.5"}]},
                ],
                "versions": ["0.9", "1.0", "1.4.2"],
                "database_specific": {"source": "https://example.com/PYSEC-2026-1.yaml"},
            }
        ],
        "schema_version": "1.7.3",
    },
    {
        "id": "GHSA-aaaa-bbbb-cccc",
        "summary": "some-thing: reads beyond its end",
        "details": "### Impact\nLong.",
        "aliases": ["CVE-2026-1"],
        "modified": "2026-03-05T00:00:00Z",
        "published": "2026-03-01T00:00:00Z",
        "database_specific": {"severity": "HIGH", "cwe_ids": ["CWE-125"], "github_reviewed": True},
        "affected": [
            {
                "package": {"name": "some-thing", "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"last_affected": "1.4.2"}]}],
                "ecosystem_specific": {"affected_functions": ["some_thing.read"]},
            },
            {
                "package": {"name": "some-thing", "ecosystem": "npm"},
                "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
            },
        ],
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}],
        "schema_version": "1.7.3",
    },
    {
        "id": "MAL-2026-7",
        "summary": "Malicious code in otherr (PyPI)",
        "details": "Steals keys.",
        "modified": "2026-02-01T00:00:00Z",
        "affected": [
            {
                "package": {"name": "otherr", "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
                "versions": ["3.1"],
            }
        ],
    },
    {"id": "CVE-2026-9", "modified": "2026-01-01T00:00:00Z", "affected": [{"ranges": [{"type": "GIT", "events": []}]}]},
)


def test_a_dump_in_the_form_of_osv_dev(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock, database = tmp_path / "requirements.lock", tmp_path / "all.zip"
    with zipfile.ZipFile(database, "w") as archive:
        for each in DUMP:
            archive.writestr(f"{each['id']}.json", json.dumps(each))
    lock.write_text(LOCK)
    assert audit.main([str(database), "--lock", str(lock)]) == 1
    said = capsys.readouterr()
    ids = "CVE-2026-1 GHSA-aaaa-bbbb-cccc PYSEC-2026-1"
    assert said.out.splitlines() == [
        f"some-thing 1.4.2: {ids}: Some-thing reads beyond its end when a header is long. (fixed in 1.5)"
    ]
    assert "3 advisories were looked at, the newest of 2026-03-05" in said.err  # who audits sees how old the copy is
    lock.write_text("otherr==3.1\n")
    assert audit.main([str(database), "--lock", str(lock)]) == 1
    assert (
        capsys.readouterr().out
        == "otherr 3.1: MAL-2026-7: Malicious code in otherr (PyPI) (no fixed version is known)\n"
    )


@pytest.mark.parametrize("content", [None, "{}", "[]", "no json"])
def test_a_database_that_cannot_be_judged_passes_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "1.json").write_text(content)
    assert audit.main([str(tmp_path), "--lock", str(REPOSITORY / "requirements.lock")]) == 2
    assert audit.main([str(tmp_path / "missing"), "--lock", str(REPOSITORY / "requirements.lock")]) == 2


@pytest.mark.parametrize("line", ["some-thing>=1.4", "some-thing==1.*", "-e ."])
def test_a_line_without_one_version_is_refused(line: str) -> None:
    with pytest.raises(audit.UnreadableError):
        audit.locked(line)


def test_our_own_lock_is_read_whole() -> None:
    text = (REPOSITORY / "requirements.lock").read_text()
    lines = [line for line in text.splitlines() if line[:1].isalnum()]
    assert sum(map(len, audit.locked(text).values())) == len(lines)


def test_the_bill_of_materials_names_every_locked_package(tmp_path: Path) -> None:
    made = tmp_path / "sbom.json"
    subprocess.run(["make", "--no-print-directory", "-o", "setup", "sbom", f"SBOM={made}"], cwd=REPOSITORY, check=True)
    bill = json.loads(made.read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "livereactor")
    named = {(audit.canonicalize_name(each["name"]), each["version"]) for each in bill["components"]}
    wanted = audit.locked((REPOSITORY / "requirements.lock").read_text())
    assert named == {(name, version) for name, versions in wanted.items() for version in versions}
    assert all(each["externalReferences"][0]["hashes"] for each in bill["components"])
