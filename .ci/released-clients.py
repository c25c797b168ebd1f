#!/usr/bin/env python3
"""Drives released Python clients against this server: login in both flows, a mission, delivery, refresh, sharing, logout.

Usage: .ci/released-clients.py target/debug/spec-kitty [DIRECTORY]

DIRECTORY keeps the virtual environments; without it they are made in a temporary directory. Every event of the
client's own store has to be on the server once, and every body.
"""

import glob
import html
import http.cookiejar
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

RELEASES = ["3.2.7", "3.2.0rc11"]
EMAIL = "ada@example.org"
FILES = {
    "spec.md": "# Greet\n\n## Functional requirements\n\n| ID | Requirement | Status |\n|---|---|---|\n"
    "| FR-001 | It greets. | Draft |\n",
    "plan.md": "# Plan\n\nGreet.\n",
    "tasks.md": "# Tasks\n\n## WP01 - First\n\n**Dependencies**: None\n\n- [ ] T001 Greet\n",
    "tasks/WP01-first.md": "---\nwork_package_id: WP01\ntitle: First\ndependencies: []\nrequirement_refs: [FR-001]\n"
    "owned_files: [README.md]\nauthoritative_surface: README.md\nexecution_mode: code_change\nsubtasks: [T001]\n---\n\n# WP01\n",
}


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None


def approve(page, secret):
    """Approves a login as its owner does; gives the address that the browser is sent to."""
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    browser = urllib.request.build_opener(cookies, NoRedirect)
    text = browser.open(page, timeout=10).read().decode()
    hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', text)
    fields = [(html.unescape(name), html.unescape(value)) for name, value in hidden]
    fields += [("email", EMAIL), ("secret", secret), ("decision", "approve")]
    parts = urllib.parse.urlsplit(page)
    origin = {"Origin": f"{parts.scheme}://{parts.netloc}"}
    body = urllib.parse.urlencode(fields).encode()
    try:
        return browser.open(urllib.request.Request(page.split("?")[0], body, origin), timeout=10).geturl()
    except urllib.error.HTTPError as answer:
        if answer.code in (302, 303):
            return answer.headers["Location"]
        raise


class Server:
    def __init__(self, binary, directory):
        self.binary, self.data = binary, directory / "data"
        created = self.admin("user", "add", "--email", EMAIL, "--name", "Ada")
        self.secret = created["approval_secret"]
        self.token = self.admin("token", "add", "--email", EMAIL, "--label", "check")["token"]
        self.log = open(directory / "server.log", "wb")
        argv = [binary, "server", "--data", str(self.data), "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.url = self.process.stdout.readline().strip().removeprefix("listening on ")

    def admin(self, *words):
        argv = [self.binary, "server", *words, "--data", str(self.data), "--json"]
        return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)

    def rows(self, what):
        """Everything of one kind that the server holds."""
        rows, after = [], 0
        while after is not None:
            url = f"{self.url}/api/v1/inspect/{what}?after={after}&limit=1000"
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
            page = json.load(urllib.request.urlopen(request, timeout=10))
            rows += page["rows"]
            after = page["next"]
        return rows

    def log_text(self):
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()[-4000:]

    def expire_access_tokens(self):
        with sqlite3.connect(self.data / "server.db", timeout=10) as store:
            store.execute("UPDATE access_tokens SET expires_at = 1")


class Client:
    def __init__(self, release, server, directory, environments):
        self.release, self.server = release, server
        self.home = directory / release
        self.repository = self.home / "repo"
        self.repository.mkdir(parents=True)
        self.page = self.home / "page"
        self.browser = self.home / "browser"
        self.browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > "{self.page}.part" && mv "{self.page}.part" "{self.page}"\n')
        self.browser.chmod(0o755)
        environment = environments / release
        if not (environment / "bin/spec-kitty").exists():
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            # The release candidate imports click, which one of its dependencies no longer brings.
            packages = [f"spec-kitty-cli=={release}", "click"]
            subprocess.run([environment / "bin/pip", "install", "-q", *packages], check=True)
        self.environment = {
            "PATH": f"{environment}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "BROWSER": str(self.browser),
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
            "SPEC_KITTY_ENABLE_SAAS_SYNC": "1",
            "SPEC_KITTY_SAAS_URL": server.url,
        }
        state = self.home / ".spec-kitty"
        state.mkdir(mode=0o700)
        (state / "config.toml").write_text(f'[sync]\nserver_url = "{server.url}"\n')

    def git(self, *words):
        subprocess.run(["git", *words], cwd=self.repository, env=self.environment, check=True, capture_output=True)

    def start(self, *words):
        return subprocess.Popen(
            ["spec-kitty", *words], cwd=self.repository, env=self.environment, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )

    def run(self, *words, codes=(0,)):
        process = self.start(*words)
        text = process.communicate(timeout=180)[0]
        if process.returncode not in codes:
            sys.exit(f"{self.release}: {words} ended with {process.returncode}:\n{text}")
        return text

    def log_in_by_device(self):
        process = self.start("auth", "login", "--headless", "--force")
        said = ""
        while not (code := re.search(r"\b[A-Z]{4}-[A-Z]{4}\b", said)):
            line = process.stdout.readline()
            if not line:
                sys.exit(f"{self.release}: no code:\n{said}")
            said += line
        approve(f"{self.server.url}/device?user_code={code[0]}", self.server.secret)
        rest = process.communicate(timeout=60)[0]
        expect(process.returncode == 0 and EMAIL in rest, f"{self.release}: device login: {said}{rest}")

    def log_in_by_browser(self):
        self.page.unlink(missing_ok=True)
        process = self.start("auth", "login", "--force")
        for _ in range(600):
            if self.page.exists():
                break
            time.sleep(0.1)
        back = approve(self.page.read_text(), self.server.secret)
        urllib.request.urlopen(back, timeout=10).read()
        said = process.communicate(timeout=60)[0]
        expect(process.returncode == 0 and EMAIL in said, f"{self.release}: browser login: {said}")

    def create_mission(self):
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.email", EMAIL)
        self.git("config", "user.name", "Ada")
        self.git("remote", "add", "origin", f"https://example.org/acme/repo-{self.release}.git")
        (self.repository / "README.md").write_text("# A repository\n")
        self.run("init", ".", "--ai", "codex", "--non-interactive")
        self.git("add", "-A")
        self.git("commit", "-qm", "start")
        self.git("checkout", "-q", "-b", "feat/greet")
        self.run("sync", "opt-in", codes=(0, 1))
        words = ["agent", "mission", "create", "greet", "--mission-type", "software-dev", "--friendly-name", "Greet"]
        words += ["--purpose-tldr", "Say hello", "--purpose-context", "We greet people.", "--json"]
        self.run(*words)
        mission = next((self.repository / "kitty-specs").iterdir())
        for name, content in FILES.items():
            path = mission / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        self.git("add", "-A")
        self.git("commit", "-qm", "plan")
        self.run("agent", "mission", "finalize-tasks", "--mission", mission.name, "--json")

    def end_daemon(self):
        """Ends the background daemon of this home, which outlives the commands."""
        for owner in glob.glob(f"{self.home}/.spec-kitty/sync/daemon/owner.json"):
            pid = json.loads(pathlib.Path(owner).read_text())["pid"]
            environment = pathlib.Path(f"/proc/{pid}/environ")
            if environment.exists() and f"HOME={self.home}\0".encode() in environment.read_bytes():
                os.kill(pid, signal.SIGTERM)

    def captured(self):
        """The events that the client captured since it was opted in."""
        events = {}
        for path in glob.glob(f"{self.home}/.spec-kitty/projects/*/sync/sync.db"):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as store:
                eligible = "SELECT payload_json FROM journal_entries JOIN consent_epochs USING (epoch_id) WHERE state = 'eligible'"
                for (text,) in store.execute(eligible):
                    entry = json.loads(text)
                    event = entry.get("event", entry)
                    events[event["event_id"]] = event["event_type"]
        return events

    def queued(self):
        rows = 0
        for path in glob.glob(f"{self.home}/.spec-kitty/queues/queue-*.db"):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as store:
                rows += store.execute("SELECT count(*) FROM queue").fetchone()[0]
        return rows


def expect(condition, text):
    if not condition:
        sys.exit(text)


def drive(client, server):
    is_current = client.release == "3.2.7"
    client.log_in_by_device()
    # The release candidate delivers at the end of each command, too.
    before = len(server.rows("events"))
    client.create_mission()
    if not is_current:
        # It refuses to connect before it has rewritten the log that it has just written itself.
        client.run("doctor", "mission-state", "--fix", codes=(0, 1))
    # The current release ends with 1 when its journal is not empty after a complete delivery.
    said = client.run("sync", "now", codes=(0, 1))
    client.run("sync", "now", codes=(0, 1))
    events, bodies = server.rows("events"), server.rows("bodies")
    stored = [row["event_id"] for row in events]
    expect(len(stored) > before, f"{client.release}: nothing arrived: {said}")
    expect(len(stored) == len(set(stored)), f"{client.release}: an event is stored twice")
    absent = {key: kind for key, kind in client.captured().items() if key not in stored}
    expect(not absent, f"{client.release}: not on the server: {absent}\n{said}\n{server.log_text()}")
    expect(client.queued() == 0, f"{client.release}: {client.queued()} events wait: {said}")
    paths = {row["artifact_path"] for row in bodies}
    expect("spec.md" in paths, f"{client.release}: no body of spec.md: {paths}")
    print(f"{client.release}: {len(stored) - before} events, {len(bodies)} bodies, each once", flush=True)

    server.expire_access_tokens()
    routes = client.run("sync", "routes")
    expect("Could not load" not in routes, f"{client.release}: {routes}")
    server.expire_access_tokens()
    expect("editors" in client.run("sync", "share", "editors"), f"{client.release}: share")
    expect("shared" in client.run("sync", "routes"), f"{client.release}: the share is not shown")
    client.run("sync", "unshare", "editors")
    if is_current:
        deleted = client.run("sync", "opt-out", "--delete-private-data", "--yes")
        expect("Deleted private SaaS data" in deleted, f"{client.release}: {deleted}")
        expect(not set(stored[before:]) & {row["event_id"] for row in server.rows("events")}, "events are still there")
    said = client.run("auth", "logout")
    expect("not confirmed" not in said.lower(), f"{client.release}: {said}")
    client.log_in_by_browser()
    client.run("auth", "logout")
    print(f"{client.release}: refresh, sharing, deletion, both logins and logout", flush=True)


def main():
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        environments = pathlib.Path(sys.argv[2]).absolute() if len(sys.argv) > 2 else directory / "environments"
        server = Server(binary, directory)
        try:
            server.admin("team", "add", "--team", "editors", "--name", "Editors")
            server.admin("team", "add-member", "--team", "editors", "--email", EMAIL)
            for release in RELEASES:
                client = Client(release, server, directory, environments)
                try:
                    drive(client, server)
                finally:
                    client.end_daemon()
        finally:
            server.process.terminate()
            server.process.wait(timeout=30)


if __name__ == "__main__":
    main()
