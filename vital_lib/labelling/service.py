"""Voila, told who may open the card: by a secret link, and by nothing else.

Three of Jupyter's own hooks do it. The *identity provider* turns the secret that comes with every
request (page, kernel, websocket) into an annotator, or refuses; no cookie is involved, so two
people can use one browser. The *kernel manager* tells a kernel whose it is and keeps the secret
out of it. The *template* draws the page without anything from another server. This module knows
nothing of items and labels.
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
from vital_lib.labelling.card import ANNOTATOR, CARD
from vital_lib.labelling.links import annotators_by_hash, fingerprint

_FOLDER = Path(__file__).parent
_NAMES_THE_LINK = {"QUERY_STRING", "VOILA_REQUEST_URL"}  # set by Voila, secret and all
_WIDGETS = [
    "@voila-dashboards/widgets-manager8",
    "@jupyter-widgets/jupyterlab-manager",
    "anywidget",
]
_HEADERS = {
    # Nothing is fetched from, or sent to, another server, whatever a caption may hold.
    "Content-Security-Policy": "default-src 'self' data: blob:; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the page's address is the secret
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Service:
    """Where the card is served, of which run, and to whom.

    Args:
        run: the run's folder.
        annotators: whose links are accepted.
        url: the address by which people reach the service, where a proxy stands before it; the
            proxy passes paths on unchanged, and websockets too.
        card: further arguments of `open_page`.
        idle_seconds: after so long without a sign of life a closed page's kernel is ended.

    Raises:
        ValueError: no annotator, one twice or named as a simulated one, or a port or address
            that cannot be.
    """

    run: Path
    annotators: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 8866
    url: str | None = None
    card: Mapping[str, Any] | None = None
    idle_seconds: int = 600

    def __post_init__(self) -> None:
        """Refuse what cannot be served."""
        names = self.annotators
        if not names or not all(name.strip() == name and name for name in names):
            raise ValueError(f"annotators {names!r}: give names, as in --annotators ann,bob")
        if len(set(names)) < len(names):
            raise ValueError(f"annotators {names!r}: each name once")
        for name in names:
            check_person(name)
        if not 0 < self.port < 65536:
            raise ValueError(f"port {self.port}: give one from 1 to 65535")
        if self.url is not None and urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"url {self.url!r}: give it whole, as in https://host.example/label/")
        if self.idle_seconds < 1:
            raise ValueError(f"idle_seconds {self.idle_seconds}: at least 1")

    @property
    def base_url(self) -> str:
        """The path under which everything is served, with a slash at both ends."""
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
        """The address to hand to the annotator to whom `secret` was given."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = self.url.rstrip("/") if self.url else f"http://{host}:{self.port}"
        return f"{place}/?token={secret}"

    def check_port(self) -> None:
        """Raise OSError, saying what to do, where the port cannot be had."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise OSError(
                    f"cannot listen on {self.host}:{self.port} ({error.strerror}): give another "
                    "with PORT= (--port) or HOST= (--host)"
                ) from error


class LinkIdentity(IdentityProvider):
    """Who sends a request: the annotator whose secret comes with it, or nobody."""

    annotators = Dict(help="SHA-256 of a link's secret -> its annotator").tag(config=True)

    def get_user(self, handler: RequestHandler) -> User | None:
        """The annotator; None (answered with 403) for anybody else and for another's kernel."""
        name = self.annotators.get(fingerprint(self.get_token(handler) or ""))
        if name and handler.kernel_manager.may_use(name, handler.request.path):
            return User(username=name)
        if isinstance(handler, VoilaHandler):  # Jupyter would send a page's visitor to a login
            handler.current_user = handler._jupyter_current_user = None
            raise HTTPError(403)
        return None

    def is_token_authenticated(self, handler: RequestHandler) -> bool:
        """Every request that is let in: another site cannot forge what it does not know."""
        return handler.current_user is not None

    def get_handlers(self) -> list[tuple[str, object]]:
        """No login, no logout: there are only links."""
        return []


class CardKernels(AsyncMappingKernelManager):
    """The kernels of opened pages, each of them its annotator's own."""

    environment = Dict(help="environment variables of every kernel").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._owners: dict[str, str] = {}

    async def start_kernel(self, *, env: Mapping[str, str], **kwargs: Any) -> str:
        """Start a kernel for whoever sent the request at hand, and return its id."""
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
        """Whether a request's `path` names no kernel but the annotator's own."""
        return all(owner == annotator for id, owner in self._owners.items() if id in path)


class _WithoutSecrets(logging.Filter):
    """Takes the links' secrets out of what tornado writes about failed requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = re.sub(r"(token=)[^&\s]+", r"\1[secret]", record.getMessage())
        record.args = ()
        return True


def serve(service: Service) -> None:
    """Serve the card until the process is told to end (Ctrl-C, SIGTERM); its kernels end too."""
    os.environ["JUPYTER_PATH"] = str(_FOLDER)  # where Voila looks for templates first
    for name in ("tornado.general", "tornado.application", "tornado.access"):
        logging.getLogger(name).addFilter(_WithoutSecrets())
    Voila.launch_instance(
        argv=[str(_FOLDER / "card.ipynb")],
        config=_config(service),
        config_file_paths=[],  # nobody's voila.json may open what is closed here
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
        prelaunch_hook=_tell_the_template,
    )
    config.LinkIdentity.annotators = annotators_by_hash(service.run, service.annotators)
    config.CardKernels = Config(
        environment={CARD: json.dumps(card)},
        cull_idle_timeout=service.idle_seconds,
        cull_interval=min(60, service.idle_seconds),
    )
    # A kernel that died has lost its card: started anew it would be a kernel without one.
    config.KernelRestarter.restart_limit = 0
    # Meant for printing loops; here it would drop the images of a brisk annotator.
    config.ZMQChannelsWebsocketConnection.limit_rate = False
    return config


def _tell_the_template(handler: RequestHandler, notebook: Any, cwd: str) -> None:
    """Whose page it is, and the secret that its requests carry: for the template alone."""
    secret = handler.identity_provider.get_token(handler)
    notebook.metadata["vital"] = {"annotator": handler.current_user.username, "token": secret}
