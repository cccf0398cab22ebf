"""The death of a process ends the others, whatever started them: the processes here know of no MPI."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minihgd.processes.watch import Watch

RANK = """
import os, pickle, sys, time
from minihgd.processes import watch as settings
from minihgd.processes.watch import ENDING, Watch
settings.ENDED = 0.5
rank, size, path = int(sys.argv[1]), 3, sys.argv[2]

def share(value):
    if value is None:
        while not os.path.exists(path):
            time.sleep(0.01)
        return pickle.load(open(path, "rb"))
    pickle.dump(value, open(path + ".part", "wb"))
    os.rename(path + ".part", path)
    return value

watch = Watch(rank, size, share, one_machine=True)
print("joined", flush=True)
if sys.stdin.readline() == "error\\n":
    watch.close(ENDING)
    print("error", file=sys.stderr)
    os._exit(3)
watch.close()
print("closed", flush=True)
"""


@pytest.fixture
def ranks(tmp_path):
    processes = [subprocess.Popen([sys.executable, "-c", RANK, str(rank), str(tmp_path / "address")], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  cwd=Path(__file__).parents[2])
                 for rank in range(3)]
    for process in processes:
        assert process.stdout.readline() == "joined\n"
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("dead", [0, 1, 2])
def test_who_is_killed_takes_the_others_along(ranks, dead):
    ranks[dead].kill()
    killed = time.monotonic()
    for rank in {0, 1, 2} - {dead}:
        assert ranks[rank].wait(10) == 1
        assert ranks[rank].stderr.read() == (f"error: rank {dead} has died, so rank {rank} ends, too; the last "
                                             "checkpoint that was saved is whole\n")
    assert time.monotonic() - killed < 5


@pytest.mark.parametrize("rank", [0, 2])
def test_who_ends_with_an_error_is_the_only_one_to_say_so(ranks, rank):
    said = {rank: ranks[rank].communicate("error\n", timeout=10)[1]}
    for other in {0, 1, 2} - {rank}:
        assert ranks[other].wait(10) == 1
        said[other] = ranks[other].stderr.read()
    assert said == {0: "", 1: "", 2: ""} | {rank: "error\n"}


def test_who_is_stopped_is_waited_for(ranks):
    ranks[1].send_signal(signal.SIGSTOP)
    time.sleep(1)
    assert [process.poll() for process in ranks] == [None] * 3
    ranks[1].send_signal(signal.SIGCONT)
    for process in ranks:
        process.communicate("\n", timeout=10)
        assert process.returncode == 0


def test_who_leaves_in_time_is_not_dead(ranks):
    for process in (ranks[2], ranks[0], ranks[1]):
        said, errors = process.communicate("\n", timeout=10)
        assert (said, errors, process.returncode) == ("closed\n", "", 0)


def test_strangers_are_sent_away():
    """Whoever knocks at the port without the token; the rank that has it is let in behind them."""
    rank_1 = []

    def share(value):
        host, port, token = value
        stranger = socket.create_connection((host, port))
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" + b" " * 20)
        rank_1.append(socket.create_connection((host, port)))
        rank_1[0].sendall(token + (1).to_bytes(4, "big"))
        return value

    watch = Watch(0, 2, share, one_machine=True)
    assert list(watch.peers) == [1]
    assert watch.peers[1].getpeername() == rank_1[0].getsockname()
    assert watch.peers[1].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    rank_1[0].sendall(b"\xff" * 4)  # it leaves in time; this process goes on
    watch.close()
    time.sleep(0.1)
    assert os.getpid() and rank_1[0].recv(4) == b"\xff" * 4
