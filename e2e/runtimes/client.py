"""Answers vectors with the client: client.py FOLDER GATEWAY LABEL ANSWERS"""
import json
import signal
import sys
import threading
from base64 import b64decode, b64encode
from http.server import BaseHTTPRequestHandler

folder, gateway, label, path = sys.argv[1:]
sys.path.insert(0, folder)
import reversehttp  # noqa: E402

with open(path, encoding="utf-8") as file:
    answers = json.load(file)
printing = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def answer(self):
        shown = {
            "method": self.command,
            "target": self.path,
            "httpVersion": self.request_version[len("HTTP/"):],
            "remoteAddr": "%s:%s" % self.client_address,
            "headers": list(self.headers.items()),
            "bodyBase64": b64encode(self.rfile.read()).decode(),
        }
        # The members that http.server cannot show.
        for member in ("url", "base", "attempt"):
            shown[member] = self.envelope[member]
        with printing:
            print(json.dumps(shown), flush=True)
        answer = answers[self.headers["Vector"]]
        # send_response would add Server and Date.
        self.send_response_only(answer["status"])
        for name, value in answer.get("headers", ()):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b64decode(answer["bodyBase64"]))


def stop(*_):
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, stop)
reversehttp.serve(Handler, gateway, label=label)
