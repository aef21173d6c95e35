"""Commands without the seconds that their imports take: each is a fork of one process that has imported all already.

`python preloaded.py FOLDER` is that process. It writes FOLDER/efficient-sed, a program that hands over what was typed
and ends as the fork ends, so that a shell finds it as it finds the real one.
"""

from __future__ import annotations

import array
import atexit
import gc
import importlib
import json
import os
import shlex
import socket
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MODULES = (
    "efficient_sed.cli.main",
    "efficient_sed.experiment.run",
    "efficient_sed.training.train",
    "efficient_sed.sweep.run_process",
    "efficient_sed.inference.detect",
    "matplotlib.pyplot",
    "onnx",
    "rich.table",
)
CLIENT = """
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect(chr(0) + sys.argv[1])
    typed = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
    server.sendmsg([typed], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
    status = server.recv(1)
sys.exit(status[0] if status else "the command was killed")
"""


@contextmanager
def preloaded(folder: Path) -> Iterator[None]:
    """Have `efficient-sed` in a folder, without what its imports take, until the context ends; commands end with it."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            os.killpg(process.pid, 9)


def serve(folder: Path) -> None:
    """Import all, and fork for each command that comes."""
    for module in MODULES:
        with suppress(ModuleNotFoundError):  # then it is not preloaded
            importlib.import_module(module)
    from efficient_sed.sweep import run_process

    program = folder / "efficient-sed"
    run_process.TRAIN_COMMAND = (str(program), *run_process.TRAIN_COMMAND[3:])
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    name = f"efficient-sed-{os.getpid()}"  # no file, so of any length
    listener.bind("\0" + name)
    listener.listen(16)
    words = shlex.join([sys.executable, "-IS", "-c", CLIENT, name])
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            attend(connection)
        connection.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def attend(connection: socket.socket) -> None:
    """Carry out one command in a process of its own and tell how it ended."""
    size = 3 * array.array("i").itemsize
    typed, [(_, _, descriptors)], _, _ = connection.recvmsg(1 << 20, socket.CMSG_LEN(size))
    files = array.array("i", descriptors)
    if child := os.fork():
        for file in files:
            os.close(file)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with suppress(BrokenPipeError):
            connection.send(bytes([status if status >= 0 else 128 - status]))
        os._exit(0)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", 1, closefd=False)
    words, directory, environment = json.loads(typed)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    os._exit(status_of(words))


def status_of(words: list[str]) -> int:
    """Run a command to its exit status, and what it left for the end; taking the interpreter apart takes a second."""
    from efficient_sed.cli.main import main

    sys.argv = ["efficient-sed", *words]
    try:
        status: int = main()
    except SystemExit as end:  # argparse's own
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
