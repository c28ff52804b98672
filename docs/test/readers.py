"""Runs the documentation's readers of events on text of all kinds.

    readers.py SERVICE

The readers are taken from docs/api.md (Python, JavaScript) and docs/examples/edit.html. Each reads a stream of a server
here, which sends it in pieces of one byte and more, and then a stream of SERVICE whose prompts are not ASCII. The right
events are the JSON that was sent. Needs requests and node.
"""

import http.server
import json
import pathlib
import re
import subprocess
import sys
import threading

import requests

ROOT = pathlib.Path(__file__).parents[2]
# What is a line end somewhere: in ISO-8859-1 0x85 is a part of many characters in UTF-8; U+0085, U+2028, U+2029 and
# the separators 0x0b, 0x0c and 0x1c to 0x1e are line ends in Python's texts; U+2028 and U+2029 in JavaScript's
# regular expressions. JSON escapes \n and \r itself.
TEXTS = ["a cat", "café", "公园里的猫", "Å\u0085b", "a\u2028b\u2029c", "a\x0b\x0c\x1c\x1d\x1eb", "🐈‍⬛", "a\nb\r\nc", "data: x: y", "", " b "]
EVENTS = [("step", {"text": text}) for text in TEXTS] + [("completed", TEXTS)]
PIECES = [1, 2, 3, 7, 64, 100_000]


def stream() -> bytes:
    """The events as the service writes them, with a comment between two of them."""
    lines = (f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n" for name, data in EVENTS)
    return ":\n\n".join(lines).encode()


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        size, body = int(self.path[1:]), stream()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for at in range(0, len(body), size):
            piece = body[at : at + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


def functions(path: str, begin: str, end: str) -> str:
    """The source of the only function of a page that begins like this."""
    found = re.findall(rf"^{begin}.*?^{end}", (ROOT / path).read_text(), re.M | re.S)
    assert len(found) == 1, f"{path} has {len(found)} readers"
    return found[0]


def javascript(reader: str, body: str, url: str, request: dict | None) -> list:
    """What a reader yields, as [name, data] pairs; `body` is what it is called with."""
    program = f"""
    {reader}
    const response = await fetch({json.dumps(url)}, {json.dumps(request or {})});
    const all = [];
    for await (const next of events({body})) all.push(Array.isArray(next) ? next : [next.event, next.data]);
    console.log(JSON.stringify(all));
    """
    said = subprocess.run(["node", "--input-type=module"], input=program, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return [tuple(event) for event in json.loads(said.stdout)]


def main(service: str) -> None:
    scope = {"json": json}
    exec(functions("docs/api.md", r"def events\(response\):", r"(?=\n\n)"), scope)  # noqa: S102
    readers = {
        "docs/api.md, JavaScript": (functions("docs/api.md", r"async function\* events", r"}$"), "response"),
        "docs/examples/edit.html": (functions("docs/examples/edit.html", r"  async function\* events", r"  }$"), "response.body"),
    }
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}"
    for size in PIECES:
        with requests.get(f"{here}/{size}", stream=True, timeout=60) as response:
            assert list(scope["events"](response)) == EVENTS, f"docs/api.md, Python: pieces of {size} bytes"
        for name, (reader, body) in readers.items():
            assert javascript(reader, body, f"{here}/{size}", None) == EVENTS, f"{name}: pieces of {size} bytes"

    source = {"prompt": "公园里的猫", "seed": 3, "num_inference_steps": 2, "size": "64x64"}
    edit = {"source": source, "prompt": "公园里的狗 café \u2028 \u0085 Å", "stream": True}
    with requests.post(f"{service}/v1/edits", json=edit, stream=True, timeout=60) as response:
        assert response.ok and response.encoding == "utf-8", (response.text, response.headers)
        name, answer = list(scope["events"](response))[-1]
    words = [entry["target"] for entry in answer["alignment"]]
    assert name == "completed" and "公园里的狗 café" in " ".join(filter(None, words)), answer["alignment"]
    headers = {"content-type": "application/json"}
    request = {"method": "POST", "headers": headers, "body": json.dumps(edit)}
    for name, (reader, body) in readers.items():
        event, data = javascript(reader, body, f"{service}/v1/edits", request)[-1]
        assert (event, data["alignment"]) == ("completed", answer["alignment"]), name
    print(f"{len(readers) + 1} readers of events keep {len(TEXTS)} texts in pieces of any size, and the service's own")


if __name__ == "__main__":
    main(sys.argv[1])
