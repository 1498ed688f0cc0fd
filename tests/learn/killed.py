"""Training runs in a process of their own: ``python -m tests.learn.killed CHECKPOINT afresh|resume PAUSE`` is there to be killed,
``... CHECKPOINT interrupt STEP`` interrupts itself (signals reach the main thread only, where a test need not run)."""

import os
import signal
import sys
import time

import torch

import catlearn as cl

X = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long() + (X[:, 0] > 1).long()
H = cl.R(16)
NET = cl.linear(cl.R(6), H) >> cl.batch_norm >> cl.relu >> cl.dropout(p=0.3) >> cl.linear(H, cl.R(3))


def options(checkpoint, resume):
    return {"epochs": 6, "batch_size": 16, "seed": 5, "checkpoint": checkpoint, "resume": resume, "save_every": 4, "patience": 50,
            "metrics": ["accuracy"], "schedule": cl.schedules.cosine(36, warmup=4), "clip_norm": 1.0}  # fmt: skip


def train(checkpoint, resume=False, pause=0.0, **more):
    learner = cl.learner(NET, cl.cross_entropy, cl.adamw(0.02))
    callbacks = (lambda record, training: time.sleep(pause) or print(record["epoch"], flush=True),)
    return learner.fit((X, Y), (X[:32], Y[:32]), **{**options(checkpoint, resume), "callbacks": callbacks, **more})


def interrupted(checkpoint, steps):
    """A run that gets Ctrl-C just before it has done so many steps; what it says of itself."""
    schedule, seen = options(None, False)["schedule"], []
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a process started in the background inherits that it is ignored

    def stopping(step):
        if step == steps - 1 and not seen:
            seen.append(step)
            os.kill(os.getpid(), signal.SIGINT)
        return schedule(step)

    fitted = train(checkpoint, schedule=stopping)
    return fitted.stopped, fitted.final.step, signal.getsignal(signal.SIGINT) is signal.default_int_handler


if __name__ == "__main__" and sys.argv[2] == "interrupt":
    print(*interrupted(sys.argv[1], int(sys.argv[3])))
elif __name__ == "__main__":
    train(sys.argv[1], sys.argv[2] == "resume", float(sys.argv[3]))
