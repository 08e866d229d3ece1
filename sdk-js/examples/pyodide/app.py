"""A web application of ASGI, without any package. Anything that speaks ASGI 3 takes its place."""

import asyncio
import sys
from urllib.parse import parse_qs


async def app(scope, receive, send):
    if scope["path"] == "/":
        name = parse_qs(scope["query_string"].decode()).get("name", ["world"])[0]
        version = sys.version.split()[0]
        await answer(send, 200, f"Hello, {name}, from Python {version} in a tab\n")
    elif scope["path"] == "/upper" and scope["method"] == "POST":
        await upper(receive, send)
    elif scope["path"] == "/count":
        await count(send)
    elif scope["path"] == "/fails":
        raise RuntimeError("this is not handled")
    else:
        await answer(send, 404, "There is nothing here.\n")


async def answer(send, status, text):
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"set-cookie", b"seen=1")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


async def upper(receive, send):
    """Answers each part of the content as it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        await send({"type": "http.response.body", "body": event["body"].upper(), "more_body": event["more_body"]})
        if not event["more_body"]:
            return


async def count(send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for n in range(1, 4):
        await send({"type": "http.response.body", "body": f"{n}\n".encode(), "more_body": True})
        await asyncio.sleep(0.05)
    await send({"type": "http.response.body", "body": b""})
