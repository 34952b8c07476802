"""A stand-in for the Hugging Face hub: as much of its HTTP API as an upload and a download need, in this process."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import yaml


@dataclass
class Hub:
    """What the stand-in holds.

    Attributes:
        files: contents by repository and path.
        private: whether each repository was created as private.
        refuses: the status with which it answers everything, if it does.
        commits: the message of each commit.
        cards: the metadata of each card that it was asked to check.
        revisions: the revision of each file that it was asked for.
    """

    address: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    refuses: int | None = None
    commits: list[str] = field(default_factory=list)
    cards: list[dict[str, Any]] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)


@contextmanager
def stand_in() -> Iterator[Hub]:
    """Serve an empty hub on this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self._body()
            if hub.refuses is not None:
                self._json({"error": "refused"}, hub.refuses)
            elif self.path == "/api/validate-yaml":
                hub.cards.append(yaml.safe_load(json.loads(body)["content"].split("---")[1]))
                self._json({"errors": [], "warnings": []})
            elif self.path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
                hub.files.setdefault(name, {})
                hub.private[name] = bool(asked.get("private")) or asked.get("visibility") == "private"
                self._json({"url": f"{hub.address}/datasets/{name}", "id": name, "name": name})
            elif match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/preupload/main", self.path):
                asked = json.loads(body)["files"]
                answer = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]
                self._json({"files": answer})
            elif match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/commit/main", self.path):
                for line in map(json.loads, body.decode().splitlines()):
                    if line["key"] == "header":
                        hub.commits.append(line["value"]["summary"])
                    elif line["key"] == "deletedFile":
                        del hub.files[match[1]][line["value"]["path"]]
                    else:
                        content = base64.b64decode(line["value"]["content"])
                        hub.files[match[1]][line["value"]["path"]] = content
                oid = "1" * 40
                address = f"{hub.address}/datasets/{match[1]}/commit/{oid}"
                self._json({"success": True, "commitOid": oid, "commitUrl": address})
            else:
                self._json({"error": self.path}, 404)

        def do_HEAD(self) -> None:
            self._file(send=False)

        def do_GET(self) -> None:
            if self.path == "/api/whoami-v2":
                self._json({"name": "me", "type": "user"})
            elif match := re.fullmatch(
                r"/api/datasets/([^/]+/[^/]+)/tree/main\?recursive=true.*", self.path, re.IGNORECASE
            ):
                self._tree(match[1])
            elif match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(/revision/[^/]+)?", self.path):
                self._repository(match[1])
            else:
                self._file(send=True)

        def _repository(self, name: str) -> None:
            if name not in hub.files:
                self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
                return
            names = [{"rfilename": each} for each in sorted(hub.files[name])]
            self._json({"id": name, "sha": "1" * 40, "siblings": names, "private": False, "tags": []})

        def _tree(self, name: str) -> None:
            entries = ((path, len(content)) for path, content in sorted(hub.files.get(name, {}).items()))
            self._json([{"type": "file", "path": path, "size": size, "oid": "0" * 40} for path, size in entries])

        def _file(self, *, send: bool) -> None:
            match = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
            if match is not None:
                hub.revisions.append(unquote(match[2]))
            if hub.refuses is not None or match is None or match[1] not in hub.files:
                self._json({"error": "no"}, hub.refuses or 404, {"X-Error-Code": "RepoNotFound"}, send=send)
                return
            content = hub.files[match[1]].get(match[3])
            if content is None:
                self._json({"error": "no"}, 404, {"X-Error-Code": "EntryNotFound"}, send=send)
                return
            self.send_response(200)
            self.send_header("X-Repo-Commit", "1" * 40)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if send:
                self.wfile.write(content)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _json(
            self, value: Any, status: int = 200, headers: dict[str, str] | None = None, *, send: bool = True
        ) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            for name, text in (headers or {}).items():
                self.send_header(name, text)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if send:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
