"""A run under mpiexec, for test_mpiexec.py: python training_run.py FOLDER '{"a setting": its value, ...}'.

`resume`: go on from the checkpoint. `recompute`: see the model. `die`: [rank, step, how], what happens to it there.
`slow`: seconds that a step takes more. At the end rank 0 writes losses, weights and velocities into FOLDER.npz.
"""

import json
import os
import signal
import sys
import time

import numpy as np
from processes.members import Noise, run

from minihgd import data, evaluation, processes
from minihgd.errors import DataError


def die(how):
    if how == "error":
        raise DataError("sample 7: it is broken")
    if how == "exception":
        raise MemoryError("no room")
    if how == "exit":
        sys.exit("error: enough")
    os.kill(os.getpid(), getattr(signal, how))


def main(group, folder, resume=False, recompute=False, die_at=(None, None, None), slow=0, epochs=10, save_minutes=0):
    r = run(folder, group, recompute, epochs=epochs)
    own = data.Share(Noise(5), group.rank, group.size)
    r.evaluate, r.evaluate_every, r.save_minutes = lambda model: evaluation.evaluate(model, own), 3, save_minutes
    losses, step = [], r.step

    def watched(number, *rest):
        if (group.rank, number) == tuple(die_at[:2]):
            die(die_at[2])
        time.sleep(slow)
        losses.append(step(number, *rest))
        return losses[-1]

    r.step = watched
    if resume:
        r.resume()
    if group.rank == 0:
        print("begun", flush=True)
    whole = r.train()
    if group.rank == 0:
        np.savez(f"{folder}.npz", losses=losses, confusion=r.score.confusion if r.score else 0, **r.model.state_dict(),
                 **{f"velocity of {name}": v for name, v in r.optimiser.state_dict().items()})
    group.leave()
    return 0 if whole else 130


if __name__ == "__main__":
    with processes.joined() as group:
        if group.rank:
            sys.stdout = open(os.devnull, "w")
        sys.exit(main(group, sys.argv[1], **json.loads(sys.argv[2])))
