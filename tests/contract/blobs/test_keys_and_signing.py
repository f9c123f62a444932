"""Keys that could leave their folder are refused, and a signed URL allows one thing for one time."""

import string
from dataclasses import replace
from pathlib import PurePosixPath
from urllib.parse import parse_qsl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from livereactor.base.errors import UsageError
from livereactor.blobs.port import BlobKey
from livereactor.blobs.signing import Grant, SignatureRefusedError, Signer, UploadExpiredError

SIGNER = Signer(b"s" * 32)
GRANT = Grant("PUT", BlobKey.parse("a/b"), expires_at=1_000, max_bytes=100, exact_bytes=7, content_type="text/plain")
SAFE = string.ascii_letters + string.digits + "_-."


@given(st.text(alphabet=st.sampled_from([*"ab_-./\\~%$:*?\0\n #\u202e\u00e9"]), max_size=40) | st.text(max_size=40))
@example("..")
@example("a/../b")
@example("/etc/passwd")
@example("a//b")
@example("a/")
@example("")
@example("a\n")
@example("a/.staging/b")
@example("a/%2e%2e/b")
@example("C:\\a")
def test_a_parsed_key_stays_in_its_folder(text: str) -> None:
    try:
        key = BlobKey.parse(text)
    except UsageError:
        return
    assert key.path == text
    assert set(text) <= {*SAFE, "/"}
    path = PurePosixPath(text)
    assert not path.is_absolute()
    assert str(path) == text  # nothing to normalise away
    assert all(not part.startswith((".", "-")) for part in path.parts)


@pytest.mark.parametrize("text", ["a" * 129, "a/" * 300 + "a"])
def test_a_key_too_long_for_a_disk_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        BlobKey.parse(text)


def query(grant: Grant, signer: Signer = SIGNER) -> dict[str, str]:
    return dict(parse_qsl(signer.sign(grant), keep_blank_values=True))


@given(
    st.builds(
        Grant,
        method=st.sampled_from(["PUT", "GET"]),
        key=st.just(GRANT.key),
        expires_at=st.integers(1, 2**40),
        max_bytes=st.none() | st.integers(0, 2**40),
        exact_bytes=st.none() | st.integers(0, 2**40),
        content_type=st.text(max_size=30),
    )
)
def test_a_signed_grant_comes_back_as_it_was(grant: Grant) -> None:
    assert SIGNER.verify(grant.method, grant.key, query(grant), now_at=grant.expires_at - 1) == grant


def test_it_expires_on_its_second() -> None:
    SIGNER.verify("PUT", GRANT.key, query(GRANT), now_at=999.9)
    with pytest.raises(UploadExpiredError, match="expired"):
        SIGNER.verify("PUT", GRANT.key, query(GRANT), now_at=1_000.0)


@pytest.mark.parametrize("name", ["m", "exp", "max", "size", "type", "kid", "sig"])
@pytest.mark.parametrize("value", [None, "", "0", "GET", "99999", "\u00e9"])
def test_no_field_can_be_changed(name: str, value: str | None) -> None:
    changed = query(GRANT)
    if value is None:
        del changed[name]
    else:
        changed[name] = value
    with pytest.raises(SignatureRefusedError):
        SIGNER.verify("PUT", GRANT.key, changed, now_at=0)


def test_it_is_for_one_method_one_key_and_one_signer() -> None:
    with pytest.raises(SignatureRefusedError, match="for PUT"):
        SIGNER.verify("GET", GRANT.key, query(GRANT), now_at=0)
    with pytest.raises(SignatureRefusedError):
        SIGNER.verify("PUT", BlobKey.parse("a/c"), query(GRANT), now_at=0)
    with pytest.raises(SignatureRefusedError):
        SIGNER.verify("PUT", GRANT.key, query(GRANT, Signer(b"t" * 32)), now_at=0)


@given(st.text(max_size=20), st.text(max_size=20))
def test_fields_cannot_flow_into_each_other(left: str, right: str) -> None:
    first, second = replace(GRANT, content_type=left), replace(GRANT, content_type=right)
    assert (query(first)["sig"] == query(second)["sig"]) == (left == right)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Signer(b"short")


def test_a_url_outlives_the_secret_that_signed_it() -> None:
    rotated = Signer(b"t" * 32, b"s" * 32)
    assert rotated.verify("PUT", GRANT.key, query(GRANT, SIGNER), now_at=0) == GRANT
    assert rotated.verify("PUT", GRANT.key, query(GRANT, rotated), now_at=0) == GRANT
    with pytest.raises(SignatureRefusedError):  # the newest signs: who does not know it refuses
        SIGNER.verify("PUT", GRANT.key, query(GRANT, rotated), now_at=0)
