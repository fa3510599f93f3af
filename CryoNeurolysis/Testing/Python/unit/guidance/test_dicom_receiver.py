"""The receiver against DCMTK's senders and against what no scanner sends."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cryoneuro.guidance import DicomReceiver, ReceiverSettings, Spool
from cryoneuro.knowledge import constant
from cryoneuro.model import GuidanceError

HERE = "127.0.0.1"
LONGEST_QUIET_S = constant("live_quiet_longest_s") + 0.1
"""After it nothing more is waited for."""


@dataclass
class Clock:
    """The time of day, or later: what a receiver waits for can be over at once."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def receiver(tmp_path: Path, closing: Callable, clock: Clock) -> DicomReceiver:  # type: ignore[type-arg]
    return closing(DicomReceiver(tmp_path / "spool", ReceiverSettings(port=0), clock=clock))  # type: ignore[no-any-return]


def test_echo(receiver: DicomReceiver, dcmtk: Callable) -> None:  # type: ignore[type-arg]
    result = dcmtk("echoscu", "-aec", "CRYONEURO", HERE, receiver.port)
    assert result.returncode == 0, result.stderr
    assert any("C-ECHO" in text for text in receiver.log)


@pytest.mark.parametrize("program", ["storescu", "dcmsend"])
def test_a_series_arrives_as_the_volume_that_was_sent(
    receiver: DicomReceiver, dcmtk: Callable, write_series: Callable, until: Callable, program: str
) -> None:  # type: ignore[type-arg]
    files = write_series("push")
    random.Random(3).shuffle(files)
    result = dcmtk(program, HERE, receiver.port, *files)
    assert result.returncode == 0, result.stderr
    (arrival,) = until(receiver, 1)
    assert arrival.ct is not None and arrival.ct.geometry.shape_kji == (5, 32, 32)
    first = pydicom.dcmread(sorted(files)[0])
    np.testing.assert_array_equal(arrival.ct.array_kji[0], first.pixel_array.astype(int) - 1024)
    assert arrival.ct.acquisition.patient_key and arrival.key == str(first.SeriesInstanceUID)
    assert abs(arrival.received_s - time.time()) < 30


@pytest.mark.parametrize(
    "option",
    ["--propose-implicit", "--propose-big", "--propose-deflated", "--propose-little"],
)
def test_plain_transfer_syntaxes(
    receiver: DicomReceiver, dcmtk: Callable, write_series: Callable, until: Callable, option: str
) -> None:  # type: ignore[type-arg]
    option = {"--propose-implicit": "-xi", "--propose-big": "-xb", "--propose-deflated": "-xd"}.get(option, "-xe")
    files = write_series("syntax")
    result = dcmtk("storescu", option, HERE, receiver.port, *files)
    assert result.returncode == 0, result.stderr
    (arrival,) = until(receiver, 1)
    want = pydicom.dcmread(files[2]).pixel_array.astype(int) - 1024
    np.testing.assert_array_equal(arrival.ct.array_kji[2], want)


@pytest.mark.parametrize(
    ("program", "options", "propose"),
    [("dcmcjpeg", ("+e1",), "-xs"), ("dcmcjpls", ("+el",), "-xt"), ("dcmcrle", (), "-xr")],
)
def test_compressed_transfer_syntaxes(
    receiver: DicomReceiver,
    dcmtk: Callable,
    write_series: Callable,
    until: Callable,
    tmp_path: Path,
    program: str,
    options: tuple[str, ...],
    propose: str,
) -> None:  # type: ignore[type-arg]
    files = write_series("packed")
    packed = []
    for path in files:
        packed.append(tmp_path / f"{path.stem}-packed.dcm")
        assert dcmtk(program, *options, path, packed[-1]).returncode == 0
    result = dcmtk("storescu", propose, HERE, receiver.port, *packed)
    assert result.returncode == 0, result.stderr
    (arrival,) = until(receiver, 1)
    want = pydicom.dcmread(files[1]).pixel_array.astype(int) - 1024
    np.testing.assert_array_equal(arrival.ct.array_kji[1], want)


def test_one_association_for_every_slice_is_one_series(
    receiver: DicomReceiver, dcmtk: Callable, write_series: Callable, until: Callable, clock: Clock
) -> None:  # type: ignore[type-arg]
    for path in write_series("single"):
        assert dcmtk("storescu", HERE, receiver.port, path).returncode == 0
    clock.ahead_s += LONGEST_QUIET_S
    arrivals = until(receiver, 1)
    clock.ahead_s += LONGEST_QUIET_S
    arrivals += receiver.poll()
    assert arrivals[-1].ct is not None and arrivals[-1].ct.geometry.shape_kji[0] == 5


def test_the_same_series_twice_is_given_once(
    receiver: DicomReceiver, dcmtk: Callable, write_series: Callable, until: Callable, clock: Clock
) -> None:  # type: ignore[type-arg]
    files = write_series("twice")
    assert dcmtk("dcmsend", HERE, receiver.port, *files).returncode == 0
    assert len(until(receiver, 1)) == 1
    assert dcmtk("dcmsend", HERE, receiver.port, *files).returncode == 0
    later = until(receiver, 1)
    clock.ahead_s += LONGEST_QUIET_S
    later += receiver.poll()
    assert len(later) == 1 and later[0].ct is None and "not shown twice" in later[0].sentence


def test_a_corrected_series_comes_again_and_a_bad_one_is_named(
    receiver: DicomReceiver, dcmtk: Callable, write_series: Callable, until: Callable, clock: Clock
) -> None:  # type: ignore[type-arg]
    files = write_series("first", 4)
    whole = files[1].read_bytes()
    data = pydicom.dcmread(files[1])
    data.PixelData = data.PixelData[:-400]
    data.save_as(files[1])
    dcmtk("dcmsend", HERE, receiver.port, *files)
    bad = until(receiver, 1)
    assert bad and all(a.ct is None for a in bad) and "cut short" in bad[-1].sentence
    files[1].write_bytes(whole)
    assert dcmtk("dcmsend", HERE, receiver.port, *files).returncode == 0
    clock.ahead_s += LONGEST_QUIET_S
    (good,) = [a for a in until(receiver, 1, scans=True) if a.ct is not None]
    assert good.ct.geometry.shape_kji[0] == 4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("PixelSpacing", None),
        ("PixelSpacing", [0, 0]),
        ("RescaleSlope", 0),
        ("StudyInstanceUID", "1.2.3.4"),
        ("FrameOfReferenceUID", "1.2.3.4"),
        ("PatientPosition", "FFP"),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
    ],
)
def test_headers_that_a_reader_would_replace_are_refused(
    receiver: DicomReceiver, dcmtk: Callable, write_series: Callable, until: Callable, field: str, value: object
) -> None:  # type: ignore[type-arg]
    files = write_series("odd", 4)
    for path in files[:1] if field in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientPosition") else files:
        data = pydicom.dcmread(path)
        if value is None:
            delattr(data, field)
        else:
            setattr(data, field, value)
        data.save_as(path)
    dcmtk("dcmsend", HERE, receiver.port, *files)
    arrivals = until(receiver, 1)
    assert arrivals and all(a.ct is None for a in arrivals)
    assert len(arrivals[-1].sentence) > 40 and "RuntimeError" not in arrivals[-1].sentence


def test_two_senders_of_one_series_do_not_disturb_each_other(
    receiver: DicomReceiver, dcmtk: Callable, write_series: Callable, until: Callable, clock: Clock
) -> None:  # type: ignore[type-arg]
    files = write_series("both", 20)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(dcmtk("dcmsend", HERE, receiver.port, *files).returncode))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0] * 4
    clock.ahead_s += LONGEST_QUIET_S
    scans = [a for a in until(receiver, 1, scans=True) if a.ct is not None]
    assert scans[-1].ct.geometry.shape_kji[0] == 20


def test_wrong_kinds_are_refused_and_said(
    receiver: DicomReceiver, dcmtk: Callable, write_series: Callable, until: Callable
) -> None:  # type: ignore[type-arg]
    mr = write_series("mr", 1, SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR")
    data = pydicom.dcmread(mr[0])
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.save_as(mr[0])
    assert dcmtk("storescu", HERE, receiver.port, mr[0]).returncode != 0
    lie = write_series("lie", 2, Modality="MR")
    dcmtk("storescu", HERE, receiver.port, *lie)
    arrivals = until(receiver, 1, 3.0)
    assert arrivals and all(a.ct is None for a in arrivals) and "no CT image" in arrivals[0].sentence


def test_a_series_that_cannot_be_used_is_a_sentence(
    receiver: DicomReceiver, dcmtk: Callable, write_series: Callable, until: Callable, clock: Clock
) -> None:  # type: ignore[type-arg]
    files = write_series("gap", 6)
    assert dcmtk("dcmsend", HERE, receiver.port, *files[:3], files[4], files[5]).returncode == 0
    (arrival,) = until(receiver, 1)
    assert arrival.ct is None and "missing" in arrival.sentence
    single = write_series("one", 1)
    assert dcmtk("dcmsend", HERE, receiver.port, *single).returncode == 0
    clock.ahead_s += LONGEST_QUIET_S
    (arrival,) = until(receiver, 1)
    assert arrival.ct is None and "single slice" in arrival.sentence


def test_only_callers_on_the_list(tmp_path: Path, closing: Callable, dcmtk: Callable, until: Callable) -> None:  # type: ignore[type-arg]
    receiver = closing(DicomReceiver(tmp_path / "s", ReceiverSettings(port=0, calling=("CT_ROOM",))))
    assert dcmtk("echoscu", "-aet", "CT_ROOM", HERE, receiver.port).returncode == 0
    assert dcmtk("echoscu", "-aet", "OTHER", HERE, receiver.port).returncode != 0
    assert any("rejected" in a.sentence for a in until(receiver, 1, 3.0))
    closed = closing(DicomReceiver(tmp_path / "t", ReceiverSettings(port=0, addresses=("10.1.2.3",))))
    assert dcmtk("echoscu", HERE, closed.port).returncode != 0
    assert any("not on the list" in a.sentence for a in until(closed, 1, 3.0))


def test_listens_at_loopback_unless_told_otherwise(receiver: DicomReceiver) -> None:
    assert receiver._server.server_address[0] == HERE
    with pytest.raises(GuidanceError, match="another port"):
        DicomReceiver(receiver._spool.folder.parent / "x", ReceiverSettings(port=receiver.port))


def test_tls(tmp_path: Path, closing: Callable, write_series: Callable, until: Callable, dcmtk: Callable) -> None:  # type: ignore[type-arg]
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("server", "scanner"):
        made = authority.issue_cert(HERE, "localhost")
        made.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    settings = ReceiverSettings(
        port=0, certificate=tmp_path / "server.pem", key=tmp_path / "server.key", authority=tmp_path / "ca.pem"
    )
    receiver = closing(DicomReceiver(tmp_path / "s", settings))
    files = write_series("secret")
    result = dcmtk(
        "storescu", "+tls", tmp_path / "scanner.key", tmp_path / "scanner.pem", "+cf", tmp_path / "ca.pem",
        HERE, receiver.port, *files,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (arrival,) = until(receiver, 1)
    assert arrival.ct is not None
    assert dcmtk("echoscu", HERE, receiver.port).returncode != 0
    with pytest.raises(GuidanceError, match="certificate"):
        ReceiverSettings(certificate=tmp_path / "server.pem")
    (tmp_path / "bad.pem").write_text("no")
    with pytest.raises(GuidanceError, match="PEM"):
        DicomReceiver(
            tmp_path / "u", ReceiverSettings(port=0, certificate=tmp_path / "bad.pem", key=tmp_path / "server.key")
        )


def test_a_message_without_a_command_ends_its_connection_only(
    receiver: DicomReceiver, dcmtk: Callable, capfd: pytest.CaptureFixture[str]
) -> None:  # type: ignore[type-arg]
    from pynetdicom import AE

    entity = AE()
    entity.add_requested_context("1.2.840.10008.1.1")
    line = entity.associate(HERE, receiver.port)
    # A whole command set of one group length element, and no command in it.
    content = b"\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00"
    item = struct.pack(">LBB", len(content) + 2, 1, 3) + content
    line.dul.socket.send(struct.pack(">BBL", 4, 0, len(item)) + item)
    end = time.monotonic() + 5
    while receiver._server.active_associations and time.monotonic() < end:
        time.sleep(0.1)
    line.abort()
    assert not receiver._server.active_associations
    assert dcmtk("echoscu", HERE, receiver.port).returncode == 0
    assert "Traceback" not in capfd.readouterr().err


def test_byte_after_byte_does_not_hold_a_connection(
    tmp_path: Path, closing: Callable, dcmtk: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[type-arg]
    from cryoneuro.guidance import dicom_receiver as module

    monkeypatch.setattr(module, "constant", lambda name: 1.0 if name == "live_network_timeout_s" else constant(name))
    receiver = closing(DicomReceiver(tmp_path / "slow", ReceiverSettings(port=0)))
    with socket.create_connection((HERE, receiver.port), timeout=5) as line:
        content = struct.pack(">BBL", 1, 0, 200) + b"\0" * 200
        end = time.monotonic() + 4
        broken = False
        for byte in content:
            try:
                line.sendall(bytes([byte]))
            except OSError:
                broken = True
                break
            time.sleep(0.3)
            if time.monotonic() > end:
                break
        end = time.monotonic() + 3
        while receiver._server.active_associations and time.monotonic() < end:
            time.sleep(0.1)
        assert broken or not receiver._server.active_associations


def test_odd_things_in_the_folder_of_received_images(tmp_path: Path, closing: Callable) -> None:  # type: ignore[type-arg]
    (tmp_path / "spool" / "1.2.4").mkdir(parents=True)
    (tmp_path / "spool" / "1.2.4" / "b.dcm").symlink_to("/nonexistent")
    (tmp_path / "spool" / "file").write_text("x")
    closing(DicomReceiver(tmp_path / "spool", ReceiverSettings(port=0)))
    spool = Spool(tmp_path / "own", most_bytes=100, least_free_bytes=0)
    item = spool.write("1.2", "1.3", b"x" * 90)
    with pytest.raises(GuidanceError, match="as much as they may"):
        spool.write("1.2", "1.4", b"y" * 90)
    item.path.unlink()
    # Emptied by somebody: there is room again.
    assert spool.write("1.2", "1.4", b"y" * 90).fresh
    assert not spool.write("1.2", "1.4", b"y" * 90).fresh
    spool.handled("1.2", 1)
    assert list(spool.waiting()) == []
    # Another content under the same name: the series counts as not used.
    assert spool.write("1.2", "1.4", b"z" * 90).fresh and len(list(spool.waiting())) == 1
    with pytest.raises(GuidanceError, match="IP address"):
        ReceiverSettings(addresses=("notanip",))


def _hostile(port: int, number: int) -> None:
    """One broken connection of many kinds."""
    rng = random.Random(number)
    with socket.create_connection((HERE, port), timeout=5) as line:
        kind = number % 7
        if kind == 0:
            line.sendall(rng.randbytes(400))
        elif kind == 1:
            line.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFF0) + b"x" * 100)
        elif kind == 2:
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        elif kind == 3:
            line.sendall(struct.pack(">BBL", 1, 0, 200) + b"\0" * 20)
        elif kind == 4:
            line.sendall(struct.pack(">BBL", 4, 0, 50) + rng.randbytes(50))
        elif kind == 5:
            line.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(100))
        # kind 6 says nothing


def test_garbage_on_the_port_leaves_it_open(
    receiver: DicomReceiver, dcmtk: Callable, write_series: Callable, until: Callable
) -> None:  # type: ignore[type-arg]
    for number in range(42):
        _hostile(receiver.port, number)
    deadline = time.monotonic() + 20
    while receiver._server.active_associations and time.monotonic() < deadline:
        time.sleep(0.1)
    result = dcmtk("dcmsend", HERE, receiver.port, *write_series("after"))
    assert result.returncode == 0, (result.stderr, receiver.log)
    assert any(a.ct is not None for a in until(receiver, 1, scans=True))


def test_lying_datasets_do_not_reach_the_disk(receiver: DicomReceiver, write_series: Callable, tmp_path: Path) -> None:  # type: ignore[type-arg]
    from pynetdicom import AE
    from pynetdicom.sop_class import CTImageStorage

    data = pydicom.dcmread(write_series("lying", 1)[0])
    entity = AE()
    entity.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")
    line = entity.associate(HERE, receiver.port)
    assert line.is_established
    statuses = []
    for change in ("SeriesInstanceUID", "PixelData", "Rows"):
        broken = pydicom.dcmread(write_series(f"no-{change}", 1)[0])
        delattr(broken, change)
        statuses.append(line.send_c_store(broken).Status)
    outside = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outside.SeriesInstanceUID = "../../../outside"
    statuses.append(line.send_c_store(outside).Status)
    line.release()
    assert statuses[:3] == [0xC000] * 3 and statuses[3] == 0
    written = [p for p in tmp_path.rglob("*.dcm") if "spool" in p.parts]
    assert len(written) == 1 and written[0].parent.parent == tmp_path / "spool"
    assert not list(tmp_path.parent.glob("outside*"))


def test_a_full_disk_is_said_and_not_acknowledged(
    tmp_path: Path, closing: Callable, dcmtk: Callable, write_series: Callable, until: Callable
) -> None:  # type: ignore[type-arg]
    spool = Spool(tmp_path / "full", most_bytes=6000, least_free_bytes=0)
    receiver = closing(DicomReceiver(tmp_path, ReceiverSettings(port=0), spool))
    dcmtk("storescu", "-v", HERE, receiver.port, *write_series("large", 4))
    kept = list((tmp_path / "full").glob("*/*.dcm"))
    assert 1 <= len(kept) < 4 and sum(p.stat().st_size for p in kept) <= 6000
    assert any("as much as they may" in a.sentence for a in until(receiver, 1, 3.0))
    with pytest.raises(GuidanceError, match="make room"):
        Spool(tmp_path / "none", least_free_bytes=1e18).write("1.2", "1.3", b"x")


_SERVER = """
import os, sys, time
import pynetdicom, pydicom
from cryoneuro.guidance import DicomReceiver, ReceiverSettings
for spool in sys.stdin:
    if os.fork() == 0:
        receiver = DicomReceiver(spool.strip(), ReceiverSettings(port=0))
        print(os.getpid(), receiver.port, flush=True)
        while True:
            receiver.poll()
            time.sleep(0.2)
    os.wait()
    print("gone", flush=True)
"""


class Server:
    """A process that has everything loaded and becomes a receiver, again and again: each is a process that can be killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = 0

    def receiver(self, spool: Path) -> int:
        """Start one; returns its port."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{spool}\n")
        self._process.stdin.flush()
        self.pid, port = (int(word) for word in self._process.stdout.readline().split())
        return port

    def kill(self) -> None:
        """End the receiver as a power failure does, from any thread."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Until it is gone."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "gone\n"
        self.pid = 0

    def close(self) -> None:
        """End everything."""
        if self.pid:
            self.kill()
        self._process.communicate(timeout=20)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def kill_after(server: Server, spool: Path, images: str, count: int) -> None:
    """Kill a receiver when so many images lie there, and a moment later, in the middle of something."""
    end = time.monotonic() + 20
    while len(list(spool.glob(images))) < count and time.monotonic() < end:
        time.sleep(0.002)
    time.sleep(0.02)
    server.kill()


@pytest.mark.slow
def test_killed_at_any_moment_no_acknowledged_image_is_lost(
    tmp_path: Path, closing: Callable, write_series: Callable, dcmtk: Callable, server: Server
) -> None:  # type: ignore[type-arg]
    acknowledged: set[str] = set()
    cut_short = 0
    spool = tmp_path / "spool"
    for attempt in range(6):
        files = write_series(f"kill{attempt}", 60)
        port = server.receiver(spool)
        # The first dies while it starts to receive; each of the others when it has some images more.
        arrived = f"{pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID}/*.dcm"
        killer = threading.Thread(target=kill_after, args=(server, spool, arrived, 3 * attempt))
        killer.start()
        result = dcmtk("storescu", "-v", HERE, port, *files)
        server.wait()
        killer.join()
        done = (result.stdout + result.stderr).count("(Success)")
        cut_short += done < len(files)
        acknowledged |= {str(pydicom.dcmread(p).SOPInstanceUID) for p in files[:done]}
    assert acknowledged and cut_short
    later = Clock(LONGEST_QUIET_S)
    receiver = closing(DicomReceiver(spool, ReceiverSettings(port=0), clock=later))
    assert not list(spool.glob("*/*.part"))
    found = {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID) for p in spool.glob("*/*.dcm")}
    assert acknowledged <= found
    usable = [a for a in receiver.poll() if a.ct is not None]
    assert usable
    # What has been used does not come again.
    for arrival in usable:
        receiver.handled(arrival)
    receiver.close()
    again = closing(DicomReceiver(spool, ReceiverSettings(port=0), clock=later))
    keys = {a.key for a in again.poll() if a.ct is not None}
    assert not keys & {a.key for a in usable}


def _pdu(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(content)) + content


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


_VERIFICATION = b"1.2.840.10008.1.1"
_REQUEST = _pdu(
    1,
    struct.pack(">HH16s16s32x", 1, 0, b"CRYONEURO".ljust(16), b"ECHO".ljust(16))
    + _item(0x10, b"1.2.840.10008.3.1.1.1")
    + _item(0x20, b"\x01\0\0\0" + _item(0x30, _VERIFICATION) + _item(0x40, b"1.2.840.10008.1.2"))
    + _item(0x50, _item(0x51, struct.pack(">L", 16384)) + _item(0x52, b"1.2.3.4")),
)
_ECHO_COMMAND = (
    struct.pack("<HHL", 0, 2, 18) + _VERIFICATION + b"\0"
    + b"".join(struct.pack("<HHLH", 0, tag, 2, value) for tag, value in ((0x100, 0x30), (0x110, 1), (0x800, 0x101)))
)  # fmt: skip
_ECHO = _pdu(
    4,
    struct.pack(">LBB", len(_ECHO_COMMAND) + 14, 1, 3)
    + struct.pack("<HHLL", 0, 0, 4, len(_ECHO_COMMAND))
    + _ECHO_COMMAND,
)


def _echo(port: int, abort: bool) -> None:
    """What echoscu says, without a process of its own: an association, C-ECHO, and its release or abort."""
    with socket.create_connection((HERE, port), timeout=20) as line, line.makefile("rb") as answers:

        def answer() -> tuple[int, bytes]:
            kind, _, length = struct.unpack(">BBL", answers.read(6))
            return kind, answers.read(length)

        line.sendall(_REQUEST)
        assert answer()[0] == 2, "accepted"
        line.sendall(_ECHO)
        kind, content = answer()
        # (0000,0900), the status, is 0: success.
        assert kind == 4 and content.endswith(struct.pack("<HHLH", 0, 0x900, 2, 0))
        line.sendall(_pdu(7, b"\0" * 4) if abort else _pdu(5, b"\0" * 4))
        assert abort or answer()[0] == 6, "released"


@pytest.mark.slow
def test_a_thousand_associations_broken_ones_included(
    tmp_path: Path, dcmtk: Callable, write_series: Callable, server: Server
) -> None:  # type: ignore[type-arg]
    """Every twentieth is DCMTK's; the others say the same bytes to the receiver, two at a time."""
    port = server.receiver(tmp_path / "spool")

    def held() -> tuple[int, int, int]:
        facts = dict(
            line.split(":", 1) for line in Path(f"/proc/{server.pid}/status").read_text().splitlines() if ":" in line
        )
        files = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
        return int(facts["VmRSS"].split()[0]), int(facts["Threads"]), files

    def associate(number: int) -> None:
        if number % 2:
            # Silent ones are let go by time only; some may be turned away meanwhile.
            with contextlib.suppress(OSError):
                _hostile(port, number // 2)
        elif number % 20 < 2:
            insisting(lambda: scanner(number))
        else:
            insisting(lambda: _echo(port, abort=bool(number % 4)))

    def scanner(number: int) -> None:
        done = dcmtk("echoscu", *(("--abort",) if number % 4 else ()), HERE, port)
        assert done.returncode == 0, done.stderr

    def insisting(ask: Callable[[], None]) -> None:
        """The silent ones may hold every place for a moment: then it is asked again, as a scanner does."""
        until = time.monotonic() + 30.0
        while True:
            try:
                return ask()
            except (AssertionError, OSError, struct.error):
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(associate, range(301)))
        counts = [held()]
        list(threads.map(associate, range(301, 1000)))
    deadline = time.monotonic() + 40
    while held()[1] > 8 and time.monotonic() < deadline:
        time.sleep(0.2)
    counts.append(held())
    assert counts[1][0] - counts[0][0] < 20_000, counts
    assert counts[1][1] <= 8 and counts[1][2] <= counts[0][2] + 4, counts
    files = write_series("last")
    assert dcmtk("dcmsend", HERE, port, *files).returncode == 0
    assert len(list((tmp_path / "spool").glob("*/*.dcm"))) == len(files)
