"""Read requests: from the parser's callbacks to exchanges with a head that is written anew."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httptools

from activator.access import credentials
from activator.access.guard import Guard
from activator.proxy import forwarding, identity, own
from activator.proxy.door import Door
from activator.proxy.exchange import Exchange
from activator.proxy.headers import COLON, CRLF, NO_TRAILER, REQUEST_SPECIAL, nominated, tokens, without
from activator.routing.match import TAG, Entry, split_target, tagged
from activator.waiting import asked
from torpor.errors import HeadTooLargeError, InvalidInputError, TooLargeError, TorporError, UnsupportedError

if TYPE_CHECKING:
    from activator.proxy.client import ClientConnection

log = logging.getLogger(__name__)


class RequestReader:
    """What httptools calls back; one per client connection."""

    __slots__ = (
        "_client",
        "_door",
        "_exchange",
        "_host",
        "_id",
        "_id_line",
        "_length",
        "_lines",
        "_marks",
        "_marks_host",
        "_most_lines",
        "_moved",
        "_parent",
        "_parser",
        "_peer",
        "_rare",
        "_replaying",
        "_scheme",
        "_shown",
        "_size",
        "_state",
        "_trailers",
        "_unmoved",
        "_url",
        "begun",
        "feeds",
        "in_head",
        "incomplete",
    )

    def __init__(self, client: ClientConnection, door: Door, peer: bytes, scheme: bytes = b"http") -> None:
        self._client = client
        self._door = door
        self._peer = peer
        self._scheme = scheme
        self._id_line = b"X-Request-Id: " + door.next_ids()
        self._parser = httptools.HttpRequestParser(self)
        # The request being read: its lines (name, colon, value, CRLF, …), and what was taken out of them.
        self._url = b""
        self._lines: list[bytes] = []
        self._most_lines = 4 * door.limits.head_fields
        self._host: bytes | None = None
        self._id: bytes | None = None
        self._parent: bytes | None = None
        self._state: bytes | None = None
        self._length: int | None = None
        self._rare: dict[bytes, bytes] | None = None
        self._shown: list[tuple[bytes, bytes]] = []
        """Credentials, which are not among the lines, by their names in lower case."""
        self._exchange: Exchange | None = None
        self._trailers: list[bytes] | None = None
        self._size = 0
        self.in_head = False
        self.incomplete = False
        """A request has begun to come, and not all of it is here."""
        # Bytes since head or body last got longer by something we keep or pass on: bounded, whatever they are.
        self._moved = False
        self._unmoved = 0
        self._replaying = False
        self.feeds = 0
        self.begun = 0
        # The last lines of a head depend on the Host header alone, which seldom changes within a connection.
        self._marks_host: bytes | None = None
        self._marks = b""

    def feed(self, data: bytes | memoryview) -> None:
        """Take in what the client sent. Never raises: what cannot be read ends in `client.refuse`."""
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._after_upgrade(memoryview(data)[upgrade.args[0] :])
                if data:
                    continue
            except httptools.HttpParserCallbackError as error:
                cause = error.__context__
                if not isinstance(cause, TorporError):
                    log.exception("reading a request failed", exc_info=cause)
                self._refuse(cause if isinstance(cause, Exception) else error)
            except httptools.HttpParserError as error:
                self._refuse(InvalidInputError("request", str(error), "send HTTP/1.1 as RFC 9112 has it"))
            else:
                if self.incomplete:
                    self._bound(len(data))
            return

    @property
    def exchange(self) -> Exchange | None:
        """The exchange whose request is being read, from the end of its head on."""
        return self._exchange if self.incomplete else None

    def seen(self) -> object:
        """Return something that changes whenever the client has sent something of meaning."""
        return self.feeds if self.incomplete else self._exchange

    def _bound(self, size: int) -> None:
        """Refuse a head, trailers or chunk extensions that never end."""
        self.feeds += 1
        if self._moved:
            self._moved = False
            self._unmoved = 0
            return
        self._unmoved += size
        lines = len(self._lines) + 4 * len(self._shown) if self._trailers is None else len(self._trailers)
        if self._unmoved > self._door.limits.head_bytes or lines > self._most_lines:
            self._refuse(self._too_large())

    def _refuse(self, error: Exception) -> None:
        # The connection, and so this, may stay for a moment; what was read so far may be much.
        self._lines = []
        self._trailers = None
        self._client.refuse(error)

    def _after_upgrade(self, rest: memoryview) -> bytes | memoryview:
        """Go on after the parser has stopped; returns what is still to be read."""
        exchange = self._exchange
        if exchange is not None and exchange.upgrade:
            self._client.await_tunnel(bytes(rest))
            return b""
        # An upgrade that is not offered here is ignored, as RFC 9110 says. The parser would take the body for something
        # else (Java's client asks for h2c with every POST), so a new one is told of the framing alone.
        self._parser = httptools.HttpRequestParser(self)
        if self.incomplete and exchange is not None:
            framing = b"Transfer-Encoding: chunked" if exchange.chunked else b"Content-Length: %d" % (self._length or 0)
            self._replaying = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
            self._replaying = False
        return rest

    # --- the parser's callbacks --------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._replaying:
            return
        self._url = b""
        self._lines.clear()
        self._host = self._id = self._length = self._rare = self._trailers = self._exchange = None
        self._parent = self._state = None
        if self._shown:
            self._shown = []
        self._unmoved = 0
        self.begun += 1
        self.in_head = self.incomplete = True

    def on_url(self, url: bytes) -> None:
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if self._replaying:
            return
        if not self.in_head:
            self._on_trailer(lower, name, value)
        elif lower not in REQUEST_SPECIAL:
            self._lines += (name, COLON, value, CRLF)
        elif lower == b"host":
            if self._host is not None:
                raise InvalidInputError("Host", value.decode("latin-1"), "send it once")
            self._host = value
        elif lower == b"content-length":
            self._length = int(value)  # the parser has made sure that it is digits, and that there is only one
        elif lower in identity.HEADERS:
            self._on_identity(lower, value)
        elif lower in credentials.HEADERS:
            self._shown.append((lower, value))
        else:
            if self._rare is None:
                self._rare = {}
            before = self._rare.get(lower)
            self._rare[lower] = value if before is None else before + b", " + value

    def _on_identity(self, lower: bytes, value: bytes) -> None:
        if lower == b"traceparent":
            self._parent = value if self._parent is None else b""  # two are none
        elif lower == b"tracestate":
            self._state = value if self._state is None else self._state + b"," + value
        elif self._id is None and identity.is_id(value):
            self._id = value

    def on_headers_complete(self) -> None:
        if self._replaying:
            return
        self.in_head = False
        method = self._parser.get_method()
        url, host, length = self._url, self._host, self._length
        exchange = Exchange(self._client, head_only=method == b"HEAD")
        # The plain case: HTTP/1.1 (or it would not be kept alive without having asked), nothing that is rare.
        plain = self._rare is None and host is not None and url[:1] == b"/" and b"#" not in url
        plain = plain and method != b"CONNECT"  # of which a pod would make a tunnel
        if plain and host is not None and self._parser.should_keep_alive():
            if host != self._marks_host:
                self._marks, self._marks_host = self._marks_for(host, {}), host
            marks = self._marks
        else:
            host, url, marks = self._read_rare(method, exchange)
        framing = CRLF if length is None else self._framing(length)
        given = self._id
        name = b"%b%x\r\n" % (self._id_line, self.begun) if given is None else b"X-Request-Id: %b\r\n" % given
        exchange.echo = name
        try:
            door = self._door
            entry, target = door.router.find(host, url)
            if entry.guard is not None or self._shown:
                marks = self._admit(entry.guard, method, target, exchange, marks)
            if target[:9] == own.PATH:
                self._begin(own.Polled(exchange, method, target, entry.namespace))
                return
            if self._rare is not None or self._parent is not None:
                entry, lines = self._read_context(entry)
                marks += lines
            exchange.throttler = door.lead(entry)
        except InvalidInputError:
            raise  # whoever names no host as RFC 9110 has it may mean something else by the rest too
        except TorporError as error:
            exchange.error = error
            self._begin(exchange)
            return
        head = b"".join((method, b" ", target, b" HTTP/1.1\r\n", *self._lines, marks, name, framing))
        exchange.head = self._bounded(head)
        if entry.mirror is not None:
            exchange.copy = door.mirroring.begin(entry.mirror, exchange)
        self._exchange = exchange = exchange if exchange.asked is None else own.later(exchange, url, target)
        self._client.begin(exchange)

    def _bounded(self, head: bytes) -> bytes:
        lines = len(self._lines) + 4 * len(self._shown)
        if len(head) > self._door.limits.head_bytes or lines > self._most_lines:
            raise self._too_large()
        return head

    def _begin(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._client.begin(exchange)

    def _framing(self, length: int) -> bytes:
        limit = self._door.limits.body_bytes
        if limit is not None and length > limit:
            raise self._too_long()
        return b"Content-Length: %d\r\n\r\n" % length

    def on_body(self, data: bytes) -> None:
        self._moved = True
        exchange = self._exchange
        if exchange is None:
            return
        limit = self._door.limits.body_bytes
        if limit is not None:
            self._size += len(data)
            if self._size > limit:
                raise self._too_long()
        exchange.send(data)

    def on_message_complete(self) -> None:
        if self._replaying or (self._rare is not None and self._is_early_end()):
            return
        self.incomplete = False
        self._size = 0
        exchange = self._exchange
        if exchange is not None:
            exchange.end(self._trailers)

    def _is_early_end(self) -> bool:
        """Tell whether the parser speaks of an end because of an upgrade that is ignored, before the body."""
        if not self._parser.should_upgrade():
            return False
        exchange = self._exchange
        return exchange is not None and not exchange.upgrade and (bool(self._length) or exchange.chunked)

    # --- what is rare ------------------------------------------------------------------------------------------

    def _on_trailer(self, lower: bytes, name: bytes, value: bytes) -> None:
        if self._trailers is None:
            self._trailers = []
        if lower not in NO_TRAILER:
            self._trailers += (name, COLON, value, CRLF)

    def _read_rare(self, method: bytes, exchange: Exchange) -> tuple[bytes, bytes, bytes]:
        """Return (host, target, marks), and set in the exchange what differs from the plain case."""
        rare = self._rare or {}
        version = self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise InvalidInputError("HTTP version", version, "use 1.1")
        exchange.http10 = version == "1.0"
        exchange.keep_alive = self._parser.should_keep_alive()
        host, target = self._read_target(method)
        if host is None:
            if not exchange.http10:
                raise InvalidInputError("Host", None, "HTTP/1.1 requires it")
            host = b""
        marks = self._marks_for(host, rare) + self._read_coding(rare, exchange)
        if b"expect" in rare:
            marks += self._read_expect(rare[b"expect"], exchange)
        if b"upgrade" in rare and self._parser.should_upgrade():
            marks += self._read_upgrade(rare[b"upgrade"], exchange)
        if not asked.HEADERS.isdisjoint(rare):
            exchange.asked, lines = asked.read(rare)
            marks += lines
        dropped = nominated(rare.get(b"connection", b""))
        if dropped:
            self._lines = without(self._lines, dropped)
            self._shown = [pair for pair in self._shown if pair[0] not in dropped]
        return host, target, marks

    def _read_target(self, method: bytes) -> tuple[bytes | None, bytes]:
        """Return (host, target as the pod shall see it)."""
        if method == b"CONNECT":
            raise UnsupportedError("CONNECT is for forward proxies; send the request itself")
        named_host, target = split_target(self._url)
        if target == b"*" and method != b"OPTIONS":
            raise InvalidInputError("request target", "*", "use it with OPTIONS alone")
        if b"#" in target:
            raise InvalidInputError("request target", target.decode("latin-1"), "leave out the fragment")
        return self._host if named_host is None else named_host, target

    def _read_context(self, entry: Entry) -> tuple[Entry, bytes]:
        """Return the entry that is meant, which may be a tag's, and the lines that tell the pod of tag and trace."""
        tag = (self._rare or {}).get(TAG)
        entry, lines = (entry, b"") if tag is None else tagged(entry, tag)
        return entry, lines if self._parent is None else lines + identity.trace_lines(self._parent, self._state)

    def _admit(self, guard: Guard | None, method: bytes, target: bytes, exchange: Exchange, marks: bytes) -> bytes:
        """Let the request in, or raise why not; returns what the pod is told of it, which is no credential of ours."""
        if guard is None:
            return marks + _written(self._shown)
        clock, shown = self._door.clock, credentials.of(self._shown) if self._shown else credentials.NOTHING
        now_s, wall_s = clock.monotonic(), clock.wall()
        grant = guard.admit(method, target, shown, now_s, wall_s, counted=target[:9] != own.PATH)
        exchange.grant = grant
        exchange.echo += grant.lines
        kept = [pair for pair in self._shown if pair[0] != grant.stripped] if self._shown else None
        if kept:
            marks += _written(kept)
        if grant.caller.batch:
            marks = asked.as_batch(marks)
        return marks + grant.caller.mark

    def _read_coding(self, rare: dict[bytes, bytes], exchange: Exchange) -> bytes:
        """Return the line about the body's framing, where it is chunked."""
        coding = rare.get(b"transfer-encoding")
        if coding is None:
            return b""
        # The parser refuses these too; a request that two parsers may read in two ways must not depend on one.
        if self._length is not None or exchange.http10:
            said = coding.decode("latin-1")
            raise InvalidInputError("Transfer-Encoding", said, "not with Content-Length, nor in HTTP/1.0")
        if coding.lower() != b"chunked":
            raise UnsupportedError(f"Transfer-Encoding {coding.decode('latin-1')!r} is not known here; use chunked")
        exchange.chunked = True
        return b"Transfer-Encoding: chunked\r\n"

    @staticmethod
    def _read_expect(value: bytes, exchange: Exchange) -> bytes:
        if value.lower() != b"100-continue":
            raise InvalidInputError("Expect", value.decode("latin-1"), "use 100-continue")
        if exchange.http10:
            return b""
        exchange.expects = True
        return b"Expect: 100-continue\r\n"

    def _read_upgrade(self, value: bytes, exchange: Exchange) -> bytes:
        """Return the lines that ask the pod for a websocket; other upgrades are not passed on."""
        if tokens(value) != [b"websocket"] or exchange.http10 or self._length or exchange.chunked:
            return b""
        exchange.upgrade = True
        return b"Connection: Upgrade\r\nUpgrade: websocket\r\n"

    def _marks_for(self, host: bytes, rare: dict[bytes, bytes]) -> bytes:
        """Return Host and who asked for what: the runtime contract's Forwarded, and its older relatives."""
        believed = forwarding.trusted(self._peer, self._door.limits.trusted_proxies)
        pairs = forwarding.fields(rare, self._peer, host, self._scheme, believed=believed)
        return b"Host: %b\r\n%b" % (host, b"".join(b"%b: %b\r\n" % pair for pair in pairs))

    def _too_large(self) -> HeadTooLargeError:
        limits = self._door.limits
        most = f"{limits.head_bytes} bytes or {limits.head_fields} fields"
        return HeadTooLargeError(f"the header section is over its limit of {most}")

    def _too_long(self) -> TooLargeError:
        return TooLargeError(f"the body is over the limit of {self._door.limits.body_bytes} bytes")


def _written(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Return fields as the lines of a head."""
    return b"".join(b"%b: %b\r\n" % pair for pair in pairs)
