"""Takes CT images that a scanner pushes (DICOM storage), writes each to disk before it is acknowledged, gives whole series.

The network stack is pynetdicom's. It is imported when a receiver is made: Slicer does not ship it.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import logging
import math
import re
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..knowledge import constant
from ..model import GuidanceError
from .arrival import Arrival
from .read_series import arrival_of
from .series import SeriesGathering
from .spool import Spool, SpoolFullError

_LOG = logging.getLogger(__name__)
_CT = "1.2.840.10008.5.1.4.1.1.2"
_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
_TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # explicit little endian
    "1.2.840.10008.1.2",  # implicit little endian
    "1.2.840.10008.1.2.2",  # explicit big endian
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first order
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.5",  # RLE
)
_OUT_OF_RESOURCES, _NOT_UNDERSTOOD, _NO_MATCH, _DONE = 0xA700, 0xC000, 0xA900, 0x0000
_PDU_BYTES = 1 << 20
_ABORT = b"\x07"
_MESSAGES_KEPT = 200
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")


@dataclass(frozen=True)
class ReceiverSettings:
    """How a receiver listens.

    Attributes:
        host: address to listen at; loopback unless somebody chooses otherwise.
        port: 0 takes a free one.
        ae_title: of the receiver.
        calling: AE titles that may send; empty lets all.
        addresses: IP addresses that may connect; empty lets all that reach the host address.
        certificate, key: PEM files; with them only TLS is spoken.
        authority: PEM file of who signs the senders' certificates; with it they must show one.
    """

    host: str = "127.0.0.1"
    port: int = 11112
    ae_title: str = "CRYONEURO"
    calling: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    def __post_init__(self) -> None:
        for title in (self.ae_title, *self.calling):
            if not _AE_TITLE.fullmatch(title) or not title.strip():
                raise GuidanceError(f"'{title}' is no AE title; one has 1 to 16 plain characters.")
        for address in self.addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise GuidanceError(f"'{address}' is no IP address; write one like 192.168.1.20.") from None
        if not 0 <= self.port <= 65535:
            raise GuidanceError(f"There is no port {self.port}; choose one from 1 to 65535.")
        if (self.certificate is None) != (self.key is None):
            raise GuidanceError("TLS needs a certificate and its key; give both files or neither.")


class DicomReceiver:
    """A FrameSource: a storage SCP for CT.

    Raises:
        GuidanceError: pynetdicom is not installed, the port is taken, or the folder or the TLS files cannot be used.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: ReceiverSettings | None = None,
        spool: Spool | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings or ReceiverSettings()
        self._clock = clock
        self._spool = spool or Spool(Path(folder).expanduser())
        self._lock = threading.Lock()
        self._gathering = SeriesGathering()
        self._messages: deque[str] = deque(maxlen=_MESSAGES_KEPT)
        self._told: deque[Arrival] = deque(maxlen=_MESSAGES_KEPT)
        self._recent: dict[str, deque[float]] = {}
        self._refused_since: dict[str, float] = {}
        for item in self._spool.waiting():
            self._gathering.add(item.series, item.instance, item.path, item.came_s)
        self._server = self._started()
        self.port = int(self._server.server_address[1])

    @property
    def words(self) -> str:
        secure = " with TLS" if self.settings.certificate else ""
        return f"DICOM at {self.settings.host} port {self.port}{secure}, AE title {self.settings.ae_title}"

    @property
    def log(self) -> tuple[str, ...]:
        """The last things that happened on the line, oldest first."""
        with self._lock:
            return tuple(self._messages)

    def poll(self) -> tuple[Arrival, ...]:
        now = self._clock()
        with self._lock:
            told = tuple(self._told)
            self._told.clear()
            due = self._gathering.due(now)
            self._gathering.forget(now - 2.0 * constant("live_series_longest_s"))
        return (*told, *(arrival_of(item) for item in due))

    def handled(self, arrival: Arrival) -> None:
        if arrival.key and arrival.files:
            self._spool.handled(arrival.key, arrival.files)

    def close(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        for association in server.active_associations:
            with contextlib.suppress(Exception):
                association.abort()
        with contextlib.suppress(ValueError, OSError):
            server.shutdown()
        for thread in list(server.active_associations):
            thread.join(timeout=2.0)
        self._thread.join(timeout=5.0)

    def _started(self) -> Any:
        try:
            from pynetdicom import AE, _config, evt
            from pynetdicom.transport import ThreadedAssociationServer
        except ImportError:
            raise GuidanceError(
                "Receiving DICOM needs the package pynetdicom, which is not installed; install it with: "
                "pip install 'cryoneuro[live]' (in Slicer: slicer.util.pip_install('pynetdicom'))."
            ) from None
        receiver = self
        # What comes in is hostile until it is read: pynetdicom's own log of it is not wanted on the console.
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        _config.LOG_HANDLER_LEVEL = "none"

        class Server(ThreadedAssociationServer):  # type: ignore[misc]
            daemon_threads = True
            request_queue_size = 64

            def get_request(self) -> tuple[Any, Any]:
                client, address = self.socket.accept()
                client.settimeout(constant("live_network_timeout_s"))
                if self.ssl_context:
                    # The handshake waits for the first read: a silent client must not hold up the others.
                    client = self.ssl_context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
                return client, address

            def verify_request(self, request: Any, client_address: Any) -> bool:
                open_ = [str(a.requestor.address) for a in self.active_associations]
                return receiver._may_connect(str(client_address[0]), open_)

            def handle_error(self, request: Any, client_address: Any) -> None:
                receiver._say(f"A connection from {client_address[0]} broke off.")

        entity = AE(ae_title=self.settings.ae_title)
        entity.maximum_associations = int(constant("live_associations_most"))
        entity.maximum_pdu_size = _PDU_BYTES
        timeout = constant("live_network_timeout_s")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout
        entity.require_calling_aet = list(self.settings.calling)
        entity.add_supported_context("1.2.840.10008.1.1", list(_TRANSFER_SYNTAXES[:3]))
        for kind in (_CT, _ENHANCED_CT):
            entity.add_supported_context(kind, list(_TRANSFER_SYNTAXES))
        handlers = [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_RELEASED, self._left),
            (evt.EVT_ABORTED, self._broke),
            (evt.EVT_CONN_CLOSE, self._left),
            (evt.EVT_REJECTED, self._rejected),
        ]
        try:
            server = entity.make_server(
                (self.settings.host, self.settings.port),
                ssl_context=self._tls(),
                evt_handlers=handlers,
                server_class=Server,
            )
        except OSError as error:
            raise GuidanceError(
                f"Nothing can listen at {self.settings.host} port {self.settings.port} "
                f"({error.strerror or error}); choose another port or end the program that uses it."
            ) from None
        # pynetdicom's shutdown takes the server off this list.
        entity._servers.append(server)
        self._thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="DICOM receiver", daemon=True)
        self._thread.start()
        return server

    def _tls(self) -> ssl.SSLContext | None:
        if self.settings.certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.settings.certificate, self.settings.key)
            if self.settings.authority is not None:
                context.load_verify_locations(self.settings.authority)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            raise GuidanceError(
                f"The TLS files cannot be used ({error.strerror or error}); give PEM files that belong together."
            ) from None
        return context

    def _say(self, sentence: str) -> None:
        with self._lock:
            self._messages.append(sentence)
        _LOG.info(sentence)

    def _tell(self, sentence: str) -> None:
        """Say it, and hand it to whoever polls: a person should read it."""
        self._say(sentence)
        with self._lock:
            # A flood of the same refusal is one sentence.
            if not any(a.sentence == sentence for a in self._told):
                self._told.append(Arrival("", sentence, self._clock()))

    def _may_connect(self, address: str, served: list[str]) -> bool:
        if self.settings.addresses and address not in self.settings.addresses:
            self._tell(f"A connection from {address} was turned away: the address is not on the list.")
            return False
        now = time.monotonic()
        recent = self._recent.setdefault(address, deque(maxlen=int(constant("live_connections_per_s"))))
        if len(recent) == recent.maxlen and now - recent[0] < 1.0:
            self._tell(f"Connections from {address} come too fast; some were turned away.")
            return False
        recent.append(now)
        if len(self._recent) > 1000:
            self._recent.clear()
        # Connections that never ask for an association count as well.
        most = int(constant("live_associations_most"))
        if len(served) >= 2 * most or served.count(address) >= most + most // 2:
            self._tell(f"Too many connections are open ({len(served)}); one from {address} was turned away.")
            return False
        return True

    def _opened(self, event: Any) -> None:
        """Bound what one connection may make this machine hold in memory."""
        line, provider, association = event.assoc.dul.socket, event.assoc.dul, event.assoc
        held = [0]
        most = int(1e6 * constant("live_image_most_mb"))
        event.assoc._bytes_since_image = held
        where = event.address[0] if event.address else "?"

        def closed() -> None:
            # pynetdicom leaves the socket open where the peer has gone before; after a day none would be left.
            end = line.socket
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                with contextlib.suppress(OSError):
                    end.close()

        def gone() -> None:
            # pynetdicom would wait for a request until its time is up, though nobody is there any more.
            if association.requestor.primitive is None:
                provider.to_user_queue.put(None)

        def limited(count: int) -> bytearray:
            held[0] += count
            if count > _PDU_BYTES + 64 or held[0] > most:
                self._tell(f"A connection from {where} sent a message that is too large; it was closed.")
                closed()
                gone()
                raise OSError("message too large")
            # One deadline for all of it: byte after byte would keep a connection open for ever.
            end = time.monotonic() + constant("live_network_timeout_s")
            found = bytearray()
            while len(found) < count and line.socket is not None:
                if time.monotonic() > end:
                    self._tell(f"A connection from {where} sent too slowly; it was closed.")
                    closed()
                    gone()
                    raise TimeoutError("message too slow")
                part = line.socket.recv(min(count - len(found), 1 << 16))
                if not part:
                    gone()
                    break
                found += part
            return found

        def sent(content: bytes, send: Callable[[bytes], None] = line.send) -> None:
            send(content)
            # An abort before any request: nothing more is to be waited for.
            if content[:1] == _ABORT:
                gone()

        def guarded(run: Callable[[], None] = provider.run) -> None:
            try:
                run()
            except Exception as error:
                # What pynetdicom does not expect ends this connection, not with a traceback on the console.
                self._tell(
                    f"A connection from {where} sent what is no DICOM message ({type(error).__name__}); it was closed."
                )
                closed()
                with contextlib.suppress(Exception):
                    association.kill()

        line.recv, line.send = limited, sent
        line._shutdown_socket = closed
        provider.run = guarded

    def _echo(self, event: Any) -> int:
        self._say(f"{_sender(event)} asked whether anybody is here (C-ECHO).")
        return _DONE

    def _left(self, event: Any) -> None:
        with self._lock:
            self._gathering.left(id(event.assoc), self._clock())

    def _broke(self, event: Any) -> None:
        self._say(f"{_sender(event)} broke off.")
        self._left(event)

    def _rejected(self, event: Any) -> None:
        title = str(event.assoc.requestor.ae_title or "").strip()
        listed = not self.settings.calling or title in self.settings.calling
        why = "too many are open" if listed else f"its AE title is not on the list ({', '.join(self.settings.calling)})"
        self._tell(f"An association of {_sender(event)} was rejected: {why}.")

    def _store(self, event: Any) -> int:
        """Write an image to disk, then acknowledge it."""
        event.assoc._bytes_since_image[0] = 0
        try:
            content = event.encoded_dataset()
            facts = _facts(content, str(event.request.AffectedSOPInstanceUID))
            item = self._spool.write(facts.series_uid, facts.instance_uid, content)
        except SpoolFullError as error:
            self._tell(f"An image from {_sender(event)} was refused. {error}")
            return _OUT_OF_RESOURCES
        except _NotOursError as error:
            self._tell(f"An image from {_sender(event)} was refused: {error}")
            return error.status
        except GuidanceError as error:
            self._tell(f"An image from {_sender(event)} was refused. {error}")
            return _OUT_OF_RESOURCES
        except OSError as error:
            self._tell(f"An image from {_sender(event)} was refused: it cannot be written ({error.strerror or error}).")
            return _OUT_OF_RESOURCES
        except Exception as error:
            # Whatever a hostile file makes a reader do, the line stays up.
            self._tell(f"An image from {_sender(event)} was refused: it cannot be read ({type(error).__name__}).")
            return _NOT_UNDERSTOOD
        with self._lock:
            self._gathering.add(
                item.series,
                item.instance,
                item.path,
                self._clock(),
                facts.expected,
                id(event.assoc),
                changed=item.fresh,
            )
        if not item.fresh:
            self._tell(f"{_sender(event)} sent a series again that is here already; it is not shown twice.")
        return _DONE


class _NotOursError(Exception):
    """An image that is understood but not wanted."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class _Facts:
    series_uid: str
    instance_uid: str
    expected: int


_GEOMETRY = (
    ("ImagePositionPatient", 3, "it does not say where its slice lies"),
    ("ImageOrientationPatient", 6, "it does not say how its slice lies"),
    ("PixelSpacing", 2, "it does not say how large its pixels are"),
)


def _is_numbers(text: str, count: int, positive: bool) -> bool:
    """Whether a DICOM value holds so many numbers."""
    try:
        values = [float(v) for v in text.split("\\")]
    except ValueError:
        return False
    return len(values) == count and all(math.isfinite(v) and (v > 0 or not positive) for v in values)


def _facts(content: bytes, announced_uid: str) -> _Facts:
    """Series and instance of an encoded image, or why it is not taken."""
    from pydicom import dcmread

    wanted = ["SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "Modality", "ImagesInAcquisition", "PixelData"]
    wanted += [name for name, _, _ in _GEOMETRY]
    data = dcmread(io.BytesIO(content), specific_tags=[*wanted, "Rows", "Columns"], defer_size=1024)

    def text(name: str) -> str:
        # As it was sent: converting it would complain about what is wrong with it.
        value = data.get_item(name).value if name in data else b""
        return value.decode("ascii", "replace").strip("\0 ") if isinstance(value, bytes) else str(value or "").strip()

    series, instance = text("SeriesInstanceUID"), text("SOPInstanceUID")
    if not series or not instance:
        raise _NotOursError("it does not say to which series it belongs.", _NOT_UNDERSTOOD)
    if instance != announced_uid:
        raise _NotOursError("it is not the one that was announced.", _NO_MATCH)
    if text("SOPClassUID") not in (_CT, _ENHANCED_CT) or text("Modality") not in ("", "CT"):
        raise _NotOursError("it is no CT image.", _NO_MATCH)
    if "PixelData" not in data or not data.get("Rows") or not data.get("Columns"):
        raise _NotOursError("it holds no picture; it was cut short.", _NOT_UNDERSTOOD)
    if text("SOPClassUID") == _CT:
        for name, count, words in _GEOMETRY:
            if not _is_numbers(text(name), count, name == "PixelSpacing"):
                raise _NotOursError(f"{words} ({name} is '{text(name)[:40]}'); reconstruct it anew.", _NOT_UNDERSTOOD)
    expected = text("ImagesInAcquisition")
    return _Facts(series, instance, int(expected) if expected.isdecimal() and len(expected) < 6 else 0)


def _sender(event: Any) -> str:
    requestor = event.assoc.requestor
    title = str(requestor.ae_title or "").strip() or "somebody"
    shown = "".join(c if c.isprintable() else "?" for c in title)[:16]
    return f"{shown} at {requestor.address or '?'}"
