"""Real processes, started by mpiexec: they compute what one does, stop and go on together, and end together."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from processes.members import furthest

from minihgd import training

MPIEXEC = shutil.which("mpiexec", path=os.path.dirname(sys.executable)) or shutil.which("mpiexec")
LACKS = [name for name, there in (("mpi4py", importlib.util.find_spec("mpi4py")), ("mpiexec", MPIEXEC)) if not there]
pytestmark = pytest.mark.skipif(bool(LACKS), reason=f"{' and '.join(LACKS)} not found: pip install -e '.[mpi]'")

SCRIPT = Path(__file__).with_name("training_run.py")
EXAMPLE = Path(__file__).parents[2] / "examples" / "train_pcontext.py"
# One thread each, as several ranks share few cores; Open MPI's mpiexec wants to be told that it may.
ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1",
               "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH", "")]),
               "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}


def start(size, folder, script=SCRIPT, arguments=None, **settings):
    """A run of so many processes; 1 is without mpiexec."""
    command = [sys.executable, str(script), *(arguments or [str(folder), json.dumps(settings)])]
    return subprocess.Popen([MPIEXEC, "-n", str(size), *command] if size > 1 else command, text=True, env=ENVIRONMENT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder.parent)


def finish(process):
    """(status, what was printed, errors)"""
    try:
        said, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, said, errors


def results(size, folder, **settings):
    status, _, errors = finish(start(size, folder, **settings))
    assert status == 0, errors
    with np.load(f"{folder}.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return results(1, tmp_path_factory.mktemp("alone") / "run")


@pytest.mark.parametrize("size, recompute", [(2, False), (3, False), (2, True)])
def test_a_run_is_that_of_one_process(size, recompute, alone, tmp_path):
    """Twenty steps with four evaluations: losses, weights, statistics, velocities and the confusion matrix."""
    shared = results(size, tmp_path / "run", recompute=recompute)
    assert len(alone["losses"]) == 20 and alone["confusion"].sum() > 5000
    assert furthest(shared, alone) < 1e-12
    assert np.array_equal(shared["confusion"], alone["confusion"])
    assert sorted(os.listdir(tmp_path / "run")) == ["checkpoint.npz", "evaluation.csv", "steps.csv"]
    assert (tmp_path / "run" / "steps.csv").read_text().count("\n") == 21


def test_a_run_is_resumed_with_another_number_of_processes(alone, tmp_path):
    for size, die_at in ((2, [1, 7, "error"]), (3, [0, 15, "error"])):
        settings = dict(resume=True) if (tmp_path / "run").exists() else {}
        status, _, _ = finish(start(size, tmp_path / "run", die_at=die_at, **settings))
        assert status != 0 and training.load(tmp_path / "run" / "checkpoint.npz").step == die_at[1]
    whole = results(1, tmp_path / "run", resume=True)
    assert len(whole.pop("losses")) == 5
    assert furthest(whole, {name: a for name, a in alone.items() if name != "losses"}) < 1e-12


@pytest.mark.parametrize("size, dead", [(2, 1), (3, 1), (2, 0)])
def test_a_killed_rank_ends_the_others(size, dead, tmp_path):
    process = start(size, tmp_path / "run", die_at=[dead, 5, "SIGKILL"])
    assert "begun" in process.stdout.readline()
    began = time.monotonic()
    status, said, errors = finish(process)
    assert status != 0 and time.monotonic() - began < 30
    # Whoever is faster says so: the ranks that notice, or mpiexec, which may end them first and knows process ids only.
    assert re.search(rf"error: rank {dead} has died|signal 9", said + errors)
    # The old checkpoint or the new one: rank 0 may have been writing it. It is good to go on from.
    assert training.load(tmp_path / "run" / "checkpoint.npz").step in (4, 5)
    assert len(results(size, tmp_path / "run", resume=True)["losses"]) in (15, 16)


@pytest.mark.parametrize("how, rank, says", [
    ("error", 1, r"rank 1: error: sample 7: it is broken"), ("error", 0, r"^error: sample 7: it is broken"),
    ("exit", 2, r"rank 2: error: enough"), ("exception", 1, r"rank 1: Traceback[\s\S]*MemoryError: no room")])
def test_an_error_ends_all(how, rank, says, tmp_path):
    process = start(3, tmp_path / "run", die_at=[rank, 4, how])
    assert "begun" in process.stdout.readline()
    began = time.monotonic()
    status, _, errors = finish(process)
    assert status == 1 and time.monotonic() - began < 30
    assert re.search(says, errors, re.M), errors
    assert training.load(tmp_path / "run" / "checkpoint.npz").step == 4


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_asked_to_stop_stops_all_after_the_step(rank, alone, tmp_path):
    status, said, errors = finish(start(2, tmp_path / "run", die_at=[rank, 6, "SIGTERM"], save_minutes=60))
    assert status == 130 and "stopped after step 7 of 20; saved" in said, errors
    assert training.load(tmp_path / "run" / "checkpoint.npz").step == 7
    again = results(2, tmp_path / "run", resume=True)
    assert len(again["losses"]) == 13
    assert furthest({**again, "losses": alone["losses"]}, alone) < 1e-12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_mpiexec_hands_a_stop_on(number, tmp_path):
    if "Open MPI" in subprocess.run([MPIEXEC, "--version"], capture_output=True, text=True).stdout:
        pytest.skip("Open MPI's mpiexec ends the processes instead")
    process = start(2, tmp_path / "run", slow=0.2, epochs=1000)
    assert "begun" in process.stdout.readline()
    time.sleep(1)
    process.send_signal(number)
    status, said, errors = finish(process)
    done = re.search(r"stopped after step (\d+) of 2000; saved", said)
    assert status == 130 and done, errors
    assert training.load(tmp_path / "run" / "checkpoint.npz").step == int(done[1])


def test_ranks_share_the_cores(tmp_path):
    environment = {key: value for key, value in ENVIRONMENT.items() if key != "OPENBLAS_NUM_THREADS"}
    script = ("from minihgd import processes; from minihgd.backend import threads; import os\n"
              "cores = sorted(os.sched_getaffinity(0))\n"
              "with processes.joined() as group: print(threads.count(), *cores, file=open(str(group.rank), 'w'))")
    subprocess.run([MPIEXEC, "-n", "2", sys.executable, "-c", script], env=environment, cwd=tmp_path, timeout=60,
                   check=True)  # into files: what two processes print may run together
    ranks = [[int(number) for number in (tmp_path / rank).read_text().split()] for rank in "01"]
    for count, *cores in ranks:
        assert count == max(1, len(cores) // [other[1:] for other in ranks].count(cores))


def test_a_batch_that_cannot_be_shared(tmp_path):
    status, said, errors = finish(start(4, tmp_path / "run"))
    assert status == 1 and not said
    assert errors.count("error: batch: found 6 images a step for 4 processes, expected a multiple of 4") == 1


def test_the_example(tmp_path):
    """As a person starts it: one run, its files written once, and resumed by a single process."""
    few = ["--backbone", "resnet18", "--form", "released", "--channels", "4", "--compressed", "4", "--codewords", "4",
           "--codeword-channels", "4", "--batch", "4", "--crop", "32", "--epochs", "0.1"]
    status, said, errors = finish(start(2, tmp_path / "x", EXAMPLE, few))
    assert status == 0, errors
    assert said.count("5 steps from step 0, 45,603 parameters, results in runs/pcontext-1") == 1
    assert re.search(r"^2 processes \(\d+, \d+\), 2 images a step and 1 threads for each$", said, re.M)
    assert len(re.findall(r"mIoU [\d.]+ on 40 held-out images", said)) == 1
    assert sorted(os.listdir(tmp_path / "runs" / "pcontext-1")) == [
        "checkpoint.npz", "codewords.png", "evaluation.csv", "predictions.png", "steps.csv"]
    status, said, errors = finish(start(1, tmp_path / "x", EXAMPLE, [*few, "--resume"]))
    assert status == 0 and "5 steps from step 5" in said, errors
    status, _, errors = finish(start(2, tmp_path / "x", EXAMPLE, [*few, "--data", "nowhere"]))
    assert status == 1 and errors.count("error: ") == 1 and "nowhere" in errors and "Traceback" not in errors


def test_the_ranks_of_another_mpi_are_not_taken_for_one_process(tmp_path):
    """mpiexec and mpi4py from different MPIs: every process would believe that it is the only one."""
    environment = {**ENVIRONMENT, "PMI_SIZE": "7"}
    done = subprocess.run([MPIEXEC, "-n", "2", "env", "OMPI_COMM_WORLD_SIZE=7", sys.executable, str(SCRIPT),
                           str(tmp_path / "run"), "{}"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "mpiexec: started 7 processes, but mpi4py finds 2" in done.stderr
