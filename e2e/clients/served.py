"""What clients.test.js visits: served.py FOLDER GATEWAY LABEL [fail]"""
import functools
import hashlib
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler

folder, gateway, label, *away = sys.argv[1:]
sys.path.insert(0, folder)
import reversehttp  # noqa: E402

go = threading.Event()
together = threading.Barrier(300)
events = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, greeting, *args):
        self.greeting = greeting
        super().__init__(*args)

    def log_message(self, *_):
        pass

    def text(self, text, status=200):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def begin(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        getattr(self, self.path[1:] or "hello")()

    do_POST = do_GET

    def hello(self):
        self.text(self.greeting)

    def digest(self):
        digest = hashlib.sha256()
        while piece := self.rfile.read(10_000):
            digest.update(piece)
        self.text(digest.hexdigest())

    def echo(self):
        self.begin()
        while piece := self.rfile.read(10_000):
            self.wfile.write(piece)

    def large(self):
        self.begin()
        self.wfile.write("é".encode() * 6_500_000)

    def live(self):
        self.begin()
        self.wfile.write(b"got " + self.rfile.readline())
        self.wfile.write(b"got " + self.rfile.readline())

    def stream(self):
        go.clear()
        self.begin()
        self.wfile.write(b"first")
        assert go.wait(30)
        go.clear()
        self.wfile.write(b"second")
        self.wfile.flush()
        assert go.wait(30)
        self.wfile.write(b"last")

    def go(self):
        go.set()
        self.text("gone")

    def chunks(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5;a=b\r\nhel")
        self.wfile.write(b"lo\r\n6\r\n world\r")
        self.wfile.write(b"\n0\r\n\r\n")

    def hint(self):
        self.send_response_only(103)
        self.send_header("Link", "</a.css>; rel=preload")
        self.end_headers()
        self.text("hinted")

    def together(self):
        together.wait(30)
        self.text("together")

    def throws(self):
        raise ValueError("as it should")

    def invalid(self):
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()

    def breaks(self):
        self.begin()
        self.wfile.write(b"some")
        self.wfile.flush()
        raise ValueError("as it should")

    def endless(self):
        self.begin()
        try:
            while True:
                self.wfile.write(b"x" * 10_000)
        except OSError as e:
            events.append(f"write failed: {type(e).__name__}")

    def upload(self):
        self.begin()
        self.wfile.write(self.rfile.readline())
        self.wfile.flush()
        events.append("about to read")
        try:
            self.rfile.read()
        except OSError:
            events.append("read failed")

    def count(self):
        events.append("counted")
        self.text(str(events.count("counted")))

    def events(self):
        self.text(" ".join(events))


def stop(*_):
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, stop)
reversehttp.serve(functools.partial(Handler, "hello"), gateway, label=label,
                  wait=not away)
