"""Answers vectors with the example: example.py FOLDER GATEWAY LABEL ANSWERS"""
import json
import sys
from base64 import b64encode

folder, gateway, label, path = sys.argv[1:]
sys.path.insert(0, folder)
import server  # noqa: E402

with open(path, encoding="utf-8") as file:
    answers = json.load(file)


def handler(request, content):
    shown = {**request, "bodyBase64": b64encode(content).decode()}
    print(json.dumps(shown), flush=True)
    return answers[next(v for n, v in request["headers"] if n == "Vector")]


server.handler = handler
server.serve(gateway, label)
