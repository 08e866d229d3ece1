"""Puts a handler of http.server on a public URL, without listening anywhere.

    from http.server import SimpleHTTPRequestHandler
    import reversehttp

    reversehttp.serve(SimpleHTTPRequestHandler, "http://localhost:8080")

The handler is any subclass of BaseHTTPRequestHandler, unchanged: do_GET and
its like, self.path, self.headers, self.rfile, self.wfile, send_response and
so on. Each request has a thread of its own. What differs from http.server:

* self.rfile gives the content to its end, however long. Content of unknown
  length has no Content-Length here either; the coding "chunked" is gone.
  Reading fails with ConnectionError where the visitor does not send it all.
* What is written to self.wfile reaches the visitor as it comes: at once after
  flush(), and else 20 ms after the first write. Writing waits while the
  visitor is slow, and fails with BrokenPipeError once nobody wants it.
* self.envelope is the request as the gateway gave it, a dictionary: id, url,
  base, target, attempt and so on. self.path is the target without the base.
* An exception in the handler becomes a 500, or cuts short what it had begun.
* send_response_only(103) with fields is sent as Early Hints. WebSockets are
  not for this client; handle() and parse_request() are not called.

A gateway that is away at the start is waited for, which is said once on
standard error; wait=False makes that an error. HTTP_PROXY, HTTPS_PROXY and
NO_PROXY count as they do for urllib.

serve_wsgi(application) serves any WSGI application (PEP 3333), and
serve_asgi(application) any of ASGI 3 (HTTP and lifespan), in the same way.

Delivery is at most once: a request that a handler may have begun is begun by
no other. The label is taken back with its token after the connection, or the
gateway, was gone.

Python 3.8 or later, and its standard library. One file: copy it.
The protocol is that of schema/README.md.
"""
import asyncio
import base64
import collections
import concurrent.futures
import functools
import http.client
import io
import json
import queue
import random
import socket
import sys
import threading
import time
import traceback
import urllib.request
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, unquote_to_bytes, urljoin, urlsplit

__all__ = ["GatewayError", "Server", "serve", "serve_asgi", "serve_wsgi"]

# How long to wait for an answer of the gateway, in seconds, beyond the wait
# of a poll; and for one that is held back while a visitor is slow, which the
# gateway ends sooner.
_CALL = 30
_HELD = 600
# How long a part of an answer is tried to be sent again.
_PART = 60
# Below so many bytes a part is not cut again where it was too large for
# something on the way.
_LEAST_PART = 1024
# What is written waits so long, and up to so much of it, for more.
_WHOLE_SECONDS = 0.02
_WHOLE_BYTES = 65536
# The largest head of a handler's answer.
_HEAD_BYTES = 128 << 10
_MOST_THREADS = 1024
_REMEMBERED = 4096
_IDLE_CONNECTIONS = 8
# What becomes of a request where the gateway, or the way to it, is no good.
_FAILURES = (OSError, http.client.HTTPException, ValueError, LookupError,
             TypeError)


class GatewayError(OSError):
    """A refusal by the gateway; code is one of section 8 of the protocol."""

    def __init__(self, status, code, detail="", retry_after=0.0):
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after

    @property
    def _over(self):
        """The session is over; another is needed."""
        return self.code != "claim_deleted" and (
            self.status in (404, 409, 410)
            or self.code in ("draining", "bad_cursor"))

    @property
    def _final(self):
        """The same again would be refused again."""
        return (400 <= self.status < 500 and self.code != "unexpected"
                and self.status not in (408, 429) and not self._over)


def serve(handler, gateway="http://localhost:8080", *, ready=None, **options):
    """Serves until the claim is lost, or Control-C.

    ready is called with the public URL; without it the URL is printed. The
    other options are those of Server.
    """
    try:
        with Server(handler, gateway, **options) as server:
            if ready:
                ready(server.url)
            else:
                print(server.url, flush=True)
            server.serve_forever()
    except KeyboardInterrupt:
        pass


def serve_wsgi(application, gateway="http://localhost:8080", **options):
    """Serves a WSGI application (PEP 3333), as serve does a handler. Its
    requests run side by side, each on a thread of its own."""
    serve(functools.partial(_WSGI, application), gateway, **options)


def serve_asgi(application, gateway="http://localhost:8080", **options):
    """Serves an ASGI 3 application, as serve does a handler: HTTP, and
    lifespan where it has that. It runs on one event loop."""
    with _Loop(application) as loop:
        serve(functools.partial(_ASGI, loop), gateway, **options)


class Server:
    """A label on a gateway, in the shape of http.server.HTTPServer.

    label: which one; without it the gateway picks one.
    token: what owns it; without it the gateway mints one.
    key: for a gateway that lends labels to holders of a key only.
    lease: how long the label is kept while nobody polls, in seconds.
    drain: how long server_close() waits for what runs, in seconds.
    wait: whether the constructor waits for a gateway that does not answer.

    The constructor claims the label, and raises GatewayError where it may
    not, ValueError for what is no URL, and without wait another OSError where
    no gateway answers. A token that is kept has the label back.
    """

    def __init__(self, handler, gateway="http://localhost:8080", *, label=None,
                 token=None, key=None, lease=None, drain=5.0, wait=True):
        self._handler = _adapted(handler)
        self._drain = drain
        self._key = key
        self._wish = {"label": label, "token": token, "lease": lease}
        # Guards what follows, and tells of its changes.
        self._changed = threading.Condition()
        self._live = {}
        self._over = collections.OrderedDict()
        self._waiting = collections.deque()
        self._threads = 0
        self._late = collections.OrderedDict()
        self._idle = []
        self._session = None
        self._polling = None
        self._stopping = self._closed = False
        self._stopped = threading.Event()
        self._stopped.set()
        # The most content of a part, which something on the way may lower.
        self._part_bytes = _WHOLE_BYTES
        self._begin(gateway, wait)
        threading.Thread(target=self._send_late, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server_close()

    @property
    def url(self):
        """The public URL, with a final slash."""
        return self._session.claim["url"]

    @property
    def label(self):
        return self._session.claim["label"]

    @property
    def token(self):
        """The secret that owns the label."""
        return self._session.claim["token"]

    @property
    def server_address(self):
        """Host and port of the public URL."""
        parts = urlsplit(self.url)
        return parts.hostname, parts.port or _default_port(parts)

    def serve_forever(self):
        """Serves until shutdown(). Raises GatewayError when the label, or
        the claim, is somebody else's or is gone."""
        self._stopped.clear()
        try:
            self._poll_on()
        finally:
            self._stopped.set()

    def shutdown(self):
        """Ends serve_forever() and waits for that. What runs goes on."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            _cut(self._polling)
        self._stopped.wait()

    def server_close(self):
        """Lets what runs be answered, for a while, and ends the session.

        The label is kept for its lease. May be called again.
        """
        if self._closed:
            return
        self.shutdown()
        with self._changed:
            self._changed.wait_for(lambda: not self._live, self._drain)
            self._closed = True
            for exchange in self._live.values():
                exchange.cancel()
            self._changed.notify_all()
        session = self._session
        try:
            if not session.ended:
                self._call("DELETE", session.claim["session"], wait=5,
                           fields={"Last-Event-ID": session.cursor})
        except _FAILURES:
            pass  # The gateway finds out: nobody polls any more.
        for connection in self._idle:
            connection.close()

    def handle_error(self, request, client_address):
        """Is called when a handler failed; prints why."""
        traceback.print_exc()

    # What follows polls. Invariants: one poll at a time; its cursor names
    # what was begun, so the gateway gives again what never came here.

    def _poll_on(self):
        backoff = _Backoff()
        failed = False
        while not self._stopping:
            try:
                session = self._session
                if session.ended:
                    self._claim()
                    failed = False
                    continue
                wait = 0 if failed else session.claim["limits"]["waitSeconds"]
                since = time.monotonic()
                batch = self._call(
                    "GET", session.claim["requests"], wait=wait + 5, poll=True,
                    fields={"Prefer": f"wait={wait}",
                            "Last-Event-ID": session.cursor})
                if batch:
                    # First, for Control-C in between must leave nothing to
                    # others that was begun here.
                    session.cursor = batch["cursor"]
                    for message in batch["messages"]:
                        self._take(message)
                # Who answers sooner than asked did not wait.
                if batch or not wait or time.monotonic() - since > 1:
                    backoff.reset()
                else:
                    self._rest(backoff.next())
                failed = False
            except _FAILURES as e:
                failed = True
                if self._stopping:
                    return
                if isinstance(e, GatewayError):
                    if e._over:
                        session.ended = True
                        session.lost |= e.code != "draining"
                    elif e._final or e.code == "claim_deleted":
                        session.ended = session.lost = True
                        raise
                self._rest(backoff.next(getattr(e, "retry_after", 0)))

    def _rest(self, seconds):
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _begin(self, gateway, wait):
        """Claims the label, once there is a gateway."""
        backoff = _Backoff(5)
        said = False
        while True:
            try:
                self._claims = self._find(gateway)
                self._claim()
                return
            except ValueError:
                raise
            except _FAILURES as e:
                if not wait or isinstance(e, GatewayError) and e.status < 500:
                    raise
                if not said:
                    print(f"reversehttp: {e}; waiting for it",
                          file=sys.stderr, flush=True)
                said = True
            time.sleep(backoff.next())

    def _find(self, gateway):
        """Asks a gateway where labels are claimed."""
        parts = urlsplit(gateway)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"{gateway}: give the gateway as http://... or https://...")
        try:
            known = urljoin(gateway, "/.well-known/reversehttp")
            return self._call("GET", known)["claims"]
        except GatewayError as e:
            if e._final or e.status < 500:
                raise
            raise ConnectionError(
                f"{gateway}: no gateway answers there ({e})") from None
        except _FAILURES as e:
            raise ConnectionError(
                f"{gateway}: no gateway answers there ({e!r}): "
                "start it, or name another") from None

    def _claim(self):
        wish = {k: v for k, v in self._wish.items() if v is not None}
        claim = self._call("POST", self._claims, wish, bearer=self._key or "")
        with self._changed:
            if not self._session:
                self._part_bytes = claim["limits"].get(
                    "partBytes", self._part_bytes)
            self._session = _Session(claim)
            self._wish.update(label=claim["label"], token=claim["token"])
            self._changed.notify_all()

    def _lose(self, session):
        """Takes note that the gateway takes no answers of a session."""
        with self._changed:
            session.ended = session.lost = True
            if session is self._session:
                _cut(self._polling)

    def _take(self, message):
        xid = message.get("id")
        with self._changed:
            live = self._live.get(xid)
            if message["type"] == "cancel" and live:
                live.cancel()
            if message["type"] != "request":
                return
            if live:
                live.again = True
                return
            # An id is begun once. An answer that a lost session could not
            # deliver is posted again.
            answer = self._over.get(xid)
            if xid in self._over and not answer:
                return
            self._live[xid] = _Exchange(self, message, answer)
            self._waiting.append(self._live[xid])
            limit = self._session.claim["limits"]["queue"]
            if self._threads < min(limit, _MOST_THREADS):
                self._threads += 1
                threading.Thread(target=self._work, daemon=True).start()

    def _work(self):
        while True:
            with self._changed:
                if not self._waiting:
                    self._threads -= 1
                    return
                exchange = self._waiting.popleft()
            try:
                exchange.run(self._handler)
            except Exception:
                traceback.print_exc()
            with self._changed:
                del self._live[exchange.id]
                self._over[exchange.id] = exchange.untaken
                if len(self._over) > _REMEMBERED:
                    self._over.popitem(last=False)
                self._changed.notify_all()

    def _send_late(self):
        """Begins to send the answers whose handlers take their time."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._late or self._closed)
                if self._closed:
                    return
                answer, due = next(iter(self._late.items()))
                wait = due - time.monotonic()
                if wait <= 0:
                    del self._late[answer]
            if wait > 0:
                time.sleep(wait)
            else:
                threading.Thread(target=answer.begin, daemon=True).start()

    # What follows sends requests to the gateway.

    def _post(self, message, exchange):
        """Posts one message; gives its result, None when it is too late."""
        backoff = _Backoff()
        deadline = exchange.deadline
        if message["type"] == "part":
            deadline = time.monotonic() + _PART
        while time.monotonic() < deadline and not self._closed:
            session = self._session
            asked = 0
            try:
                if not session.lost:
                    with self._changed:
                        exchange.again = False
                    answer = self._call("POST", session.claim["responses"],
                                        message, wait=_HELD)
                    result = answer["results"][0]
                    with self._changed:
                        # It became this session's meanwhile.
                        repeat = exchange.again
                    if result["status"] != "unknown" or not repeat:
                        return result
            except GatewayError as e:
                asked = e.retry_after
                if e._over and e.code != "draining":
                    self._lose(session)
                elif e.status == 413:
                    return {"status": "too large", "detail": str(e)}
                elif e._final:
                    return {"status": "invalid", "detail": str(e)}
            except _FAILURES:
                pass
            with self._changed:
                self._changed.wait_for(
                    lambda: self._session is not session or self._closed,
                    min(backoff.next(asked),
                        max(0, deadline - time.monotonic())))
        return None

    def _call(self, method, url, message=None, *, fields=(), bearer=None,
              wait=0, poll=False):
        """Sends a request; gives the JSON of its answer, None where none."""
        content = None
        headers = dict(fields)
        if self._session and bearer is None:
            bearer = self._session.claim["token"]
        if bearer:
            headers["Authorization"] = "Bearer " + bearer
        if message is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(message, ensure_ascii=False).encode()
        while True:
            connection, used = self._connect(url)
            try:
                connection.timeout = wait + _CALL
                if not connection.sock:
                    connection.connect()
                connection.sock.settimeout(wait + _CALL)
                if poll:
                    self._watch(connection.sock)
                connection.request(method, connection.target(url), content,
                                   {**connection.fields, **headers})
                response = connection.getresponse()
                answer = response.read()
                break
            except BaseException as e:
                connection.close()
                # One that waited unused may have been closed meanwhile;
                # each of these requests may be sent again.
                if (not used or poll and self._stopping
                        or not isinstance(e, _FAILURES)):
                    raise
            finally:
                if poll:
                    self._watch(None)
        if response.will_close or len(self._idle) >= _IDLE_CONNECTIONS:
            connection.close()
        else:
            self._idle.append(connection)
        return _json(response, answer)

    def _watch(self, sock):
        """Notes which connection shutdown() is to cut."""
        with self._changed:
            self._polling = sock
            if sock and self._stopping:
                raise ConnectionAbortedError("stopping")

    def _connect(self, url):
        """Gives a connection, and whether it was used before."""
        parts = urlsplit(url)
        try:
            connection = self._idle.pop()
        except IndexError:
            return _connection(parts), False
        if connection.origin == parts[:2]:
            return connection, True
        connection.close()
        return _connection(parts), False


class _Session:
    """One session of the claim. ended: it gets nothing any more; lost: it
    cannot answer either."""

    def __init__(self, claim):
        self.claim = claim
        self.cursor = claim["cursor"]
        self.ended = self.lost = False


class _Exchange:
    """One request and its answer: what a handler has for a connection."""

    def __init__(self, server, envelope, untaken):
        self.server = server
        self.envelope = envelope
        self.id = envelope["id"]
        self.deadline = time.monotonic() + envelope["timeoutMs"] / 1000
        self.again = False
        # The answer that no session took.
        self.untaken = untaken
        self.cancelled = False
        # Connections that end when nobody waits for the answer any more.
        self.streams = []
        # Is called, with the lock held, when nobody does.
        self.on_cancel = lambda: None
        self.rfile = io.BufferedReader(_Content(self))
        self.wfile = _Answer(self)

    def run(self, handler):
        if self.untaken:
            self.post(self.untaken)
            return
        if self.cancelled:
            return
        host, _, port = self.envelope["remoteAddr"].rpartition(":")
        address = (host.strip("[]"), int(port))
        try:
            handler(self, address, self.server)
            self.wfile.end()
        except Exception:
            if not self.cancelled:
                self.server.handle_error(self, address)
            self.wfile.fail()
        finally:
            for stream in self.streams:
                stream.close()

    def post(self, message):
        """Posts a message; says whether the gateway took it."""
        result = self.server._post(message, self)
        status = result and result["status"]
        whole = message["type"] == "response" and not message.get("more")
        self.untaken = message if status == "unknown" and whole else None
        if status == "invalid":
            print(f"{self.envelope['method']} {self.envelope['target']}: "
                  f"{result.get('pointer', '')} {result.get('detail')}",
                  file=sys.stderr)
        return status

    def open(self, method, url):
        """Begins a request that the end of the exchange ends."""
        connection = _connection(urlsplit(url))
        connection.timeout = _HELD
        connection.connect()
        with self.server._changed:
            self.check()
            # The connection forgets its socket where the answer ends it.
            self.streams.append(connection.sock)
        token = self.server._session.claim["token"]
        connection.putrequest(method, connection.target(url),
                              skip_accept_encoding=True)
        connection.putheader("Authorization", "Bearer " + token)
        for name, value in connection.fields.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection

    def check(self):
        if self.cancelled:
            raise BrokenPipeError("the visitor has left, or time is over")

    def cancel(self):
        """Makes reading and writing fail. The caller holds the lock."""
        self.cancelled = True
        self.on_cancel()
        for stream in self.streams:
            _cut(stream)


class _Content(io.RawIOBase):
    """The content of a request, which is asked for when it is read."""

    def __init__(self, exchange):
        envelope = exchange.envelope
        self._exchange = exchange
        self._source = None
        self._left = None
        self._url = envelope.get("bodyUrl")
        if "bodyBase64" in envelope:
            self._source = io.BytesIO(base64.b64decode(envelope["bodyBase64"]))
        elif not self._url or "upgrade" in envelope:
            self._source = io.BytesIO(envelope.get("body", "").encode())

    def readable(self):
        return True

    def is_here(self):
        """Whether all of it came with the request."""
        return isinstance(self._source, io.BytesIO)

    def readinto(self, buffer):
        try:
            if self._source is None:
                connection = self._exchange.open("GET", self._url)
                self._source = connection.getresponse()
                if self._source.status != 200:
                    answer = self._source.read()
                    _json(self._source, answer)
                self._left = self._source.length
            # read1 gives what has come, and does not count what is left.
            most = len(buffer)
            if self._left is not None:
                most = min(most, self._left)
            piece = self._source.read1(most) if most else b""
            if self._left:
                if not piece:
                    raise http.client.IncompleteRead(b"")
                self._left -= len(piece)
            buffer[:len(piece)] = piece
            return len(piece)
        except http.client.HTTPException as e:
            raise ConnectionResetError("the content is cut short") from e


class _Answer(io.RawIOBase):
    """What a handler writes: heads and content of HTTP/1.

    It is sent as one message where it ends soon, and in parts otherwise, each
    of which a proxy on the way lets through at once.
    """

    def __init__(self, exchange):
        self._exchange = exchange
        self._lock = threading.Lock()  # Guards what follows.
        self._head = b""
        self._message = None
        self._chunks = None
        self._content = bytearray()
        self._silent = self._skipped = False
        self._sent = 0  # Messages.
        self._over = False

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        with self._lock:
            self._check()
            rest = self._read_heads(data)
            if self._message is None:
                return len(data)
            if self._chunks:
                rest = self._chunks.take(rest)
            if self._message["status"] not in (204, 205, 304):
                self._content += rest
            if self._silent:
                # Of content that nobody gets only its length matters.
                if len(self._content) > _WHOLE_BYTES:
                    self._content.clear()
                    self._skipped = True
            elif len(self._content) > (
                    self._exchange.server._part_bytes if self._sent
                    else _WHOLE_BYTES):
                self._send()
            else:
                self._wait()
        return len(data)

    def flush(self):
        if self.closed:
            return
        with self._lock:
            if self._message and not self._silent:
                self._check()
                if self._content or not self._sent:
                    self._send()

    def begin(self):
        """Sends what there is: the handler takes its time."""
        with self._lock:
            try:
                if (not self._over and not self._exchange.cancelled
                        and (self._content or not self._sent)):
                    self._send()
            except _FAILURES:
                self._over = True

    def end(self):
        """The handler is done."""
        with self._lock:
            self._forget()
            if self._over or self._exchange.cancelled:
                return
            if self._message is None or self._chunks and not self._chunks.done:
                raise ValueError("the handler gave no whole answer")
            if self._skipped:
                self._content.clear()
            try:
                self._send(last=True)
            except BrokenPipeError:
                pass  # Nobody wants it, or post() has said why.
            finally:
                self._over = True

    def fail(self):
        """The handler failed."""
        with self._lock:
            self._forget()
            if not self._over and not self._exchange.cancelled:
                self._exchange.post(self._abort() if self._sent
                                    else self._failure())
            self._over = True

    def _abort(self):
        """Cuts the answer short."""
        return {"type": "abort", "id": self._exchange.id,
                "reason": "the handler failed"}

    def _failure(self):
        message = {"type": "response", "id": self._exchange.id, "status": 500,
                   "headers": [["Content-Type", "text/plain"]]}
        return _with_content(message, b"error 500")

    def _check(self):
        self._exchange.check()
        if self._over:
            raise BrokenPipeError("the answer is over")

    def _wait(self):
        """Has begin() called, unless the handler is quick."""
        server = self._exchange.server
        with server._changed:
            if self not in server._late:
                due = time.monotonic() + _WHOLE_SECONDS
                server._late[self] = due
                server._changed.notify_all()

    def _forget(self):
        server = self._exchange.server
        with server._changed:
            server._late.pop(self, None)

    def _read_heads(self, data):
        """Takes heads from the front of what is written; gives the rest."""
        while self._message is None:
            self._head += data
            head, blank, data = self._head.partition(b"\r\n\r\n")
            if not blank:
                if len(self._head) > _HEAD_BYTES:
                    raise ValueError("a head without an end")
                return b""
            self._head = b""
            line, *lines = head.decode("latin-1").split("\r\n")
            status = int(line.split(" ", 2)[1])
            fields = [[n, v.strip(" \t")] for n, _, v in
                      (line.partition(":") for line in lines)]
            message = {"id": self._exchange.id, "status": status}
            if status < 200:
                if status == 101:
                    raise ValueError("this client has no upgrades")
                if status > 101:
                    self._exchange.post(
                        {**message, "type": "interim", "headers": fields})
                continue
            coded = [f for f in fields if f[0].lower() == "transfer-encoding"]
            if [f[1].lower() for f in coded] == ["chunked"]:
                fields.remove(coded[0])
                self._chunks = _Chunks()
            self._silent = (self._exchange.envelope["method"] == "HEAD"
                            or status in (204, 205, 304))
            self._message = {**message, "type": "response", "headers": fields}
        return data

    def _send(self, last=False):
        """Sends what there is, in parts of a size that gets through."""
        server = self._exchange.server
        while True:
            size = server._part_bytes
            piece = bytes(self._content[:size])
            more = not last or len(self._content) > size
            message = self._message
            if self._sent:
                message = {"type": "part", "id": self._exchange.id,
                           "seq": self._sent}
            if more:
                message = {**message, "more": True}
            status = self._exchange.post(_with_content(message, piece))
            if status == "too large" and len(piece) > _LEAST_PART:
                # For a proxy on the way, or for the gateway.
                server._part_bytes = min(server._part_bytes, len(piece) // 2)
                continue
            if status not in ("accepted", "duplicate"):
                self._refused(status)
                return
            del self._content[:len(piece)]
            self._sent += 1
            if not more or not last and not self._content:
                return

    def _refused(self, status):
        self._over = True
        if status in ("invalid", "too large"):
            self._exchange.post(self._abort() if self._sent
                                else self._failure())
        raise BrokenPipeError(f"the answer is {status or 'late'}")


class _Chunks:
    """Undoes the coding of a handler that writes its own chunks."""

    def __init__(self):
        self.done = False
        self._rest = b""
        self._left = 0

    def take(self, data):
        self._rest += data
        content = b""
        while self._rest and not self.done:
            if self._left > 2:
                piece = self._rest[:self._left - 2]
                content += piece
            elif self._left:
                piece = self._rest[:self._left]
            else:
                line, end, rest = self._rest.partition(b"\r\n")
                if not end:
                    if len(line) > 4096:
                        raise ValueError("no size of a chunk")
                    break
                size = int(line.partition(b";")[0], 16)
                if size < 0:
                    raise ValueError("no size of a chunk")
                self.done = size == 0
                self._rest, self._left = rest, size + 2
                continue
            self._rest = self._rest[len(piece):]
            self._left -= len(piece)
        return content


class _Adapter(BaseHTTPRequestHandler):
    """Stands between a handler's class and BaseHTTPRequestHandler: what came
    from a socket comes from an exchange."""

    def setup(self):
        self.connection = self.request
        self.rfile = self.request.rfile
        self.wfile = self.request.wfile
        self.close_connection = True

    def handle(self):
        self.receive()
        method = getattr(self, "do_" + self.command, None)
        if method:
            method()
        else:
            self.send_error(501, f"Unsupported method ({self.command!r})")

    def receive(self):
        """Takes the request."""
        self.envelope = envelope = self.request.envelope
        self.command = envelope["method"]
        self.path = _without_base(envelope["target"], envelope["base"])
        self.request_version = "HTTP/" + envelope["httpVersion"]
        self.requestline = (
            f"{self.command} {self.path} {self.request_version}")
        self.raw_requestline = self.requestline.encode("latin-1") + b"\r\n"
        self.headers = self.MessageClass()
        for name, value in envelope["headers"]:
            self.headers[name] = value

    def finish(self):
        pass


class _Application(BaseHTTPRequestHandler):
    """What a request of an application has from its envelope."""

    def parts(self):
        """Gives root, path and query of the target."""
        path, _, query = self.path.partition("?")
        return urlsplit(self.envelope["base"]).path[:-1], path, query

    def head(self, status, fields):
        """Writes the head of the answer, as it is given."""
        lines = [f"HTTP/1.1 {status}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in fields]
        self.wfile.write("".join(lines).encode("latin-1") + b"\r\n")


class _WSGI(_Application):
    def __init__(self, application, *args):
        self.application = application
        super().__init__(*args)

    def handle(self):
        self.receive()
        head = None
        sent = False

        def write(data):
            nonlocal sent
            if head is None:
                raise AssertionError("write() before start_response()")
            if not sent:
                sent = True
                self.head(*head)
            if data:
                self.wfile.write(data)

        def start_response(status, fields, exc_info=None):
            nonlocal head
            if exc_info:
                try:
                    if sent:
                        raise exc_info[1].with_traceback(exc_info[2])
                finally:
                    exc_info = None
            elif head is not None:
                raise AssertionError("start_response() was called before")
            head = status, list(fields)
            return write

        result = self.application(self.environ(), start_response)
        try:
            for piece in result:
                if piece:
                    write(piece)
            write(b"")
        finally:
            if hasattr(result, "close"):
                result.close()

    def environ(self):
        root, path, query = self.parts()
        url = urlsplit(self.envelope["base"])
        environ = {
            "REQUEST_METHOD": self.command, "SCRIPT_NAME": root,
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query, "SERVER_NAME": url.hostname,
            "SERVER_PORT": str(url.port or _default_port(url)),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "REMOTE_PORT": str(self.client_address[1]),
            "RAW_URI": self.envelope["target"],
            "wsgi.version": (1, 0), "wsgi.url_scheme": url.scheme,
            "wsgi.input": self.rfile, "wsgi.errors": sys.stderr,
            "wsgi.multithread": True, "wsgi.multiprocess": False,
            "wsgi.run_once": False, "wsgi.input_terminated": True,
        }
        for name, value in self.envelope["headers"]:
            key = name.upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = "HTTP_" + key
            if key in environ:
                value = environ[key] + (
                    "; " if key == "HTTP_COOKIE" else ", ") + value
            environ[key] = value
        return environ


class _ASGI(_Application):
    """Runs an exchange of an application on the event loop. This thread
    writes, for writing may wait; another reads, where content is fetched."""

    def __init__(self, loop, *args):
        self.loop = loop
        super().__init__(*args)

    def handle(self):
        self.receive()
        self.jobs = queue.SimpleQueue()
        self.reading = None
        self.unread = True
        self.began = self.ended = False
        running = asyncio.run_coroutine_threadsafe(self.run(), self.loop.loop)
        running.add_done_callback(lambda _: self.jobs.put(None))
        _work(self.jobs)
        if self.reading:
            self.reading.put(None)
        running.result()
        if not self.ended:
            raise RuntimeError("the application gave no whole answer")

    async def run(self):
        self.over = asyncio.Event()
        loop = self.loop.loop

        def cancelled():
            loop.call_soon_threadsafe(self.over.set)

        with self.request.server._changed:
            self.request.on_cancel = cancelled
            if self.request.cancelled:
                self.over.set()
        await self.loop.application(self.scope(), self.next, self.send)

    def scope(self):
        root, path, query = self.parts()
        url = urlsplit(self.envelope["base"])
        return {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": self.envelope["httpVersion"],
            "method": self.command, "scheme": url.scheme,
            "path": root + unquote(path),
            "raw_path": (root + path).encode("latin-1"),
            "query_string": query.encode("latin-1"), "root_path": root,
            "headers": [(n.lower().encode("latin-1"), v.encode("latin-1"))
                        for n, v in self.envelope["headers"]],
            "client": self.client_address,
            "server": (url.hostname, url.port or _default_port(url)),
            "state": self.loop.state.copy(),
        }

    async def next(self):
        """The application's receive()."""
        if self.unread and not self.over.is_set():
            if self.reading is None and self.rfile.raw.is_here():
                piece = self.rfile.read()
            else:
                if self.reading is None:
                    self.reading = queue.SimpleQueue()
                    threading.Thread(target=_work, args=(self.reading,),
                                     daemon=True).start()
                try:
                    piece = await self.by(self.reading, self.rfile.read1)
                except OSError:
                    self.over.set()
                    piece = b""
            if not self.over.is_set():
                self.unread = bool(piece) and not self.rfile.raw.is_here()
                return {"type": "http.request", "body": piece,
                        "more_body": self.unread}
        await self.over.wait()
        return {"type": "http.disconnect"}

    async def send(self, event):
        kind = event["type"]
        if kind == "http.response.start" and not self.began:
            self.began = True
            fields = [(n.decode("latin-1"), v.decode("latin-1"))
                      for n, v in event.get("headers", ())]
            self.started = event["status"], fields
        elif kind == "http.response.body" and self.began and not self.ended:
            more = event.get("more_body", False)
            try:
                await self.by(self.jobs, self.write, event.get("body", b""))
            except BrokenPipeError:
                self.over.set()
                raise
            if not more:
                self.ended = True
                self.over.set()
        else:
            raise RuntimeError(f"{kind} is not expected here")

    def write(self, body):
        if self.started:
            self.head(*self.started)
            self.started = None
        if body:
            self.wfile.write(body)

    def by(self, jobs, function, *args):
        """Has a thread call a function, and gives what is to be awaited."""
        future = concurrent.futures.Future()
        jobs.put((future, function, args))
        return asyncio.wrap_future(future)


def _work(jobs):
    """Does jobs until there is None."""
    while True:
        job = jobs.get()
        if job is None:
            return
        future, function, args = job
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(function(*args))
        except BaseException as e:
            future.set_exception(e)


class _Loop:
    """An event loop on a thread, and the lifespan of an application."""

    def __init__(self, application):
        self.application = application
        self.state = {}
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever,
                                        daemon=True)

    def __enter__(self):
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_):
        try:
            self._do(self._end())
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    async def _start(self):
        self._events, self._answers = asyncio.Queue(), asyncio.Queue()
        scope = {"type": "lifespan", "state": self.state,
                 "asgi": {"version": "3.0", "spec_version": "2.0"}}
        self._lifespan = asyncio.ensure_future(self.application(
            scope, self._events.get, self._answers.put))
        await self._tell("startup")

    async def _end(self):
        await self._tell("shutdown")
        self._lifespan.cancel()

    async def _tell(self, what):
        """Tells the application, which may have no lifespan."""
        if self._lifespan.done():
            return
        await self._events.put({"type": "lifespan." + what})
        answer = asyncio.ensure_future(self._answers.get())
        await asyncio.wait([answer, self._lifespan],
                           return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            self._lifespan.exception()  # It says that there is none.
        elif answer.result()["type"] == f"lifespan.{what}.failed":
            raise RuntimeError(answer.result().get("message")
                               or f"the {what} of the application failed")


def _adapted(handler):
    if isinstance(handler, functools.partial):
        return functools.partial(_adapted(handler.func), *handler.args,
                                 **handler.keywords)
    # handle of _Adapter comes before that of BaseHTTPRequestHandler, and
    # after what the class itself overrides.
    return type(handler.__name__, (handler, _Adapter), {})


class _Backoff:
    """Waits at random up to a bound that doubles, so that the programs of a
    gateway that restarts do not come back all at once."""

    def __init__(self, most=30):
        self._most = most
        self.reset()

    def reset(self):
        self._bound = 0.2

    def next(self, asked=0):
        wait = random.uniform(0, self._bound)
        self._bound = min(self._bound * 2, self._most)
        return min(asked, 3600) + wait


def _connection(parts):
    """Gives a connection to an origin, by the proxy of the environment where
    that names one. Its target is that of a request, with fields besides."""
    https = parts.scheme == "https"
    kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
    proxy = _proxy(parts)
    if proxy is None:
        connection = kind(parts.hostname, parts.port)
        connection.target, connection.fields = _target, {}
    else:
        fields = {}
        if proxy.username is not None:
            pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
            fields["Proxy-Authorization"] = (
                "Basic " + base64.b64encode(pair.encode()).decode())
        connection = kind(proxy.hostname, proxy.port or 80)
        if https:
            connection.set_tunnel(parts.hostname, parts.port or 443, fields)
            connection.target, connection.fields = _target, {}
        else:
            connection.target, connection.fields = str, fields
    connection.origin = parts[:2]
    return connection


def _proxy(parts):
    """Gives the URL of the proxy for an origin, in parts, or None."""
    known = urllib.request.getproxies()
    proxy = known.get(parts.scheme) or known.get("all")
    if not proxy or urllib.request.proxy_bypass(parts.netloc):
        return None
    found = urlsplit(proxy if "://" in proxy else "http://" + proxy)
    if found.scheme != "http" or not found.hostname:
        raise ValueError(f"the environment names a proxy of {found.scheme}: "
                         "give one as http://HOST:PORT, or set NO_PROXY")
    return found


def _default_port(parts):
    return 443 if parts.scheme == "https" else 80


def _target(url):
    parts = urlsplit(url)
    return (parts.path or "/") + ("?" + parts.query if parts.query else "")


def _cut(sock):
    """Ends a connection under whoever waits for it."""
    try:
        if sock:
            sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _json(response, content):
    """Gives the JSON of an answer, and raises GatewayError for a refusal."""
    if response.status < 300:
        return json.loads(content) if content else None
    code, detail = "unexpected", ""
    try:
        problem = json.loads(content)
        code, detail = problem["code"], problem.get("detail", "")
    except (ValueError, TypeError, KeyError):
        pass
    try:
        asked = max(0, int(response.headers.get("Retry-After", 0)))
    except ValueError:
        asked = 0
    raise GatewayError(response.status, code, detail, asked)


def _with_content(message, content):
    message = dict(message)
    try:
        message["body"] = content.decode()
    except ValueError:
        message["bodyBase64"] = base64.b64encode(content).decode()
    return message


def _without_base(target, base):
    path = urlsplit(base).path
    if path != "/" and target.startswith(path):
        return target[len(path) - 1:]
    return target
