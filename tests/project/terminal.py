"""Programs in a terminal of their own, as a person starts them."""

import fcntl
import os
import select
import socket
import subprocess
import termios
import threading
import time


class Terminal:
    """A program in a terminal of its own: what it shows, keys to press, a window to close."""

    def __init__(self, command, folder, environment):
        self.master, slave = os.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.shown = ""
        self.closing = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        try:
            while not self.closing.is_set():
                if select.select([self.master], [], [], 0.05)[0]:
                    self.shown += os.read(self.master, 65536).decode(errors="replace").replace("\r\n", "\n")
        except OSError:
            pass  # how Linux says that the last program has left the terminal
        os.close(self.master)

    def shows(self, text, times=1, seconds=30):
        deadline = time.monotonic() + seconds
        while self.shown.count(text) < times and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.shown.count(text) >= times, self.shown

    def press_ctrl_c(self):
        os.write(self.master, b"\x03")

    def close_window(self):
        self.closing.set()
        self.reader.join(10)

    def exit_code(self, seconds=30):
        code = self.process.wait(seconds)
        self.reader.join(10)
        return code


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
