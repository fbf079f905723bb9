"""nginx as `server/nginx.conf` sets it up, before replicas on this machine."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CONFIGURATION = Path(__file__).parents[1] / "server" / "nginx.conf"
PATIENCE = 10.0  # seconds for nginx to listen
# What a folder of our own needs around the file that operators copy; it runs as whoever runs the tests.
AROUND = """{user}daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/log warn;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/fleetune.conf;
}}
"""


def binary() -> str:
    """nginx, which Debian keeps beside root's programs; it must be installed."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError("nginx is not installed: apt-get install nginx")
    return found


@dataclass(frozen=True)
class Proxy:
    """Where it answers, whom to trust, and where it logs."""

    port: int
    trust: ssl.SSLContext
    folder: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@contextlib.contextmanager
def nginx(folder: Path, ports: Sequence[int]) -> Iterator[Proxy]:
    """The shipped file with these replicas, free ports and a certificate of its own, and nothing else changed."""
    folder.mkdir(parents=True, exist_ok=True)
    plain, port = free_port(), free_port()
    certificate(folder)
    text = CONFIGURATION.read_text()
    servers = re.findall(r"server 10\.0\.0\.\d+:8000(.*);", text)
    assert len(servers) == len(ports) == 2
    numbers = iter(ports)
    text = re.sub(r"server 10\.0\.0\.\d+:8000", lambda _: f"server 127.0.0.1:{next(numbers)}", text)
    text = re.sub(r"\tlisten \[::\].*\n", "", text)
    for old, new in {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "/etc/letsencrypt/live/fleetune.example.org/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
    }.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "fleetune.conf").write_text(text)
    user = "user root;\n" if os.geteuid() == 0 else ""  # its workers write answers that wait into our folder
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    process = subprocess.Popen([binary(), "-c", str(folder / "nginx.conf"), "-e", str(folder / "log")])
    try:
        until = time.monotonic() + PATIENCE
        while not _listens(port):
            ended = process.poll() is not None or time.monotonic() > until
            assert not ended, (folder / "log").read_text()
            time.sleep(0.05)
        yield Proxy(port, ssl.create_default_context(cafile=folder / "fullchain.pem"), folder)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def certificate(folder: Path) -> None:
    """A certificate for this machine that its own key signed, under the names that certbot gives."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fleetune.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "privkey.pem").write_bytes(private)
