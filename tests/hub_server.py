"""A hub on this machine: the calls that huggingface_hub makes to create, fill, list and read repositories of models."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_secretOfTheTests"
LARGE = (".safetensors", ".onnx")
"""Stored by Git LFS: uploaded apart from the commit, and read through a redirection."""
LICENCES = ("mit", "cc-by-4.0")


@dataclass
class Repo:
    """Branches are names of commits, and commits are files."""

    private: bool = False
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commit("main", {})

    def commit(self, branch: str, files: Mapping[str, bytes]) -> str:
        whole = {**self.commits.get(self.branches.get(branch, ""), {}), **files}
        sha = hashlib.sha1(f"{len(self.commits)} {branch}".encode()).hexdigest()
        self.branches[branch], self.commits[sha] = sha, whole
        return sha


class Hub(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        """Large files by their SHA-256."""
        self.calls: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        words = self._words()
        if words[0] == "lfs":
            assert "Authorization" not in self.headers
            self._send(200, self.server.large[words[1]], {"ETag": f'"{words[1]}"'})
        elif words[:2] == ["api", "models"]:
            self._repo("/".join(words[2:4]), words[4:], {})
        else:
            self._repo("/".join(words[:2]), words[2:], {})

    def do_PUT(self) -> None:
        (_, oid), content = self._words(), self._body()
        assert hashlib.sha256(content).hexdigest() == oid
        self.server.large[oid] = content
        self._json({})

    def do_POST(self) -> None:
        words, body = self._words(), self._body()
        if words == ["api", "validate-yaml"]:
            licence = json.loads(body)["content"].split("license: ")[1].split("\n")[0]
            problem = "" if licence in LICENCES else f'"license" must be one of {", ".join(LICENCES)}'
            status, errors = (400, [{"message": problem}]) if problem else (200, [])
            if self.headers.get("Accept") == "text/plain":  # as the library asks for a card alone, and in a commit
                self._text(status, problem)
            else:
                self._json({"errors": errors, "warnings": []}, status)
        elif not self._is_known():
            self._text(403, "no", {"X-Error-Message": "You have no rights to this"})
        elif words == ["api", "repos", "create"]:
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            status = 409 if name in self.server.repos else 200
            is_private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
            self.server.repos.setdefault(name, Repo(private=is_private))
            self._json({"url": f"{self.server.url}/{name}"}, status)
        elif words[2:] == ["info", "lfs", "objects", "batch"]:
            objects = json.loads(body)["objects"]
            actions = {each["oid"]: {"upload": {"href": f"{self.server.url}/lfs/{each['oid']}"}} for each in objects}
            missing = {oid: {"actions": found} for oid, found in actions.items() if oid not in self.server.large}
            self._json({"transfer": "basic", "objects": [each | missing.get(each["oid"], {}) for each in objects]})
        else:
            self._repo("/".join(words[2:4]), words[4:], {"body": body})

    def _words(self) -> list[str]:
        self.server.calls.append(f"{self.command} {urlsplit(self.path).path}")
        return [unquote(word) for word in urlsplit(self.path).path.strip("/").split("/")]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _is_known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repo(self, name: str, words: list[str], sent: dict[str, bytes]) -> None:
        repo = self.server.repos.get(name)
        if repo is None or (repo.private and not self._is_known()):
            return self._text(401 if repo else 404, "", {"X-Error-Code": "RepoNotFound"})
        if repo.gated and words[:1] == ["resolve"] and not self._is_known():
            return self._text(401, "", {"X-Error-Code": "GatedRepo"})
        what, revision = (*words, "", "main")[:2] if words else ("", "main")
        if what == "refs":
            return self._json(
                {
                    "branches": [
                        {"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": sha}
                        for branch, sha in repo.branches.items()
                    ],
                    "tags": [],
                    "converts": [],
                }
            )
        if what == "branch":
            status = 409 if revision in repo.branches else 200
            repo.branches.setdefault(revision, repo.branches["main"])
            return self._json({}, status)
        sha = repo.branches.get(revision or "main", revision)
        if sha not in repo.commits:
            return self._text(404, "", {"X-Error-Code": "RevisionNotFound"})
        if what == "preupload":
            files = [
                {"path": path, "uploadMode": "lfs" if path.endswith(LARGE) else "regular", "shouldIgnore": False}
                for path in (each["path"] for each in json.loads(sent["body"])["files"])
            ]
            return self._json({"files": files})
        if what == "commit":
            lines = [json.loads(line) for line in sent["body"].splitlines()]
            added = {line["value"]["path"]: line["value"] for line in lines if line["key"] in ("file", "lfsFile")}
            content = {
                path: self.server.large[each["oid"]] if "oid" in each else base64.b64decode(each["content"])
                for path, each in added.items()
            }
            sha = repo.commit(revision, content)
            return self._json({"commitUrl": f"{self.server.url}/{name}/commit/{sha}", "commitOid": sha})
        files = repo.commits[sha]
        if what == "resolve":
            file = "/".join(words[2:])
            if file not in files:
                return self._text(404, "", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha})
            if (oid := hashlib.sha256(files[file]).hexdigest()) in self.server.large:
                linked = {"X-Linked-ETag": f'"{oid}"', "X-Linked-Size": str(len(files[file])), "X-Repo-Commit": sha}
                storage = f"http://localhost:{self.server.server_port}"  # another host, to which no token is sent
                return self._send(302, b"", {"Location": f"{storage}/lfs/{oid}", **linked})
            etag = hashlib.sha1(files[file]).hexdigest()
            return self._send(200, files[file], {"ETag": f'"{etag}"', "X-Repo-Commit": sha})
        if what == "tree":
            return self._json(
                [  # type: ignore[arg-type]
                    {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for path, content in files.items()
                ]
            )
        siblings = [{"rfilename": path} for path in files]
        return self._json({"id": name, "sha": sha, "private": repo.private, "siblings": siblings, "tags": []})

    def _json(self, values: Mapping[str, object], status: int = 200) -> None:
        self._send(status, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def _text(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, text.encode(), {"Content-Type": "text/plain", **(headers or {})})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
