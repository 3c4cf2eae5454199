"""The values of a request's secrets, each read once in a build."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from jettison.errors import JettisonError, NotFound, UsageError
from jettison.events import Emit
from jettison.request import BuildRequest, Secret

if TYPE_CHECKING:
    from jettison.secrets.masking import Masks, Output

LARGEST = 500 * 1024
"""Bytes of a secret, as BuildKit has it."""


class Secrets:
    """The secrets of a request. A value is read when it is first needed, as it may come through a pipe."""

    def __init__(self, request: BuildRequest) -> None:
        self._given = {secret.id: secret for secret in request.secrets}
        self._environment = request.environment
        self._values: dict[str, bytes] = {}
        self._masks: Masks | None = None
        self._lock = threading.RLock()

    def value(self, name: str) -> bytes | None:
        """The value of a secret by its id, or None where none was given.

        Raises NotFound where its file or variable is not there, UsageError where it is too large.
        """
        secret = self._given.get(name)
        if secret is None:
            return None
        with self._lock:
            if name not in self._values:
                self._values[name] = self._read(secret)
            return self._values[name]

    def _read(self, secret: Secret) -> bytes:
        what = f"--secret id={secret.id}"
        if secret.env:
            text = self._environment.get(secret.env)
            if text is None:
                raise NotFound(f"{what}: the variable {secret.env} is not set")
            value = text.encode("utf-8", "surrogateescape")
        else:
            try:
                with open(secret.src, "rb") as file:
                    value = file.read(LARGEST + 1)
            except OSError as error:
                raise NotFound(f"{what}: cannot read {secret.src}: {error.strerror}") from error
        if len(value) > LARGEST:
            raise UsageError(
                f"{what}: the value is larger than {LARGEST // 1024} KiB",
                hint="give the key as a secret, and what it opens as a file of a build context",
            )
        return value

    def masked(self, emit: Emit) -> Emit:
        """An `Emit` in whose messages no value is shown."""
        from jettison.secrets.masking import masked_events

        return masked_events(self.masks, emit)

    def masked_output(self, output: Callable[[int, bytes], None]) -> AbstractContextManager[Output]:
        """What takes a process's output and passes it on without the values."""
        if not self._given:
            return nullcontext(output)
        from jettison.secrets.masking import masked_output

        return masked_output(self.masks(), output)

    def mask(self, error: BaseException) -> None:
        """Take the values out of an error's text."""
        if isinstance(error, JettisonError):
            from jettison.secrets.masking import mask_error

            mask_error(self.masks(), error)

    def masks(self) -> Masks:
        """What hides all values in output. Those that cannot be read are told by the steps that need them."""
        from jettison.secrets.masking import masks_of

        with self._lock:
            if self._masks is None:
                values = []
                for name in self._given:
                    try:
                        values.append(self.value(name) or b"")
                    except (NotFound, UsageError):
                        pass
                self._masks = masks_of(values)
            return self._masks

    def stamp(self, name: str, salt: Callable[[], bytes]) -> str:
        """What stands for a secret in the keys of steps that mount it: "" unless it was given `key=content`.

        Nobody who lacks the salt can tell from it whether a guessed value is right. Raises as `value`.
        """
        secret = self._given.get(name)
        if secret is None or secret.key != "content":
            return ""
        import hmac

        value = self.value(name) or b""
        what = name.encode("utf-8", "surrogateescape") + b"\0" + value
        return hmac.digest(salt(), what, "sha256").hex()
