"""What boto3 raises, and what users are told."""

from __future__ import annotations

import pytest
from botocore import exceptions as boto
from urllib3.exceptions import IncompleteRead, ReadTimeoutError

from predictor.storage.s3errors import Where, translate
from torpor.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    TorporError,
    UnavailableError,
    UnsupportedError,
)

WHERE = Where("models", "minilm", "http://127.0.0.1:9000")


def answered(code: str, status: int, **headers: str) -> boto.ClientError:
    answer = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    answer["ResponseMetadata"]["HTTPHeaders"] = {key.replace("_", "-"): value for key, value in headers.items()}
    return boto.ClientError(answer, "GetObject")


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        pytest.param(answered("NoSuchBucket", 404), NotFoundError, "bucket 'models' does not exist", id="no-bucket"),
        pytest.param(answered("NoSuchKey", 404), NotFoundError, "'minilm' is not in bucket 'models'", id="no-key"),
        pytest.param(answered("404", 404), NotFoundError, "'minilm' is not in bucket 'models'", id="answer-to-head"),
        pytest.param(answered("InvalidAccessKeyId", 403), ForbiddenError, "credentials", id="unknown-key"),
        pytest.param(answered("SignatureDoesNotMatch", 403), ForbiddenError, "credentials", id="wrong-secret"),
        pytest.param(answered("ExpiredToken", 400), ForbiddenError, "credentials", id="old-token"),
        pytest.param(answered("AccessDenied", 403), ForbiddenError, "credentials may not", id="denied"),
        pytest.param(answered("403", 403), ForbiddenError, "credentials may not", id="denied-to-head"),
        pytest.param(
            answered("PermanentRedirect", 301, x_amz_bucket_region="eu-west-1"),
            InvalidInputError,
            "AWS_DEFAULT_REGION.*is in eu-west-1",
            id="another-region",
        ),
        pytest.param(answered("PreconditionFailed", 412), UnavailableError, "changed", id="another-object-by-now"),
        pytest.param(answered("InvalidRange", 416), UnavailableError, "changed", id="shorter-by-now"),
        pytest.param(answered("SlowDown", 503), UnavailableError, "not able to answer now", id="too-many-requests"),
        pytest.param(answered("", 500), UnavailableError, "not able to answer now", id="broken-server"),
        pytest.param(answered("MethodNotAllowed", 405), UnsupportedError, "MethodNotAllowed", id="not-s3"),
        pytest.param(boto.NoCredentialsError(), ForbiddenError, "credentials.*ServiceAccount", id="no-credentials"),
        pytest.param(
            boto.EndpointConnectionError(endpoint_url="http://127.0.0.1:9000"),
            UnavailableError,
            "endpoint http://127.0.0.1:9000 cannot be reached",
            id="nobody-listens",
        ),
        pytest.param(
            boto.ConnectTimeoutError(endpoint_url="u"), UnavailableError, "cannot be reached", id="nobody-answers"
        ),
        pytest.param(
            boto.SSLError(endpoint_url="u", error="self-signed"), UnsupportedError, "AWS_CA_BUNDLE", id="certificate"
        ),
        pytest.param(boto.ParamValidationError(report="r"), InvalidInputError, "storageUri", id="bucket-name"),
        pytest.param(ValueError("Invalid endpoint: x"), InvalidInputError, "AWS_ENDPOINT_URL", id="endpoint-name"),
        pytest.param(IncompleteRead(1, 2), UnavailableError, "connection", id="cut-off"),
        pytest.param(
            ReadTimeoutError(None, None, "slow"),  # type: ignore[arg-type]  # as urllib3 itself does
            UnavailableError,
            "connection",
            id="silent",
        ),
        pytest.param(ConnectionResetError(), UnavailableError, "connection", id="reset"),
    ],
)
def test_every_failure_says_what_to_look_at(error: Exception, kind: type[TorporError], says: str) -> None:
    """Only what may succeed without a change is worth another try."""
    told = translate(error, WHERE)
    assert type(told) is kind
    assert told.retryable == (kind is UnavailableError)
    assert "s3://models/minilm" in str(told) or kind is InvalidInputError
    with pytest.raises(kind, match=says):
        raise told
