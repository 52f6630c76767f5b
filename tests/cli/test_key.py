"""`torpor key`: what is kept of a key, and what is shown of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.cli.api import Api, serving
from torpor.cli.main import run
from torpor.spec.apikeys import KEY, digest_of, make_key, read_entry, write_key_entry

SECRETS = "/api/v1/namespaces/default/secrets"
PATH = f"{SECRETS}/app-keys"
OURS = {"torpor.dev/access": "keys"}
ALICE = make_key("aaaa1111", bytes(32))


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with serving(tmp_path) as (served, path):
        monkeypatch.setenv("KUBECONFIG", str(path))
        monkeypatch.setenv("COLUMNS", "200")
        yield served


def secret(entries: dict[str, str], labels: dict[str, str] = OURS) -> dict[str, Any]:
    data = {id_: base64.b64encode(text.encode()).decode() for id_, text in entries.items()}
    metadata = {"name": "app-keys", "namespace": "default", "labels": labels, "resourceVersion": "1"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def written(api: Api, method: str) -> dict[str, Any]:
    [body] = [body for asked, _, _, body in api.asked if asked == method]
    found: dict[str, Any] = orjson.loads(body)
    return found


KNOWN = {"aaaa1111": write_key_entry(digest_of(ALICE.encode()), name="alice", rate="10/s", priority="batch")}


@pytest.mark.parametrize("there", [None, {}, KNOWN], ids=["no Secret yet", "an empty one", "one with keys"])
def test_create_shows_the_key_once_and_keeps_its_digest(
    api: Api, there: dict[str, str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard output is the key alone; what goes to the API has the digest and the limits, and not the key."""
    if there is not None:
        api.answers["GET", PATH] = secret(there)
    api.answers["POST", SECRETS] = api.answers["PATCH", PATH] = {}
    options = ["--rate", "5/m", "--burst", "2", "--concurrency", "3", "--priority", "batch", "--service", "a"]
    assert run(["key", "create", "bob", "--secret", "app-keys", *options, "--service", "b", "--expires-in", "1h"]) == 0
    said = capsys.readouterr()
    key = said.out.removesuffix("\n")
    assert KEY.fullmatch(key.encode())
    assert key not in said.err
    body = written(api, "POST" if there is None else "PATCH")
    if there is None:
        assert body["metadata"] == {"name": "app-keys", "namespace": "default", "labels": OURS}
    [(id_, raw)] = body["data"].items()
    entry = read_entry(id_, raw)
    assert entry.digest == digest_of(key.encode())
    assert (entry.name, entry.terms.services, entry.terms.batch) == ("bob", {"a", "b"}, True)
    rate = entry.terms.quota.rate
    assert rate is not None
    assert (rate.count, rate.period_s, rate.burst, entry.terms.quota.concurrency) == (5, 60, 2, 3)
    assert entry.expires_s is not None
    random = key.rpartition("_")[2].encode()
    assert not any(random in sent or random in base64.b64encode(sent) for *_, sent in api.asked)


def test_no_two_keys_are_alike(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is random."""
    api.answers["POST", SECRETS] = {}
    for _ in range(3):
        assert run(["key", "create", "bob", "--secret", "app-keys"]) == 0
    keys = capsys.readouterr().out.split()
    assert len({key.split("_")[1] for key in keys}) == len({key.split("_")[2] for key in keys}) == 3


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        pytest.param(["create", "alice"], 1, "has a key alice already", id="name-is-taken"),
        pytest.param(["create", "a b"], 1, "NAME", id="name-with-a-space"),
        pytest.param(["create", "bob", "--rate", "10"], 2, "10/s", id="rate-without-a-time"),
        pytest.param(["create", "bob", "--burst", "10"], 2, "belongs to a rate", id="burst-without-a-rate"),
        pytest.param(["create", "bob", "--service", "A_b"], 2, "services", id="no-service"),
        pytest.param(["revoke", "bob"], 1, "has no key bob", id="revoke-who-has-none"),
    ],
)
def test_what_cannot_be_is_told(
    api: Api, arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written then."""
    api.answers["GET", PATH] = secret(KNOWN)
    assert run(["key", *arguments, "--secret", "app-keys"]) == status
    said = capsys.readouterr()
    assert words in said.err
    assert not said.out
    assert not [method for method, *_ in api.asked if method != "GET"]


@pytest.mark.parametrize("command", [["list"], ["revoke", "alice"], ["create", "bob"]], ids=lambda each: str(each[0]))
def test_secrets_for_something_else_are_left_alone(
    api: Api, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A Secret without the label is neither shown nor changed."""
    api.answers["GET", PATH] = secret({"password": "x"}, labels={})
    assert run(["key", *command, "--secret", "app-keys"]) == 1
    assert "label torpor.dev/access: keys" in capsys.readouterr().err
    assert not [method for method, *_ in api.asked if method != "GET"]


def test_list(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """It shows who has keys, and what is no key."""
    more = {"bbbb2222": write_key_entry(bytes(32), name="bob", services="app", expires="2027-01-31T12:00:00Z")}
    api.answers["GET", PATH] = secret(KNOWN | more | {"cccc3333": "the key itself"})
    assert run(["key", "list", "--secret", "app-keys"]) == 0
    said = capsys.readouterr()
    assert [line.split() for line in said.out.splitlines()] == [
        ["NAME", "ID", "RATE", "CONCURRENCY", "PRIORITY", "SERVICES", "EXPIRES"],
        ["alice", "aaaa1111", "10/s", "batch", "all", "never"],
        ["bob", "bbbb2222", "interactive", "app", "2027-01-31T12:00:00Z"],
    ]
    assert "data[cccc3333]" in said.err
    assert "the key itself" not in said.err


@pytest.mark.parametrize("who", ["alice", "aaaa1111", "cccc3333"])
def test_revoke(api: Api, who: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By name or by id, also what cannot be read."""
    api.answers["GET", PATH] = secret(KNOWN | {"cccc3333": "the key itself"})
    api.answers["PATCH", PATH] = {}
    assert run(["key", "revoke", who, "--secret", "app-keys"]) == 0
    assert written(api, "PATCH") == {"data": {"cccc3333" if who == "cccc3333" else "aaaa1111": None}}
    assert "revoked" in capsys.readouterr().out
