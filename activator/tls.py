"""The certificate of the data ports: as its Secret has it now, for every connection that begins from now on."""

from __future__ import annotations

import base64
import binascii
import logging
import ssl
import tempfile
from pathlib import Path

from torpor.errors import InvalidInputError
from torpor.kube import Change, Cluster, Informer, Recorder
from torpor.spec.kinds import SECRET, Object

log = logging.getLogger(__name__)

CERTIFICATE, KEY = "tls.crt", "tls.key"
"""Of a Secret of type kubernetes.io/tls."""
PROTOCOLS = ("http/1.1", "h2")
"""By their names in ALPN."""


class Certificate:
    """Connections keep the certificate that they began with; a new one that makes no sense changes nothing."""

    def __init__(self, secret: tuple[str, str], recorder: Recorder) -> None:
        """`secret` is (namespace, name)."""
        self._secret = secret
        self._recorder = recorder
        self._current: Object | None = None
        # By what is spoken under TLS: the context that new connections are handed to, none before there is one.
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.http, self.http2 = (self._front(protocol) for protocol in PROTOCOLS)
        """For the ports on which these are spoken."""

    def informer(self, cluster: Cluster) -> Informer:
        """Return what is to be run to follow the Secret."""
        namespace, name = self._secret
        only = f"metadata.name={name}"
        return Informer(cluster, SECRET, self.secret_changed, namespace=namespace, fields=only)

    def check(self) -> None:
        """Say so if there is no certificate."""
        if self._current is None:
            log.warning("Secret %s has no certificate that can be used: no connection is taken until it has", self.name)

    def secret_changed(self, change: Change) -> None:
        """The Secret came, changed, or went."""
        if change.key != self._secret:
            return
        if change.new is None:
            log.warning("Secret %s is gone; its last certificate is used on", self.name)
            return
        data = change.new.get("data") or {}
        if data == self._current:
            return
        try:
            certificate, key = (_decoded(data, name) for name in (CERTIFICATE, KEY))
            fresh = {protocol: _with(_context(protocol), certificate, key) for protocol in PROTOCOLS}
        except (InvalidInputError, ssl.SSLError) as error:
            kept = "no connection is taken" if self._current is None else "the one before is used on"
            said = f"its certificate cannot be used, and {kept}: {_why(error)}"
            log.warning("Secret %s: %s", self.name, said)
            self._recorder.emit(change.new, "Warning", "CertificateRefused", said)
            return
        self._contexts = fresh
        self._current = data
        log.info("Secret %s: its certificate is used for new connections", self.name)
        self._recorder.emit(change.new, "Normal", "CertificateUsed", "the certificate is used for new connections")

    @property
    def name(self) -> str:
        return "/".join(self._secret)

    def _front(self, protocol: str) -> ssl.SSLContext:
        """Return the context for a port: it has no certificate, but knows at each handshake who has."""
        front = _context(protocol)

        # OpenSSL calls this whether the client names a server or not.
        def hand_over(socket: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
            context = self._contexts.get(protocol)
            if context is None:
                return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
            socket.context = context
            return None

        front.sni_callback = hand_over
        return front


def _context(protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([protocol])
    return context


def _with(context: ssl.SSLContext, certificate: bytes, key: bytes) -> ssl.SSLContext:
    """Return the context, with a certificate: OpenSSL reads files alone, and these exist for a moment, for us alone."""
    with tempfile.TemporaryDirectory(prefix="torpor-tls-") as folder:
        chain, private = Path(folder, CERTIFICATE), Path(folder, KEY)
        for path, contents in ((chain, certificate), (private, key)):
            path.touch(mode=0o600)
            path.write_bytes(contents)
        context.load_cert_chain(chain, private, password=lambda: "")  # an encrypted key must not ask at the terminal
    return context


def _decoded(data: Object, name: str) -> bytes:
    raw = data.get(name)
    if not raw:
        raise InvalidInputError(f"data[{name}]", raw, "it must be there, in PEM")
    try:
        return base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(f"data[{name}]", "…", "it must be base64 of PEM") from error


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        said = (error.reason or str(error)).replace("_", " ").lower()
        return f"{said} (OpenSSL); {CERTIFICATE} and {KEY} must be PEM and belong together, the key not encrypted"
    return str(error)
