"""Handlers that misbehave, for the worker processes of `test_workers.py`."""

import os
import signal
import sys
import time

import numpy as np

from audiorec.errors import Failure, SongError


def make(prefix):
    def handle(item):
        action, _, argument = item.partition(":")
        if action == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if action == "sleep":
            time.sleep(float(argument))
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "exit":
            os._exit(int(argument))
        if action == "eat":
            np.ones(int(argument), np.uint8)
        if action == "refuse":
            raise SongError(argument, Failure.NOT_AUDIO, "not a song")
        if action == "bug":
            raise KeyError(argument)
        if action == "print":
            print(argument * 100_000)
        if action == "shout":
            os.write(2, argument.encode())
        if action == "utf8":
            return sys.flags.utf8_mode
        if action == "pid":
            return os.getpid()
        return prefix + item

    return handle
