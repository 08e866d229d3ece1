"""What applications.test.js visits: applications.py FOLDER GATEWAY LABEL KIND"""
import asyncio
import hashlib
import signal
import sys
from wsgiref.validate import validator

folder, gateway, label, kind = sys.argv[1:]
sys.path.insert(0, folder)
import reversehttp  # noqa: E402

events = []


class Pieces:
    """An answer piece by piece, which is to be closed."""

    def __init__(self, pieces):
        self.pieces = iter(pieces)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.pieces)

    def close(self):
        events.append("closed")


def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    plain = [("Content-Type", "text/plain")]
    if path == "/throws":
        raise ValueError("as it should")
    if path == "/breaks":
        start_response("200 OK", plain)
        return Pieces(broken())
    if path == "/teapot":
        start_response("418 I'm a teapot", plain + [("X-A", "1"), ("X-A", "2")])
        return Pieces([b"short", b"", b" and stout"])
    if path == "/digest":
        digest = hashlib.sha256()
        while True:
            piece = environ["wsgi.input"].read(10_000)
            if not piece:
                break
            digest.update(piece)
        text = digest.hexdigest()
    elif path == "/lines":
        text = str([line.decode() for line in environ["wsgi.input"]])
    elif path == "/again":
        try:
            start_response("200 OK", plain)
            raise ValueError
        except ValueError:
            start_response("503 Sorry", plain, sys.exc_info())
        return Pieces([b"again"])
    elif path == "/big":
        write = start_response("200 OK", plain)
        write(b"x" * 13_000_000)
        return Pieces([])
    elif path == "/events":
        text = " ".join(events)
    else:
        text = " ".join([
            environ["REQUEST_METHOD"], environ["SCRIPT_NAME"], path,
            environ["QUERY_STRING"], environ.get("HTTP_COOKIE", ""),
            environ.get("CONTENT_TYPE", "")])
    start_response("200 OK", plain)
    return Pieces([text.encode("latin-1")])


def broken():
    yield b"x" * 100_000
    raise ValueError("as it should")


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["started"] = "started"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("shut down", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"]

    async def begin(status=200, fields=()):
        await send({"type": "http.response.start", "status": status,
                    "headers": [(b"content-type", b"text/plain"), *fields]})

    async def body(text, more=False):
        await send({"type": "http.response.body", "body": text,
                    "more_body": more})

    async def content():
        while True:
            event = await receive()
            assert event["type"] == "http.request", event
            yield event["body"]
            if not event["more_body"]:
                return

    if path == "/throws":
        raise ValueError("as it should")
    if path == "/breaks":
        await begin()
        await body(b"x" * 100_000, True)
        raise ValueError("as it should")
    if path == "/nothing":
        return
    if path == "/live":
        await begin()
        async for piece in content():
            if piece:
                await body(b"got " + piece, True)
        await body(b"")
    elif path == "/endless":
        await begin()
        asyncio.ensure_future(leaves(receive))
        try:
            while True:
                await body(b"x" * 10_000, True)
        except OSError as e:
            events.append(f"write failed: {type(e).__name__}")
            raise
    elif path == "/digest":
        digest = hashlib.sha256()
        async for piece in content():
            digest.update(piece)
        await begin()
        await body(digest.hexdigest().encode())
    elif path == "/teapot":
        await begin(418, [(b"x-a", b"1"), (b"x-a", b"2")])
        await body(b"short", True)
        await body(b" and stout")
    elif path == "/big":
        await begin()
        await body(b"x" * 13_000_000)
    elif path == "/together":
        together.append(asyncio.get_running_loop().create_future())
        if len(together) == 50:
            for one in together:
                one.set_result(None)
        await together[-1]
        await begin()
        await body(b"together")
    else:
        await begin()
        text = " ".join(events) if path == "/events" else " ".join([
            scope["method"], scope["root_path"], path,
            scope["query_string"].decode(), scope["state"]["started"]])
        await body(text.encode())

together = []


async def leaves(receive):
    event = await receive()
    while event["type"] == "http.request":
        event = await receive()
    events.append(event["type"])


async def failing(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def bare(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"bare"})


def stop(*_):
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, stop)
if kind == "wsgi":
    reversehttp.serve_wsgi(validator(wsgi), gateway, label=label)
else:
    application = {"asgi": asgi, "failing": failing, "bare": bare}[kind]
    reversehttp.serve_asgi(application, gateway, label=label)
