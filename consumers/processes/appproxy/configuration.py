"""Writes the configuration of one coordinator with one worker on loopback."""

from pathlib import Path

import msgspec

AUTHORITY = "worker-1"
API_SECRET = "an api secret on loopback"  # noqa: S105 - of a server of a demo or a test
"""The token by which a publisher speaks to the coordinator."""
_JWT_SECRET = "a jwt secret on loopback"  # noqa: S105 - the same
_PERMIT_SECRET = "a permit secret on loopback"  # noqa: S105 - the same

_LOGGING = """
[logging]
level = "INFO"
drivers = ["console"]

[logging.pkg-ns]
"" = "WARNING"
"ai.backend" = "INFO"

[logging.console]
colored = false
format = "simple"
"""


class Ports(msgspec.Struct, frozen=True):
    """Where each server listens."""

    redis: int
    database: int
    coordinator: int
    worker: int
    monitors: tuple[int, ...]
    circuits: tuple[int, int]
    placeholder: int


def write_configuration(folder: Path, ports: Ports, database_user: str, script: str) -> None:
    """Write `coordinator.toml`, `worker.toml` and `alembic.ini` into *folder*."""
    (folder / "coordinator.toml").write_text(_coordinator(folder, ports, database_user))
    (folder / "worker.toml").write_text(_worker(folder, ports))
    url = f"postgresql+asyncpg://{database_user}@127.0.0.1:{ports.database}/postgres"
    (folder / "alembic.ini").write_text(
        f"[alembic]\nscript_location = {script}\nsqlalchemy.url = {url}\n"
        "[loggers]\nkeys = root\n[handlers]\nkeys =\n[formatters]\nkeys =\n"
        "[logger_root]\nlevel = WARN\nhandlers =\n"
    )


def _address(port: int) -> str:
    return f'{{ host = "127.0.0.1", port = {port} }}'


def _secrets() -> str:
    return f"""
[secrets]
jwt_secret = "{_JWT_SECRET}"
api_secret = "{API_SECRET}"

[permit_hash]
secret = "{_PERMIT_SECRET}"
digest_mod = "sha256"
{_LOGGING}"""


def _coordinator(folder: Path, ports: Ports, database_user: str) -> str:
    return f"""
[db]
type = "postgresql"
name = "postgres"
user = "{database_user}"
password = "any"
addr = {_address(ports.database)}

[[db.addrs]]
host = "127.0.0.1"
port = {ports.database}

[redis]
addr = {_address(ports.redis)}

[core_redis]
addr = {_address(ports.redis)}

[proxy_coordinator]
ipc_base_path = "{folder}"
pid_file = "{folder}/coordinator.pid"
id = "coordinator-1"
bind_addr = {_address(ports.coordinator)}
announce_addr = {_address(ports.coordinator)}
distributed_lock = "pg_advisory"
tls_listen = false
tls_advertised = false
enable_traefik = false
allow_unauthorized_configure_request = true
health_check_timer_interval = 1.0
aiomonitor_termui_port = {ports.monitors[0]}
aiomonitor_webui_port = {ports.monitors[1]}
{_secrets()}"""


def _worker(folder: Path, ports: Ports) -> str:
    lowest, highest = ports.circuits
    return f"""
[redis]
addr = {_address(ports.redis)}

[proxy_worker]
ipc_base_path = "{folder}"
pid_file = "{folder}/worker.pid"
id = "{AUTHORITY}"
api_bind_addr = {_address(ports.worker)}
announce_addr = {_address(ports.worker)}
coordinator_endpoint = "http://127.0.0.1:{ports.coordinator}"
verify_coordinator_ssl_certificate = false
authority = "{AUTHORITY}"
tls_listen = false
tls_advertised = false
heartbeat_period = 2.0
frontend_mode = "port"
protocol = "http"
accepted_traffics = ["inference", "interactive"]
filtered_apps_only = false
aiomonitor_termui_port = {ports.monitors[2]}
aiomonitor_webui_port = {ports.monitors[3]}

[proxy_worker.port_proxy]
bind_host = "127.0.0.1"
advertised_host = "127.0.0.1"
bind_port_range = [{lowest}, {highest}]
{_secrets()}"""
