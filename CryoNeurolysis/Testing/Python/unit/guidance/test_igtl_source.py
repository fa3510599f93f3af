"""Images and poses from a real pyigtl server, and from what only says it is one."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from cryoneuro.guidance import IgtlSource

_SERVER = """
import sys, time, numpy as np, pyigtl
server = pyigtl.OpenIGTLinkServer(port=int(sys.argv[1]), local_server=True)
rng = np.random.default_rng(5)
array = rng.integers(-1024, 1000, (6, 20, 24)).astype(np.int16)
array[:, :2] = -1000
matrix = np.diag([-0.8, -0.8, 5.0, 1.0]); matrix[:3, 3] = [10, 20, -30]
print("ready", flush=True)
while not server.is_connected():
    time.sleep(0.01)
world = sys.argv[2]
sent = matrix if world == "ras" else np.diag([-1.0, -1, 1, 1]) @ matrix
for _ in range(2):
    server.send_message(pyigtl.ImageMessage(array, sent, world_coordinate_system=world, device_name="CT"))
server.send_message(pyigtl.ImageMessage(array[:1], sent, device_name="Single"))
pose = np.eye(4); pose[:3, 3] = [1, 2, 3]
server.send_message(pyigtl.TransformMessage(pose, device_name="Probe"))
server.send_message(pyigtl.TransformMessage(np.diag([2.0, 2, 2, 1]), device_name="Bad"))
time.sleep(30)
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


@pytest.fixture(params=["ras", "lps"])
def server(port: int, request: pytest.FixtureRequest) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", _SERVER, str(port), request.param], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield port
    process.kill()
    process.wait()
    process.stdout.close()


def test_images_and_poses_of_a_real_peer(server: int, closing: Callable, until: Callable) -> None:  # type: ignore[type-arg]
    source = closing(IgtlSource(port=server))
    arrivals = until(source, 5)
    (scan,) = [a for a in arrivals if a.ct is not None]
    array = np.random.default_rng(5).integers(-1024, 1000, (6, 20, 24)).astype(np.int16)
    array[:, :2] = -1000
    np.testing.assert_array_equal(scan.ct.array_kji, array)
    want = np.diag([-0.8, -0.8, 5.0, 1.0])
    want[:3, 3] = [10, 20, -30]
    np.testing.assert_allclose(scan.ct.geometry.ijk_to_ras, want, atol=1e-4)
    (pose,) = [a.pose for a in arrivals if a.pose is not None]
    assert pose.name == "Probe"
    np.testing.assert_allclose(pose.tool_to_ras[:3, 3], [1, 2, 3])
    said = " ".join(a.sentence for a in arrivals)
    assert "Connected" in said and "two slices or more" in said and "no rigid movement" in said


def test_a_lost_line_is_said_and_found_again(port: int, closing: Callable, until: Callable) -> None:  # type: ignore[type-arg]
    source = closing(IgtlSource(port=port))
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", _SERVER, str(port), "ras"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        assert any("Connected" in a.sentence for a in until(source, 1))
        time.sleep(0.5)
        process.kill()
        process.wait()
        process.stdout.close()
        end, said = time.monotonic() + 5, ""
        while "lost" not in said and time.monotonic() < end:
            said += " ".join(a.sentence for a in source.poll())
            time.sleep(0.05)
        assert "lost" in said


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 200,
        struct.pack("> H 12s 20s II Q Q", 1, b"IMAGE", b"CT", 0, 0, 1 << 40, 0),
        struct.pack("> H 12s 20s II Q Q", 1, b"IMAGE", b"CT", 0, 0, 72, 0) + b"\0" * 72,
        struct.pack("> H 12s 20s II Q Q", 1, b"STRING", b"x", 0, 0, 1 << 30, 0),
    ],
)
def test_nonsense_is_a_sentence(content: bytes, closing: Callable, until: Callable) -> None:  # type: ignore[type-arg]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        line, _ = listener.accept()
        line.sendall(content)
        time.sleep(0.5)
        line.close()

    thread = threading.Thread(target=serve)
    thread.start()
    source = closing(IgtlSource(port=listener.getsockname()[1]))
    arrivals = until(source, 2, 3.0)
    thread.join()
    listener.close()
    assert all(a.ct is None for a in arrivals)
    assert any(word in a.sentence for a in arrivals for word in ("closed", "damaged", "lost", "cannot", "two slices"))
