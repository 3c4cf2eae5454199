"""A web server and git repositories on loopback, for tests of everything that is fetched."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Answer = Callable[[BaseHTTPRequestHandler], None]
WHO = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
for name in ("AUTHOR", "COMMITTER"):
    WHO |= {f"GIT_{name}_NAME": "n", f"GIT_{name}_EMAIL": "e", f"GIT_{name}_DATE": "@1000000000 +0000"}


def git(folder: Path, *words: str) -> str:
    """Run git in a folder, with nothing of the user's."""
    done = subprocess.run(["git", *words], cwd=folder, env=WHO, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass
class Repository:
    """A bare repository that the site serves, and the working copy that fills it."""

    url: str
    bare: Path
    work: Path

    def commit(self, files: dict[str, str | None], branch: str = "main") -> str:
        """Change some files (None removes one), push, and give the commit."""
        for name, text in files.items():
            path = self.work / name
            if text is None:
                path.unlink()
            elif text.startswith("-> "):
                path.symlink_to(text[3:])
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "--allow-empty", "-m", "change")
        git(self.work, "push", "-q", str(self.bare), f"HEAD:refs/heads/{branch}")
        return git(self.work, "rev-parse", "HEAD")


@dataclass
class Site:
    """Answers by path, and remembers what it was asked, as `GET /path`."""

    folder: Path
    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    may_clone: Callable[[BaseHTTPRequestHandler], bool] = lambda handler: True

    def file(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        """Serve some bytes; header names are written with _ for -."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"Content_Length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            if handler.command == "GET":
                handler.wfile.write(body)

        self.answers[path] = answer
        return self.url + path

    def silent(self, path: str, begin: bytes = b"") -> str:
        """Accept requests and say nothing more until the test is over; with `begin`, after some bytes."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            if begin:
                handler.send_response(200)
                handler.send_header("Content-Length", "1000000")
                handler.end_headers()
                if handler.command == "GET":
                    handler.wfile.write(begin)
                    handler.wfile.flush()
                else:
                    return
            self.done.wait(60)

        self.answers[path] = answer
        return self.url + path

    def repository(self, name: str = "repo") -> Repository:
        """A new, empty repository at /NAME.git."""
        bare, work = self.folder / f"{name}.git", self.folder / f"{name}-work"
        bare.mkdir()
        work.mkdir()
        git(bare, "init", "-q", "--bare", "-b", "main")
        git(work, "init", "-q", "-b", "main")
        return Repository(f"{self.url}/{name}.git", bare, work)

    def gets(self, path: str) -> int:
        """How often the content of a path was asked for."""
        return self.asked.count(f"GET {path}")


def _serve_git(handler: BaseHTTPRequestHandler, folder: Path) -> None:
    """git's own server of the smart protocol, by CGI (RFC 3875)."""
    path, _, query = handler.path.partition("?")
    data = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    if handler.headers.get("Transfer-Encoding") == "chunked":
        while size := int(handler.rfile.readline(), 16):
            data += handler.rfile.read(size)
            handler.rfile.readline()
        handler.rfile.readline()
    environment = WHO | {
        "GIT_PROJECT_ROOT": str(folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": handler.command,
        "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(data)),
        "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": handler.headers.get("Git-Protocol", ""),
    }
    out = subprocess.run(
        ["git", "-c", "safe.directory=*", "http-backend"], input=data, env=environment, capture_output=True
    ).stdout
    head, _, body = out.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
    handler.send_response(int(headers.pop("Status", "200").split()[0]))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    """A site that is there until the end of the block."""
    site = Site(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(f"{self.command} {self.path}")
            try:
                if self.path in site.answers:
                    site.answers[self.path](self)
                elif ".git/" in self.path and site.may_clone(self):
                    _serve_git(self, site.folder)
                elif ".git/" in self.path:
                    self.send_error(401)
                else:
                    self.send_error(404)
            except (BrokenPipeError, ConnectionResetError):
                pass

        do_HEAD = do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        site.done.set()
        server.shutdown()
        server.server_close()
        thread.join()
