"""Secrets and ServiceAccounts as KServe reads them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from controller.inferenceservice.credentials import Sources, missing_secret, s3_environment
from torpor.spec.kinds import Object

PREFIX = "serving.kserve.io/s3-"


def holder(name: str, annotations: dict[str, str] | None = None, **data: str) -> Object:
    noted = {PREFIX + key: value for key, value in (annotations or {}).items()}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": name, "annotations": noted}, "data": encoded}


def variables(*secrets: Object, account: Object | None = None) -> dict[str, Any]:
    sources = Sources(account, {each["metadata"]["name"]: each for each in secrets}, "")
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in s3_environment(sources)}


def key(secret: str, name: str) -> Object:
    return {"secretKeyRef": {"name": secret, "key": name}}


@pytest.mark.parametrize(
    ("access", "secret"),
    [
        pytest.param("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", id="today's"),
        pytest.param("awsAccessKeyID", "awsSecretAccessKey", id="KServe's first"),
    ],
)
def test_keys_stay_in_the_secret(access: str, secret: str) -> None:
    """The pod gets references, so that no key is written into a Service or Revision."""
    found = variables(holder("s", **{access: "a", secret: "b"}))
    assert found == {"AWS_ACCESS_KEY_ID": key("s", access), "AWS_SECRET_ACCESS_KEY": key("s", secret)}


@pytest.mark.parametrize(
    ("annotations", "wanted"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param(
            {"endpoint": "s3.example.com"},
            {"S3_ENDPOINT": "s3.example.com", "AWS_ENDPOINT_URL": "https://s3.example.com"},
            id="https unless said otherwise",
        ),
        pytest.param(
            {"endpoint": "minio:9000", "usehttps": "0"},
            {"S3_USE_HTTPS": "0", "S3_ENDPOINT": "minio:9000", "AWS_ENDPOINT_URL": "http://minio:9000"},
            id="plain http",
        ),
        pytest.param(
            {"endpoint": "minio:9000", "usehttps": "1"},
            {"S3_USE_HTTPS": "1", "S3_ENDPOINT": "minio:9000", "AWS_ENDPOINT_URL": "https://minio:9000"},
            id="https said",
        ),
        pytest.param(
            {"endpoint": "http://minio:9000", "usehttps": "1"},
            {"S3_USE_HTTPS": "0", "S3_ENDPOINT": "minio:9000", "AWS_ENDPOINT_URL": "http://minio:9000"},
            id="a scheme says more than the annotation",
        ),
        pytest.param(
            {"region": "eu-1", "verifyssl": "0", "usevirtualbucket": "true", "useanoncredential": "true"},
            {
                "AWS_DEFAULT_REGION": "eu-1",
                "S3_VERIFY_SSL": "0",
                "S3_USER_VIRTUAL_BUCKET": "true",
                "awsAnonymousCredential": "true",
            },
            id="all others",
        ),
    ],
)
def test_annotations_become_variables(annotations: dict[str, str], wanted: dict[str, str]) -> None:
    """KServe's names, its `S3_USER_VIRTUAL_BUCKET` included."""
    assert variables(holder("s", annotations)) == wanted


def test_a_secrets_data_may_say_the_same() -> None:
    """KServe's newer way; an annotation wins."""
    secret = holder("s", {"region": "annotated"}, S3_ENDPOINT="minio:9000", S3_USE_HTTPS="0", AWS_DEFAULT_REGION="data")
    assert variables(secret) == {
        "S3_USE_HTTPS": "0",
        "S3_ENDPOINT": "minio:9000",
        "AWS_ENDPOINT_URL": "http://minio:9000",
        "AWS_DEFAULT_REGION": "annotated",
    }


def test_the_accounts_annotations_come_first_and_the_last_secret_wins() -> None:
    """As in a list of variables, where Kubernetes takes the last of a name."""
    account = holder("models", {"region": "of-account", "verifyssl": "0"})
    first, last = holder("a", {"region": "of-a"}, AWS_SECRET_ACCESS_KEY="x"), holder("b", AWS_SECRET_ACCESS_KEY="y")
    found = variables(first, last, account=account)
    assert (found["AWS_DEFAULT_REGION"], found["S3_VERIFY_SSL"]) == ("of-a", "0")
    assert found["AWS_SECRET_ACCESS_KEY"] == key("b", "AWS_SECRET_ACCESS_KEY")


@pytest.mark.parametrize(
    ("secrets", "missing"),
    [
        pytest.param({}, "", id="none is listed"),
        pytest.param({"a": None}, "a", id="the only one"),
        pytest.param({"token": holder("token", token="x"), "a": None}, "a", id="another has no keys"),
        pytest.param({"a": None, "b": holder("b", AWS_SECRET_ACCESS_KEY="x")}, "", id="another has the keys"),
        pytest.param({"a": None, "b": holder("b", {"useanoncredential": "true"})}, "", id="another needs no keys"),
    ],
)
def test_a_secret_that_is_missed(secrets: dict[str, Object | None], missing: str) -> None:
    """Only where no other Secret says how to get in."""
    assert missing_secret(Sources(None, secrets, "")) == missing


def test_data_that_is_no_base64_is_no_setting() -> None:
    """The API refuses such Secrets; a bad byte is not the reconciler's to crash on."""
    assert variables({"metadata": {"name": "s"}, "data": {"S3_ENDPOINT": "%%%", "AWS_DEFAULT_REGION": "/w=="}}) == {}
