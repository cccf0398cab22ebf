"""A connection from every process to rank 0 that carries nothing: it breaks when a process dies, and the others end.

Whoever waits for a dead process waits for ever, in NCCL even where no signal is heard. But the system closes the
connections of a process that dies, however it does, and those of a machine that is gone do not answer any more
(KEEPALIVE). A thread beside the computation waits for that. It knows no clock: a process that is slow, or stopped for
the night, is not dead, and is waited for. See docs/17-on-the-gpu-and-on-several.md.
"""

import contextlib
import os
import secrets
import select
import socket
import threading
import time

BYE = 0xFFFFFFFF  # said by who leaves in time
ENDING = 0xFFFFFFFE  # said by who is about to end all, with words of its own; other numbers are ranks that have died
JOINING = 20  # seconds
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}  # 10 s of silence, then 3 questions in 15 s
TOKEN = 16  # bytes
ENDED = 5  # seconds in which whoever said ENDING has ended this process; otherwise it does itself
PASSED_ON = 0.3  # seconds in which mpiexec passes on what was printed last; when a process ends it may forget the rest


class Watch:
    """Ends this process, with a message and status 1, when another one ends without having closed its Watch.

    rank, size: of this process. share(value): rank 0's value, on every rank. one_machine: whether all ranks are on one.
    Raises OSError where they have not found each other within JOINING seconds.
    """

    def __init__(self, rank, size, share, one_machine):
        self.rank = rank
        if rank == 0:
            with socket.create_server(("127.0.0.1" if one_machine else "", 0), backlog=size) as server:
                token = secrets.token_bytes(TOKEN)  # others may knock at an open port
                share(("127.0.0.1" if one_machine else socket.gethostname(), server.getsockname()[1], token))
                self.peers = _accept(server, size - 1, token)  # rank -> connection
        else:
            host, port, token = share(None)
            self.peers = {0: socket.create_connection((host, port), timeout=JOINING)}
            self.peers[0].sendall(token + _packed(rank))
        for peer in self.peers.values():
            _keep_alive(peer)
        threading.Thread(target=self._watch, name="minihgd-watch", daemon=True).start()

    def close(self, word=BYE):
        """Say to the others that this process may end from now on; word: BYE, ENDING or the rank that has died."""
        for peer in self.peers.values():
            with contextlib.suppress(OSError):
                peer.sendall(_packed(word))

    def _watch(self):
        open_ones = dict(self.peers)
        while open_ones:
            ready, _, _ = select.select(list(open_ones.values()), [], [])
            for rank in [rank for rank, peer in open_ones.items() if peer in ready]:
                number = _number(open_ones[rank])
                if number != BYE:
                    self._end(rank if number is None else number)
                del open_ones[rank]

    def _end(self, word):
        """Tell the others which rank has died, and end. Nothing is tidied up: the main thread may wait for ever."""
        self.close(word)
        if word == ENDING:
            time.sleep(ENDED)
        else:
            text = f"error: rank {word} has died, so rank {self.rank} ends, too; "
            os.write(2, f"{text}the last checkpoint that was saved is whole\n".encode())
            time.sleep(PASSED_ON)
        os._exit(1)


def _accept(server, count, token):
    """rank -> connection of so many ranks; whoever does not know the token is sent away."""
    peers = {}
    server.settimeout(JOINING)
    while len(peers) < count:
        peer, _ = server.accept()
        peer.settimeout(JOINING)
        with contextlib.suppress(OSError):
            if secrets.compare_digest(_read(peer, TOKEN) or b"", token):
                peers[_number(peer)] = peer
                continue
        peer.close()
    return peers


def _keep_alive(peer):
    """No time limit on reading, but questions of the system's to the other side's system."""
    peer.settimeout(None)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _packed(number):
    return number.to_bytes(4, "big")


def _number(peer):
    """The next number that was sent; None where the connection has ended."""
    data = _read(peer, 4)
    return None if data is None else int.from_bytes(data, "big")


def _read(peer, size):
    data = b""
    while len(data) < size:
        try:
            more = peer.recv(size - len(data))
        except OSError:
            return None
        if not more:
            return None
        data += more
    return data
