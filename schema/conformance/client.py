"""A client that the kit can judge: what schema/clients/reversehttp.py shows of requests, as lines of JSON."""
import json
import os
import queue
import sys
import threading
from base64 import b64decode, b64encode
from http.server import BaseHTTPRequestHandler

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../clients"))
import reversehttp  # noqa: E402

writing = threading.Lock()
answers = {}  # the queue of each request that waits for its answer, by its number


def write(line):
    with writing:
        print(json.dumps(line), flush=True)


class Handler(BaseHTTPRequestHandler):
    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def answer(self):
        content = self.rfile.read()
        with writing:
            n = len(answers)
            answer = answers[n] = queue.Queue()
        write({
            "n": n,
            "method": self.command,
            "target": self.path,
            "httpVersion": self.request_version[len("HTTP/"):],
            "remoteAddr": "%s:%s" % self.client_address,
            "headers": list(self.headers.items()),
            "bodyBase64": b64encode(content).decode(),
        })
        given = answer.get()
        self.send_response_only(given["status"])
        for name, value in given["headers"]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b64decode(given["bodyBase64"]) if "bodyBase64" in given else given.get("body", "").encode())


def read(server):
    """Passes on the answers until the input ends, and ends the server then."""
    for line in sys.stdin:
        given = json.loads(line)
        answers[given["n"]].put(given)
    server.shutdown()


start = json.loads(sys.stdin.readline())
with reversehttp.Server(Handler, start["gateway"], label=start["label"]) as server:
    write({"url": server.url})
    threading.Thread(target=read, args=(server,), daemon=True).start()
    server.serve_forever()
