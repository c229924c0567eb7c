"""The Voila server of the preference card, which opens only by secret link.

It uses three hooks of Jupyter. The *identity provider* maps the secret in each request (page,
kernel, websocket) to an annotator, or refuses the request. It uses no cookie, so two annotators
can share a browser. The *kernel manager* gives each kernel its annotator's name and withholds the
secret. The *template* renders the page without resources from other servers. This module does not
handle items or labels.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.base.call_context import CallContext
from jupyter_server.log import log_request
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError, RequestHandler
from traitlets import Dict
from traitlets.config import Config
from voila.app import Voila
from voila.handler import VoilaHandler

from vital_lib.annotators import check_person
from vital_lib.connection import UndelayedConnection
from vital_lib.labelling.card import ANNOTATOR, CARD
from vital_lib.labelling.links import annotators_by_hash, fingerprint

_FOLDER = Path(__file__).parent
_NAMES_THE_LINK = {"QUERY_STRING", "VOILA_REQUEST_URL"}  # set by Voila; they contain the secret
_WIDGETS = [
    "@voila-dashboards/widgets-manager8",
    "@jupyter-widgets/jupyterlab-manager",
    "anywidget",
]
_HEADERS = {
    # The page exchanges nothing with other servers, whatever a caption contains.
    "Content-Security-Policy": "default-src 'self' data: blob:; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the page's address contains the secret
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Service:
    """Settings of the service: the run, the annotators, and the address.

    Args:
        run: the run's folder.
        annotators: names of the annotators whose links are accepted.
        url: the public address if the service is behind a proxy. The proxy must pass on paths
            unchanged, and websockets.
        card: further arguments of `open_page`.
        idle_seconds: time without activity after which the kernel of a closed page is stopped.

    Raises:
        ValueError: no annotators, a repeated name, the name of a simulated clinician, or an
            invalid port, URL or idle time.
    """

    run: Path
    annotators: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 8866
    url: str | None = None
    card: Mapping[str, Any] | None = None
    idle_seconds: int = 600

    def __post_init__(self) -> None:
        """Check the settings."""
        names = self.annotators
        if not names or not all(name.strip() == name and name for name in names):
            raise ValueError(
                f"annotators {names!r}: give names without outer blanks, as in --annotators ann,bob"
            )
        if len(set(names)) < len(names):
            raise ValueError(f"annotators {names!r}: give each name once")
        for name in names:
            check_person(name)
        if not 0 < self.port < 65536:
            raise ValueError(f"port {self.port}: give one from 1 to 65535")
        if self.url is not None and urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(
                f"url {self.url!r}: give the full URL, e.g. https://host.example/label/"
            )
        if self.idle_seconds < 1:
            raise ValueError(f"idle_seconds {self.idle_seconds}: give at least 1")

    @property
    def base_url(self) -> str:
        """The path of the service, with a slash at both ends."""
        path = urlsplit(self.url).path.strip("/") if self.url else ""
        return f"/{path}/" if path else "/"

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def link(self, secret: str) -> str:
        """Return the link with `secret`, to hand to its annotator."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = self.url.rstrip("/") if self.url else f"http://{host}:{self.port}"
        return f"{place}/?token={secret}"

    def check_port(self) -> None:
        """Raise OSError if the port is not available."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise OSError(
                    f"cannot listen on {self.host}:{self.port} ({error.strerror}): give another "
                    "port with PORT= (--port) or host with HOST= (--host)"
                ) from error


class LinkIdentity(IdentityProvider):
    """Identifies the sender of a request by its secret: an annotator, or no one."""

    annotators = Dict(help="SHA-256 of a link's secret -> its annotator").tag(config=True)

    def get_user(self, handler: RequestHandler) -> User | None:
        """Return the annotator, or None (status 403) if link or kernel is not theirs."""
        name = self.annotators.get(fingerprint(self.get_token(handler) or ""))
        if name and handler.settings["kernel_manager"].may_use(name, handler.request.path):
            return User(username=name)
        if isinstance(handler, VoilaHandler):  # Jupyter would redirect to a login page
            handler.current_user = handler._jupyter_current_user = None
            raise HTTPError(403)
        return None

    def is_token_authenticated(self, handler: RequestHandler) -> bool:
        """Whether the request has an annotator; other sites cannot forge a secret."""
        return handler.current_user is not None

    def get_handlers(self) -> list[tuple[str, object]]:
        """Return no handlers: there is no login or logout."""
        return []


class CardKernels(AsyncMappingKernelManager):
    """The kernels of open pages, each owned by one annotator."""

    environment = Dict(help="environment variables of every kernel").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._owners: dict[str, str] = {}

    # The server always gives env.
    async def start_kernel(  # ty: ignore[incompatible-method-override]
        self, *, env: Mapping[str, str], **kwargs: Any
    ) -> str:
        """Start a kernel for the sender of the current request, and return its id."""
        annotator = CallContext.get(CallContext.JUPYTER_HANDLER).current_user.username
        kept = {name: value for name, value in env.items() if name not in _NAMES_THE_LINK}
        env = {**kept, **self.environment, ANNOTATOR: annotator}
        kernel_id = await super().start_kernel(env=env, **kwargs)
        self._owners[kernel_id] = annotator
        return kernel_id

    def remove_kernel(self, kernel_id: str) -> Any:
        """Forget a kernel that has ended."""
        self._owners.pop(kernel_id, None)
        return super().remove_kernel(kernel_id)

    def may_use(self, annotator: str, path: str) -> bool:
        """Whether a request's `path` contains no kernel of another annotator."""
        return all(owner == annotator for id, owner in self._owners.items() if id in path)


class _WithoutSecrets(logging.Filter):
    """Removes the links' secrets from tornado's log messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = re.sub(r"(token=)[^&\s]+", r"\1[secret]", record.getMessage())
        record.args = ()
        return True


def serve(service: Service) -> None:
    """Serve the card until the process is stopped (Ctrl-C, SIGTERM), then stop its kernels."""
    os.environ["JUPYTER_PATH"] = str(_FOLDER)  # Voila looks for templates here first
    for name in ("tornado.general", "tornado.application", "tornado.access"):
        logging.getLogger(name).addFilter(_WithoutSecrets())
    Voila.launch_instance(
        argv=[str(_FOLDER / "card.ipynb")],
        config=_config(service),
        config_file_paths=[],  # no voila.json may loosen these settings
    )


def _config(service: Service) -> Config:
    card = {"run": str(service.run.resolve()), **(service.card or {})}
    config = Config()
    config.Voila = Config(
        ip=service.host,
        port=service.port,
        port_retries=0,
        base_url=service.base_url,
        open_browser=False,
        log_level=logging.WARNING,
        identity_provider_class=LinkIdentity,
        kernel_websocket_connection_class=UndelayedConnection,
        tornado_settings={"headers": _HEADERS, "log_function": log_request},
    )
    config.VoilaConfiguration = Config(
        template="vital",
        allow_template_override="NO",
        allow_theme_override="NO",
        file_allowlist=[],
        extension_allowlist=_WIDGETS,
        extension_denylist=[],
        multi_kernel_manager_class=CardKernels,
        prelaunch_hook=_fill_template,
    )
    config.LinkIdentity.annotators = annotators_by_hash(service.run, service.annotators)
    config.CardKernels = Config(
        environment={CARD: json.dumps(card)},
        cull_idle_timeout=service.idle_seconds,
        cull_interval=min(60, service.idle_seconds),
    )
    # Do not restart a kernel that died: it would have no card.
    config.KernelRestarter.restart_limit = 0
    # The rate limit is meant for printing loops; here it would drop a fast annotator's images.
    config.ZMQChannelsWebsocketConnection.limit_rate = False
    return config


def _fill_template(handler: RequestHandler, notebook: Any, cwd: str) -> None:
    """Give the template the page's annotator and the secret for its requests."""
    secret = handler.settings["identity_provider"].get_token(handler)
    notebook.metadata["vital"] = {"annotator": handler.current_user.username, "token": secret}
