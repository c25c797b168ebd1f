#!/usr/bin/env python3
"""Runs the proxy examples: nginx and Caddy check their files, and a client delivers through nginx. Another one delivers
to a server that terminates TLS itself.

Usage: .ci/proxies.py target/debug/spec-kitty

The examples are used as they are, except for addresses, ports and certificates.
"""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
EMAIL = "ada@example.org"


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / ".ci" / f"{name}.py"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def install(program, package):
    if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
        prefix = [] if os.getuid() == 0 else ["sudo"]
        subprocess.run([*prefix, "apt-get", "update", "-qq"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", package],
                       check=True, stdout=subprocess.DEVNULL)


def certificate(directory):
    cert, key = directory / "fullchain.pem", directory / "privkey.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    return cert, key


def main(binary):
    binary = os.path.abspath(binary)
    install("nginx", "nginx-light")
    install("caddy", "caddy")
    subprocess.run(["caddy", "validate", "--adapter", "caddyfile", "--config", ROOT / "contrib/caddy/Caddyfile"],
                   check=True, capture_output=True)
    with tempfile.TemporaryDirectory() as temporary:
        deliver(binary, pathlib.Path(temporary))
    with tempfile.TemporaryDirectory() as temporary:
        deliver_directly(binary, pathlib.Path(temporary))


def deliver(binary, directory):
    cert, key = certificate(directory)
    public, inner = free_port(), free_port()
    example = (ROOT / "contrib/nginx/spec-kitty.conf").read_text()
    for old, new in {
        "listen 443 ssl;": f"listen 127.0.0.1:{public} ssl;",
        "    listen [::]:443 ssl;\n": "",
        "server_name sync.example.org;": "server_name localhost;",
        "server 127.0.0.1:8470;": f"server 127.0.0.1:{inner};",
        "/etc/letsencrypt/live/sync.example.org/fullchain.pem": str(cert),
        "/etc/letsencrypt/live/sync.example.org/privkey.pem": str(key),
    }.items():
        if old not in example:
            sys.exit(f"contrib/nginx/spec-kitty.conf has no `{old.strip()}`")
        example = example.replace(old, new)
    (directory / "site.conf").write_text(example)
    paths = "".join(f"{kind}_temp_path {directory}/{kind};\n" for kind in
                    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    config = directory / "nginx.conf"
    config.write_text(f"pid {directory}/pid;\nerror_log {directory}/error.log;\ndaemon off;\nevents {{}}\n"
                      f"http {{\naccess_log off;\n{paths}include {directory}/site.conf;\n}}\n")
    subprocess.run(["nginx", "-t", "-c", config], check=True, capture_output=True)

    url = f"https://localhost:{public}"
    data, home = str(directory / "data"), directory / "home"
    secret = add_account(binary, data)
    log = open(directory / "server.log", "wb")
    server = subprocess.Popen(
        [binary, "server", "--data", data, "--listen", f"127.0.0.1:{inner}", "--public-url", url,
         "--trusted-proxy", "127.0.0.1"], stdout=subprocess.PIPE, stderr=log, text=True)
    proxy = subprocess.Popen(["nginx", "-c", config], stderr=subprocess.DEVNULL)
    try:
        server.stdout.readline()
        client(binary, home, url, secret, cert)
        ask_from("127.0.0.9", public, cert)
        lines = [json.loads(line) for line in (directory / "server.log").read_text().splitlines()]
        batches = [line for line in lines if line.get("path") == "/api/v1/events/batch/"]
        stored = sum(line["events"]["stored"] for line in batches)
        if not stored:
            sys.exit(f"nothing was delivered through the proxy: {lines}")
        named = {line["peer"] for line in lines if line.get("path") == "/healthz"}
        if named != {"127.0.0.9"}:
            sys.exit(f"the server did not take the address of the client from the proxy: {named}")
        print(f"login and delivery of {stored} events through nginx, forwarded address seen; Caddyfile valid")
    finally:
        for process in (proxy, server):
            process.terminate()
            process.wait(timeout=30)


def add_account(binary, data):
    argv = [binary, "server", "user", "add", "--email", EMAIL, "--data", data, "--json"]
    return json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)["approval_secret"]


def deliver_directly(binary, directory):
    cert, key = certificate(directory)
    port, data = free_port(), str(directory / "data")
    secret = add_account(binary, data)
    with open(directory / "server.log", "wb") as log:
        server = subprocess.Popen(
            [binary, "server", "--data", data, "--listen", f"127.0.0.1:{port}", "--tls-cert", cert, "--tls-key", key],
            stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        if not server.stdout.readline().startswith("listening on https://"):
            sys.exit("the server does not use TLS")
        client(binary, directory / "home", f"https://localhost:{port}", secret, cert)
        print("login and delivery to a server that terminates TLS itself")
    finally:
        server.terminate()
        server.wait(timeout=30)


def ask_from(address, port, cert):
    """A request from another address, which names a third one."""
    context = ssl.create_default_context(cafile=str(cert))
    with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0)) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as stream:
            stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n"
                           b"Connection: close\r\n\r\n")
            answer = stream.recv(4096)
    if b" 200 " not in answer:
        sys.exit(f"no answer through the proxy: {answer}")


def client(binary, home, url, secret, cert):
    released = load("released-clients")
    # The owner's browser trusts the certificate, as the client does.
    ssl._create_default_https_context = lambda: ssl.create_default_context(cafile=str(cert))
    repository, page, browser = home / "repo", home / "page", home / "browser"
    repository.mkdir(parents=True)
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > "{page}.part" && mv "{page}.part" "{page}"\n')
    browser.chmod(0o755)
    environment = {
        "PATH": f"{os.path.dirname(binary)}:/usr/bin:/bin", "HOME": str(home), "BROWSER": str(browser),
        "LANG": "C.UTF-8", "SPEC_KITTY_ENABLE_SAAS_SYNC": "1", "SSL_CERT_FILE": str(cert),
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": EMAIL,
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": EMAIL,
    }

    def run(*words):
        done = subprocess.run(words, cwd=repository, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    run("git", "init", "-q", "-b", "main")
    (repository / ".kittify").mkdir()
    run("git", "commit", "-q", "--allow-empty", "-m", "begin")
    run(binary, "config", "set", "sync.background_daemon", "manual")
    login = subprocess.Popen([binary, "auth", "login", "--server", url], cwd=repository, env=environment,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not page.exists():
        if login.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the login opened no page: {login.stderr.read()}")
        time.sleep(0.05)
    callback = released.approve(page.read_text(), secret)
    urllib.request.urlopen(callback, timeout=10).read()
    if login.wait(timeout=60):
        sys.exit(f"the login failed: {login.stderr.read()}")
    run(binary, "agent", "mission", "create", "behind-a-proxy")
    run(binary, "sync", "now")


main(*sys.argv[1:])
