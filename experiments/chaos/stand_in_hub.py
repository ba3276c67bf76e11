"""A stand-in of the Hugging Face hub: the few requests that pushing and pulling a model make."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")
API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/?]+)(?P<action>/[a-z]+)?")


class Hub(ThreadingHTTPServer):
    """Keeps the files of its repositories in memory, and says of each that it is empty.

    Attributes:
        repos: {"USER/NAME": {"name of file": content}}.
        private: by repository.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repo: str) -> str:
        """A name for what the repository holds now."""
        return hashlib.sha1(repr(sorted(self.repos[repo].items())).encode()).hexdigest()


@contextmanager
def running_hub() -> Iterator[Hub]:
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            repo = "/".join(filter(None, (asked.get("organization", "me"), asked["name"])))
            self.server.repos.setdefault(repo, {})
            is_private = asked.get("private") or asked.get("visibility") == "private"
            self.server.private[repo] = bool(is_private)
            self._send({"url": f"{self.server.endpoint}/{repo}", "name": repo})
        elif self.path == "/api/validate-yaml":
            self._send({"errors": [], "warnings": []})
        elif (match := API.match(self.path)) and match["action"] == "/preupload":
            files = json.loads(body)["files"]
            kinds = [f | {"uploadMode": "regular", "shouldIgnore": False} for f in files]
            self._send({"files": kinds})
        elif match and match["action"] == "/commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.repos[match["repo"]][line["value"]["path"]] = content
            oid = self.server.commit(match["repo"])
            url = f"{self.server.endpoint}/{match['repo']}/commit/{oid}"
            self._send({"commitUrl": url, "commitOid": oid, "success": True})
        else:
            self._send({"error": "not found"}, 404)

    def do_GET(self) -> None:
        if (match := FILE.fullmatch(self.path)) and match["repo"] in self.server.repos:
            content = self.server.repos[match["repo"]][match["name"]]
            etag = hashlib.sha256(content).hexdigest()
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": match["revision"]}
            self._send(content, headers=headers)
        elif (match := API.match(self.path)) and match["repo"] in self.server.repos:
            files = self.server.repos[match["repo"]]
            if match["action"] == "/tree":
                self._send([{"type": "file", "path": name, "size": 0, "oid": ""} for name in files])
            else:
                siblings = [{"rfilename": name} for name in files]
                sha = self.server.commit(match["repo"])
                self._send({"id": match["repo"], "sha": sha, "siblings": siblings})
        else:
            self._send({"error": "not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def _send(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass
