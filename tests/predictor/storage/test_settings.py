"""Storage settings, from the environment under KServe's names."""

from __future__ import annotations

from pathlib import Path

import pytest

from predictor.storage.settings import S3Settings, StorageSettings, read
from torpor.errors import SettingError

PLAIN = S3Settings()


@pytest.mark.parametrize(
    ("environ", "settings"),
    [
        pytest.param({}, PLAIN, id="nothing-is-set"),
        pytest.param({"AWS_ENDPOINT_URL": ""}, PLAIN, id="empty-is-as-if-not-set"),
        pytest.param(
            {"AWS_ENDPOINT_URL": "http://h:9000", "S3_ENDPOINT": "h:9000", "S3_USE_HTTPS": "0"},
            S3Settings(endpoint_url="http://h:9000"),
            id="a-whole-endpoint",
        ),
        pytest.param(
            {"S3_ENDPOINT": "h:9000", "S3_USE_HTTPS": "0"}, S3Settings(endpoint_url="http://h:9000"), id="plain-http"
        ),
        pytest.param({"S3_ENDPOINT": "h"}, S3Settings(endpoint_url="https://h"), id="https-unless-told"),
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"},
            S3Settings(access_key="a", secret_key="b", session_token="c"),
            id="keys",
        ),
        pytest.param({"AWS_DEFAULT_REGION": "eu-central-1"}, S3Settings(region="eu-central-1"), id="region"),
        pytest.param({"awsAnonymousCredential": "true"}, S3Settings(anonymous=True), id="anonymous"),
        pytest.param({"S3_VERIFY_SSL": "0"}, S3Settings(verify=False), id="any-certificate"),
        pytest.param({"AWS_CA_BUNDLE": "/ca.crt"}, S3Settings(verify="/ca.crt"), id="own-authority"),
        pytest.param({"S3_USER_VIRTUAL_BUCKET": "1"}, S3Settings(virtual_host=True), id="bucket-in-the-host"),
    ],
)
def test_s3(environ: dict[str, str], settings: S3Settings) -> None:
    """Each variable sets what KServe sets by it."""
    assert read(environ) == StorageSettings(s3=settings)


def test_claims_are_below_one_root() -> None:
    """A cluster mounts them; on a laptop it is a folder."""
    assert read({}).pvc_root == Path("/mnt/pvc")
    assert read({"TORPOR_PVC_ROOT": "/volumes/default"}).pvc_root == Path("/volumes/default")


def test_a_wrong_flag_is_named() -> None:
    """With its value and what is allowed."""
    with pytest.raises(SettingError, match=r"S3_VERIFY_SSL: 'maybe' is not allowed; use true or false"):
        read({"S3_VERIFY_SSL": "maybe"})
