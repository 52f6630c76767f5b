"""What boto3 raises, in words that say what to do: which bucket, key, endpoint or setting to look at."""

from __future__ import annotations

from dataclasses import dataclass

import urllib3.exceptions
from botocore import exceptions as boto

from torpor.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    TorporError,
    UnavailableError,
    UnsupportedError,
)

FOREIGN = (boto.BotoCoreError, boto.ClientError, urllib3.exceptions.HTTPError, ValueError, OSError)
"""What may come out of a call to boto3 or out of the body of its answer."""

# Codes of AWS, MinIO, Ceph and moto for keys that are wrong, old, or of another kind.
_CREDENTIALS = {
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId", "InvalidToken", "InvalidSecurity"),
    *("ExpiredToken", "TokenRefreshRequired", "RequestTimeTooSkewed", "RequestExpired", "AuthFailure", "NotSignedUp"),
    *("AuthorizationHeaderMalformed", "AuthorizationQueryParametersError", "MissingSecurityHeader"),
}
_DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden"}
_REGION = {"PermanentRedirect", "IllegalLocationConstraintException"}
_BUSY = {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "InternalError"}


@dataclass(frozen=True, slots=True)
class Where:
    """What was asked for, to name it."""

    bucket: str
    key: str
    endpoint: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def translate(error: Exception, where: Where) -> TorporError:
    """Return the error as one of ours; retryable where the same question may be answered later."""
    match error:
        case TorporError():
            return error
        case boto.ClientError():
            return _answered(error, where)
        case boto.NoCredentialsError() | boto.PartialCredentialsError() | boto.CredentialRetrievalError():
            return ForbiddenError(
                f"{where.uri}: no complete credentials: {error}; name a ServiceAccount whose Secret has "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set s3-useanoncredential for a public bucket"
            )
        case boto.SSLError():
            return UnsupportedError(
                f"{where.uri}: the certificate of {where.endpoint} is not trusted: {error}; set AWS_CA_BUNDLE"
                ' to its CA, or serving.kserve.io/s3-verifyssl: "0" to take any'
            )
        case boto.ConnectionError() | boto.HTTPClientError():  # includes no such host, refused, timed out
            return UnavailableError(f"{where.uri}: the endpoint {where.endpoint} cannot be reached: {error}")
        case boto.ParamValidationError():
            return InvalidInputError("storageUri", where.uri, f"a bucket's name is needed: {error}")
        case boto.BotoCoreError() | urllib3.exceptions.HTTPError():  # cut off, too short, too slow
            return UnavailableError(f"{where.uri}: the connection to {where.endpoint} failed: {error}")
        case ValueError():
            return InvalidInputError(
                "AWS_ENDPOINT_URL", where.endpoint, f"an http:// or https:// address is needed: {error}"
            )
        case _:
            return UnavailableError(f"{where.uri}: the connection to {where.endpoint} failed: {error}")


def _answered(error: boto.ClientError, where: Where) -> TorporError:
    """The endpoint answered, and said no."""
    answer = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"{code}: {answer.get('Error', {}).get('Message', '')}".rstrip(": ")
    if code == "NoSuchBucket":
        return NotFoundError(f"{where.uri}: bucket {where.bucket!r} does not exist at {where.endpoint}")
    if code in {"NoSuchKey", "NoSuchVersion"} or status == 404:
        return NotFoundError(
            f"{where.uri}: {where.key!r} is not in bucket {where.bucket!r} at {where.endpoint} ({said})"
        )
    if code in _CREDENTIALS:
        return ForbiddenError(f"{where.uri}: {where.endpoint} does not accept these credentials ({said})")
    if code in _DENIED or status in {401, 403}:
        return ForbiddenError(f"{where.uri}: these credentials may not list and read this at {where.endpoint} ({said})")
    if code in _REGION or status in {301, 307}:
        region = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region", "another region")
        return InvalidInputError("AWS_DEFAULT_REGION", None, f"bucket {where.bucket!r} is in {region} ({said})")
    if status in {412, 416}:
        return UnavailableError(f"{where.uri}: changed while it was being fetched ({said})")
    if code in _BUSY or status >= 500 or status == 429:
        return UnavailableError(f"{where.uri}: {where.endpoint} is not able to answer now ({said or status})")
    return UnsupportedError(f"{where.uri}: {where.endpoint} refused ({said or status})")
