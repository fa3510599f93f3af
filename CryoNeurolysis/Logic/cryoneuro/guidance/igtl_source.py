"""CT volumes and tool poses that another program sends over OpenIGTLink (pyigtl)."""

from __future__ import annotations

import hashlib
import logging
import socket
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..imaging import ct_from_array
from ..knowledge import constant
from ..model import Acquisition, CryoNeuroError, GuidanceError, VolumeGeometry
from .arrival import Arrival, TrackedPose

_LOG = logging.getLogger(__name__)
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_KEYS_KEPT = 500


class IgtlSource:
    """A FrameSource: connects to an OpenIGTLink server (PLUS, a robot, another Slicer) and takes IMAGE and TRANSFORM.

    OpenIGTLink says nothing of the patient: identity remains a question that a person answers.

    Raises:
        GuidanceError: pyigtl is not installed, or the port is none.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 18944, clock: Callable[[], float] = time.time) -> None:
        if not 1 <= port <= 65535:
            raise GuidanceError(f"There is no port {port}; choose one from 1 to 65535.")
        self.host, self.port, self._clock = host, port, clock
        self._client: Any = _client(host, port)
        self._keys: dict[str, None] = {}
        self._was_connected = False

    @property
    def words(self) -> str:
        return f"OpenIGTLink from {self.host} port {self.port}"

    def poll(self) -> tuple[Arrival, ...]:
        if self._client is None:
            return ()
        now = self._clock()
        found = []
        if self._client.is_connected() != self._was_connected:
            self._was_connected = not self._was_connected
            words = "Connected to" if self._was_connected else "The connection is lost to"
            found.append(Arrival("", f"{words} {self.words}.", now))
        found += [Arrival("", text, now) for text in self._client.troubles()]
        for message in self._client.taken():
            arrival = self._image(message, now) if message.message_type == "IMAGE" else self._pose(message, now)
            if arrival is not None:
                found.append(arrival)
        return tuple(found)

    def handled(self, arrival: Arrival) -> None:
        """Nothing to do: what was sent is not kept."""

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.stop()

    def _image(self, message: Any, now: float) -> Arrival | None:
        name = _printable(message.device_name) or "image"
        array = np.asarray(message.image)
        if array.ndim == 4 and array.shape[3] == 1:
            array = array[..., 0]
        key = "igtl-" + hashlib.sha256(array.tobytes() + message.ijk_to_world_matrix.tobytes()).hexdigest()[:24]
        if key in self._keys:
            return None
        self._keys[key] = None
        while len(self._keys) > _KEYS_KEPT:
            del self._keys[next(iter(self._keys))]
        if array.ndim != 3 or min(array.shape) < 2:
            size = " x ".join(str(n) for n in array.shape[::-1])
            return Arrival(key, f"{name} came with size {size}; a CT of two slices or more is needed.", now)
        matrix = np.asarray(message.ijk_to_world_matrix, dtype=float)
        if message.world_coordinate_system != "ras":
            matrix = _LPS_TO_RAS @ matrix
        try:
            geometry = VolumeGeometry(array.shape, matrix)
            made = time.strftime("%Y%m%d %H%M%S", time.localtime(message.timestamp)) if message.timestamp else ""
            ct = ct_from_array(np.array(array), geometry, Acquisition(acquired=made, description=name), name)
        except (CryoNeuroError, OverflowError, ValueError, OSError) as error:
            return Arrival(key, f"{name} has come over OpenIGTLink and cannot be used: {error}", now)
        k, j, i = array.shape
        said = f"{name}: a scan of {k} slices of {geometry.spacing_mm[2]:g} mm ({i} x {j}) has come over OpenIGTLink."
        return Arrival(key, said, now, ct)

    def _pose(self, message: Any, now: float) -> Arrival | None:
        matrix = np.asarray(message.matrix, dtype=float)
        name = _printable(message.device_name) or "tool"
        turn = matrix[:3, :3]
        if not np.isfinite(matrix).all() or not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3):
            return Arrival("", f"The pose of {name} is no rigid movement and was left out.", now)
        return Arrival(f"pose-{name}", f"{name} has moved.", now, pose=TrackedPose(name, matrix))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(text)).strip()[:40]


def _client(host: str, port: int) -> Any:
    """A pyigtl client that notices a closed line and takes no message beyond a size."""
    try:
        from pyigtl.comm import OpenIGTLinkClient
        from pyigtl.messages import MessageBase
    except ImportError:
        raise GuidanceError(
            "OpenIGTLink needs the package pyigtl, which is not installed; install it with: "
            "pip install 'cryoneuro[live]' (in Slicer: slicer.util.pip_install('pyigtl'))."
        ) from None
    logging.getLogger("pyigtl").setLevel(logging.CRITICAL)
    most = int(1e6 * constant("live_image_most_mb"))

    class Client(OpenIGTLinkClient):  # type: ignore[misc]
        def __init__(self) -> None:
            self._waiting: list[Any] = []
            self._said: list[str] = []
            super().__init__(host=host, port=port)

        def taken(self) -> list[Any]:
            with self.lock_incoming_messages:
                found, self._waiting = self._waiting, []
            return found

        def troubles(self) -> list[str]:
            with self.lock_incoming_messages:
                found, self._said = self._said, []
            return found

        def _receive_message_from_socket(self, line: socket.socket) -> bool:
            header = self._exactly(line, MessageBase.IGTL_HEADER_SIZE, first=True)
            if header is None:
                return False
            try:
                facts = MessageBase.parse_header(header)
                size = int(facts["body_size"])
            except Exception as error:
                self._drop(line, f"{host} port {port} sends something that is not OpenIGTLink; the line was closed.")
                raise ConnectionError("no OpenIGTLink") from error
            if (facts["message_type"] not in ("IMAGE", "TRANSFORM") and size > (1 << 20)) or size > most:
                self._drop(line, f"{host} port {port} announced a message of {size / 1e6:.0f} MB; the line was closed.")
                raise ConnectionError("too large")
            body = self._exactly(line, size)
            if facts["message_type"] not in ("IMAGE", "TRANSFORM"):
                return True
            try:
                message = MessageBase.create_message(facts["message_type"])
                message.unpack(facts, body)
            except Exception as error:
                self._note(f"A damaged message came over OpenIGTLink and was left out ({type(error).__name__}).")
                return True
            with self.lock_incoming_messages:
                # Of a tool only its last pose counts; of images the last few, should nobody fetch them.
                if facts["message_type"] == "TRANSFORM":
                    self._waiting = [
                        m
                        for m in self._waiting
                        if m.device_name != message.device_name or m.message_type != "TRANSFORM"
                    ]
                self._waiting = [*self._waiting, message][-8:]
            return True

        def _exactly(self, line: socket.socket, count: int, first: bool = False) -> bytes | None:
            found = bytearray()
            last = time.monotonic()
            while len(found) < count:
                try:
                    part = line.recv(min(count - len(found), 1 << 20))
                except TimeoutError:
                    if first and not found:
                        return None
                    if time.monotonic() - last > constant("live_network_timeout_s"):
                        self._drop(line, f"A message from {host} port {port} stopped halfway; the line was closed.")
                        raise ConnectionError("stalled") from None
                    continue
                if not part:
                    self._drop(line)
                    raise ConnectionError("closed")
                found += part
                last = time.monotonic()
            return bytes(found)

        def _drop(self, line: socket.socket, sentence: str = "") -> None:
            self._connected = False
            line.close()
            self.socket = None
            if sentence:
                self._note(sentence)

        def _note(self, sentence: str) -> None:
            with self.lock_incoming_messages:
                if sentence not in self._said:
                    self._said = [*self._said, sentence][-20:]

        def _client_thread_function(self) -> None:
            while not self.communication_thread_stop_requested:
                if not self._connected:
                    try:
                        line = socket.create_connection((host, port), timeout=1.0)
                        line.settimeout(0.05)
                        self.socket = line  # type: ignore[assignment]
                        self._connected = True
                    except OSError:
                        self.socket = None
                        time.sleep(0.2)
                        continue
                try:
                    while self._receive_message_from_socket(line):
                        if self.communication_thread_stop_requested:
                            break
                except (OSError, ConnectionError):
                    if self.socket is not None:
                        self._drop(self.socket)
                    time.sleep(0.2)
            if self.socket is not None:
                self.socket.close()
            self.communication_thread_stopped = True

    return Client()
