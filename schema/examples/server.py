"""Answers HTTP requests, one after another: server.py [GATEWAY [LABEL]]"""
import json
import sys
import time
from base64 import b64decode
from urllib.request import Request, urlopen


def handler(request, content):
    return {"status": 200, "body": "{method} {target}\n".format(**request)}


def call(url, bearer="", message=None):
    fields = {"Authorization": bearer, "Content-Type": "application/json"}
    data = message and json.dumps(message).encode()
    return urlopen(Request(url, data, fields), timeout=60).read()


def answer(request, bearer):
    xid, text = request["id"], request.get("body", "")
    try:
        content = b64decode(request.get("bodyBase64", "")) or text.encode()
        # Long content has a URL. So has a WebSocket's, which has no end.
        if "bodyUrl" in request and "upgrade" not in request:
            content = call(request["bodyUrl"], bearer)
        return {"type": "response", "id": xid, **handler(request, content)}
    except Exception as e:
        return {"type": "abort", "id": xid, "reason": repr(e)}


def serve(gateway="http://localhost:8080", label=None):
    url, claim = gateway.rstrip("/") + "/claims", {"label": label}
    while True:
        try:  # The answer holds the token, which has the label back later.
            claim = json.loads(call(url, "", claim))
            bearer = "Bearer " + claim["token"]
            print(claim["url"], flush=True)
            while True:  # Nothing at all: no request came within the wait.
                batch = call(claim["requests"], bearer) or '{"messages": []}'
                for request in json.loads(batch)["messages"]:
                    if request["type"] == "request":
                        message = answer(request, bearer)
                        call(claim["responses"], bearer, message)
        except Exception as e:
            print(url, e, getattr(e, "read", bytes)().decode(), file=sys.stderr)
            time.sleep(1)


if __name__ == "__main__":
    serve(*sys.argv[1:])
