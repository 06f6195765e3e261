"""Plain requests to a real API server, for setting scenes and for the oracle.

Exists because what judges `watcher` may not share its code. Blocking on purpose: tests read from
top to bottom.
"""

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

Object = dict[str, Any]  # as JSON has it


class APIError(Exception):
    """The API server said no."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:2000]}")
        self.status = status


@dataclass(frozen=True)
class API:
    """One address, one user."""

    url: str
    token: str = field(repr=False)
    ca_file: Path

    @cached_property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))

    def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        content_type: str = "application/json",
        timeout: float = 60,
    ) -> Any:
        """The answer: parsed JSON, else text. Raises APIError, URLError without an answer."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Accept", "application/json")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", content_type)
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=timeout) as answer:
                text = answer.read()
                is_json = answer.headers.get_content_type() == "application/json"
        except urllib.error.HTTPError as error:
            with error:
                raise APIError(error.code, error.read().decode(errors="replace")) from None
        return json.loads(text) if is_json else text.decode()

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def create(self, path: str, body: Object) -> Object:
        created: Object = self.call("POST", path, body)
        return created

    def merge(self, path: str, change: Object) -> Object:
        """JSON merge patch."""
        changed: Object = self.call(
            "PATCH", path, change, content_type="application/merge-patch+json"
        )
        return changed

    def delete(self, path: str) -> None:
        self.call("DELETE", path)

    def answers(self, path: str = "/readyz") -> bool:
        """Whether the path gives a 2xx right now."""
        try:
            self.call("GET", path, timeout=5)
        except (APIError, OSError):
            return False
        return True
