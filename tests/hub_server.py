"""A small Hugging Face Hub on this machine's loopback: as much of its HTTP protocol as the real clients need here.

It keeps repositories of files in memory, answers what ``huggingface_hub``, ``datasets`` and ``transformers`` ask on a
download and on an upload, and can be told to misbehave. It is a plain program of the standard library:

    with HubServer() as hub:
        hub.add("dataset", "someone/corpus", {"data/train.parquet": b"..."})
        subprocess.run([...], env=hub.environment(tmp_path))

or, to look at it by hand, ``python tests/hub_server.py``.
"""

import base64
import hashlib
import json
import os
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_loopback_only"
OWNER = "reader"
LARGE = (".safetensors", ".parquet", ".bin")
PREFIX = {"datasets": "dataset", "models": "model"}


@dataclass
class Repository:
    """Branches point to commits; a commit is a whole set of files."""

    kind: str
    name: str
    private: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, branch: str, files: Mapping[str, bytes]) -> str:
        whole = dict(self.commits[self.branches[branch]] if branch in self.branches else {}) | dict(files)
        text = repr((len(self.commits), sorted((path, digest(content)) for path, content in whole.items())))
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha] = whole
        self.branches[branch] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        return self.branches.get(revision) or (revision if revision in self.commits else None)


@dataclass
class Fault:
    """What to do instead of the right answer, to requests whose ``METHOD /path`` matches, so many times."""

    pattern: str
    kind: str
    """``status``, ``cut`` (close after half the body), ``corrupt`` (right size, other bytes) or ``size`` (HEAD lies)."""
    status: int = 0
    times: int = 10**9
    headers: dict[str, str] = field(default_factory=dict)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_large(path: str) -> bool:
    """True for files that the Hub keeps as large objects (LFS), named by SHA-256."""
    return path.endswith(LARGE)


def etag(path: str, content: bytes) -> str:
    return digest(content) if is_large(path) else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class HubServer:
    """The server, its repositories, its faults, and a log of what was asked."""

    def __init__(self):
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.log: list[str] = []
        self.lock = threading.RLock()
        hub = self

        class Handler(_Handler):
            server_of = hub

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.http.shutdown()
        self.http.server_close()

    def add(self, kind: str, name: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Put files into a repository, which is made if need be. Returns the commit."""
        with self.lock:
            repository = self.repositories.setdefault((kind, name), Repository(kind, name))
            if branch != "main" and "main" not in repository.branches:
                repository.commit("main", {})
            return repository.commit(branch, files)

    def add_folder(self, kind: str, name: str, folder: Path) -> str:
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return self.add(kind, name, files)

    def fail(self, pattern: str, kind: str = "status", status: int = 0, times: int = 10**9, **headers: str) -> None:
        """Misbehave from now on: see ``Fault``. ``Retry_After="1"`` becomes the header ``Retry-After``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(Fault(pattern, kind, status, times, named))

    def fault_for(self, request: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, request):
                    fault.times -= 1
                    return fault
        return None

    def files(self, kind: str, name: str, revision: str = "main") -> dict[str, bytes]:
        repository = self.repositories[kind, name]
        return repository.commits[repository.branches[revision]] if revision in repository.branches else {}

    def asked(self, pattern: str) -> list[str]:
        return [line for line in self.log if re.search(pattern, line)]

    def environment(self, folder: Path, **more: str) -> dict[str, str]:
        """An environment for a program that takes this server for the Hub and keeps its caches in ``folder``."""
        return client_environment(self.url, folder, **more)


def client_environment(endpoint: str, folder: Path, **more: str) -> dict[str, str]:
    """The environment of a reader with network access, whose Hub is at ``endpoint`` and whose home is ``folder``."""
    dropped = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "RANK", "WORLD_SIZE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    kept = {name: value for name, value in kept.items() if not name.startswith("NER_TUTORIAL_")}
    return kept | {
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "0",
        "TRANSFORMERS_OFFLINE": "0",
        "HF_HOME": str(folder / "hf"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "NER_TUTORIAL_CACHE": str(folder / "ner-tutorial"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **more,
    }


def closed_port() -> int:
    """A port of the loopback at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: HubServer

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    do_GET = do_POST = do_PUT = do_HEAD

    # ------------------------------------------------------------------------------------------------ small things

    def answer(self) -> None:
        hub = self.server_of
        parts = urlsplit(self.path)
        self.route, self.query = parts.path, parse_qs(parts.query)
        request = f"{self.command} {self.route}"
        body = self.body()  # read whatever comes of it, or the next request on this connection is misread
        self.fault = hub.fault_for(request)
        hub.log.append(request)
        if self.fault and self.fault.kind == "status":
            self.refuse(self.fault.status, f"fault {self.fault.status}", headers=self.fault.headers)
            return
        with hub.lock:
            self.dispatch(body)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            blocks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                blocks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(blocks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send(self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def say(self, content, status: int = 200) -> None:
        self.send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps({"error": message}).encode()
        more = {"Content-Type": "application/json", "X-Error-Message": message, **(headers or {})}
        self.send(status, content, more | ({"X-Error-Code": code} if code else {}))

    @property
    def logged_in(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def split_name(self, kind: str, rest: str) -> tuple[Repository | None, str]:
        """The repository at the start of a path, and the rest of the path. Names have one part or two."""
        pieces = rest.split("/")
        for count in (2, 1):
            found = self.server_of.repositories.get((kind, "/".join(pieces[:count])))
            if found is not None:
                return found, "/".join(pieces[count:])
        return None, ""

    # ------------------------------------------------------------------------------------------------------- routes

    def dispatch(self, body: bytes) -> None:
        route = self.route
        if route == "/api/whoami-v2":
            if not self.logged_in:
                return self.refuse(401, "Invalid credentials in Authorization header")
            return self.say({"type": "user", "name": OWNER, "orgs": [], "auth": {"type": "access_token"}})
        if route == "/api/validate-yaml":
            return self.say({"warnings": [], "errors": []})
        if route == "/api/repos/create":
            return self.create(json.loads(body))
        if found := re.fullmatch(r"/(datasets/)?(.+)\.git/info/lfs/objects/batch", route):
            return self.batch(json.loads(body)) if self.logged_in else self.refuse(401, f"log in for {found[2]}")
        if found := re.fullmatch(r"/lfs/([0-9a-f]{64})(/verify)?", route):
            return self.verify(found[1], json.loads(body)) if found[2] else self.store(found[1], body)
        if found := re.fullmatch(r"/api/(models|datasets)/(.+)", route):
            repository, rest = self.split_name(PREFIX[found[1]], found[2])
            return self.api(repository, rest, body)
        if found := re.fullmatch(r"/(datasets/)?(.+?)/resolve/([^/]+)/(.+)", route):
            repository, rest = self.split_name("dataset" if found[1] else "model", found[2])
            if rest:
                repository = None
            return self.file(repository, unquote(found[3]), unquote(found[4]))
        return self.refuse(404, f"no such page: {route}")

    def visible(self, repository: Repository | None) -> bool:
        if repository is None or (repository.private and not self.logged_in):
            # The real Hub does not tell strangers whether a repository exists.
            self.refuse(404 if self.logged_in else 401, "Repository not found", "RepoNotFound")
            return False
        return True

    def api(self, repository: Repository | None, rest: str, body: bytes) -> None:
        if not self.visible(repository):
            return None
        action, _, argument = rest.partition("/")
        revision, _, folder = argument.partition("/")
        revision = unquote(revision) or "main"
        if action in ("preupload", "commit") and not self.logged_in:
            return self.refuse(401, "Invalid credentials in Authorization header")
        if action == "preupload":
            return self.preupload(repository, revision, json.loads(body))
        if action == "commit":
            return self.commit(repository, revision, body)
        sha = repository.resolve(revision)
        if sha is None:
            return self.refuse(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        files = repository.commits[sha]
        if action in ("", "revision"):
            siblings = [self.described(path, content, "rfilename") for path, content in sorted(files.items())]
            about = {"id": repository.name, "sha": sha, "private": repository.private, "siblings": siblings}
            return self.say({**about, "tags": [], "downloads": 0, "likes": 0, "gated": False, "disabled": False})
        if action == "tree":
            return self.say(self.tree(files, unquote(folder).strip("/"), "recursive" in self.query))
        if action == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode())["paths"]
            rows = [self.described(path, files[path], "path") for path in wanted if path in files]
            folders = [path for path in wanted if any(name.startswith(path.rstrip("/") + "/") for name in files)]
            return self.say([*rows, *({"type": "directory", "path": path, "oid": sha, "size": 0} for path in folders)])
        return self.refuse(404, f"no such page: {self.route}")

    def described(self, path: str, content: bytes, name: str) -> dict:
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        about = {name: path, "type": "file", "size": len(content), "oid": oid, "blobId": oid}
        if is_large(path):
            about["lfs"] = {"oid": digest(content), "sha256": digest(content), "size": len(content), "pointerSize": 134}
        return about

    def tree(self, files: Mapping[str, bytes], folder: str, recursive: bool) -> list[dict]:
        start = folder + "/" if folder else ""
        inside = {path: content for path, content in files.items() if path.startswith(start)}
        folders = set()
        for path in inside:
            steps = path[len(start) :].split("/")[:-1]
            folders |= {
                start + "/".join(steps[: i + 1]) for i in range(len(steps) if recursive else min(1, len(steps)))
            }
        shown = [path for path in sorted(inside) if recursive or "/" not in path[len(start) :]]
        rows = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
        return rows + [self.described(path, inside[path], "path") for path in shown]

    # ----------------------------------------------------------------------------------------------------- download

    def file(self, repository: Repository | None, revision: str, path: str) -> None:
        if not self.visible(repository):
            return None
        sha = repository.resolve(revision)
        if sha is None:
            return self.refuse(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        if path not in repository.commits[sha]:
            return self.refuse(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": sha})
        content = repository.commits[sha][path]
        headers = {"ETag": f'"{etag(path, content)}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        kind = self.fault.kind if self.fault else ""
        if kind == "corrupt":
            content = content[:-1] + bytes([content[-1] ^ 0xFF])
        if kind == "size" and self.command == "HEAD":
            headers["Content-Length"] = str(len(content) + 7)
        start, end, status = 0, len(content), 200
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, end, status = int(found[1]), min(int(found[2] or len(content) - 1) + 1, len(content)), 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        if kind == "cut" and self.command == "GET":
            self.send_response(status)
            for name, value in ({"Content-Length": str(end - start)} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[start : max(start, len(content) // 2)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return None
        return self.send(status, content[start:end], headers)

    # ------------------------------------------------------------------------------------------------------- upload

    def create(self, wanted: dict) -> None:
        if not self.logged_in:
            return self.refuse(401, "Invalid credentials in Authorization header")
        name = f"{wanted.get('organization') or OWNER}/{wanted['name']}"
        kind, hub = wanted.get("type") or "model", self.server_of
        address = f"{hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in hub.repositories:
            return self.say({"error": "You already created this model repo", "url": address, "id": name}, 409)
        private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
        repository = hub.repositories[kind, name] = Repository(kind, name, private)
        repository.commit("main", {})
        return self.say({"url": address, "name": name, "id": name})

    def preupload(self, repository: Repository, revision: str, wanted: dict) -> None:
        now = repository.commits.get(repository.resolve(revision) or "", {})
        self.say(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if is_large(file["path"]) else "regular",
                        "shouldIgnore": False,
                        "oid": etag(file["path"], now[file["path"]]) if file["path"] in now else None,
                    }
                    for file in wanted["files"]
                ]
            }
        )

    def batch(self, wanted: dict) -> None:
        hub, answers = self.server_of, []
        for item in wanted["objects"]:
            answers.append({"oid": item["oid"], "size": item["size"]})
            if item["oid"] not in hub.objects:
                link = f"{hub.url}/lfs/{item['oid']}"
                answers[-1]["actions"] = {"upload": {"href": link}, "verify": {"href": link + "/verify"}}
        self.say({"transfer": "basic", "objects": answers})

    def store(self, oid: str, content: bytes) -> None:
        if self.fault and self.fault.kind == "corrupt":
            content = content[:-1] + bytes([content[-1] ^ 0xFF])
        if digest(content) == oid:
            self.server_of.objects[oid] = content
        self.send(200)

    def verify(self, oid: str, wanted: dict) -> None:
        content = self.server_of.objects.get(oid)
        if content is None or len(content) != wanted["size"]:
            return self.refuse(400, "the object that arrived has not the announced hash")
        return self.send(200)

    def commit(self, repository: Repository, branch: str, body: bytes) -> None:
        added: dict[str, bytes] = {}
        for row in (json.loads(line) for line in body.splitlines() if line.strip()):
            value = row["value"]
            if row["key"] == "file":
                added[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                if value["oid"] not in self.server_of.objects:
                    return self.refuse(400, f"the object of {value['path']} was not uploaded")
                added[value["path"]] = self.server_of.objects[value["oid"]]
        sha = repository.commit(branch, added)
        address = f"{self.server_of.url}/{repository.name}/commit/{sha}"
        return self.say({"success": True, "commitOid": sha, "commitUrl": address, "hookOutput": ""})


if __name__ == "__main__":
    with HubServer() as server:
        print(f"HF_ENDPOINT={server.url} HF_TOKEN={TOKEN}", flush=True)
        threading.Event().wait()
