"""A Slurm cluster of one machine, for as long as a test needs it: its own key, sockets, ports and folders.

A job that is queued again waits for ``cred_expire``, two minutes by default.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
CPUS = 4
PLENTY_S = 60
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,sched_min_interval=0
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
JobRequeue=1
OverTimeLimit=0
KillWait=2
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm_host(folder):
    """Start munged, slurmctld and slurmd, and yield the environment in which Slurm's commands find them."""
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"Slurm is not installed: no {missing[0]} (.ci/system-packages)")
    environment = os.environ | {"PATH": path, "SLURM_CONF": str(folder / "slurm.conf")}
    _configure(folder)
    daemons = []
    try:
        for name, command in _commands(folder).items():
            with (folder / f"{name}.out").open("wb") as output:
                daemons.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))
            if name == "munged":
                _wait(lambda: (folder / "munge.socket").exists(), folder, "munged")
        _wait(lambda: "idle" in _ask(["sinfo", "--noheader", "--format=%t"], environment), folder, "slurmd")
        yield environment
    finally:
        _ask(["scancel", "--me", "--full", "--signal=KILL"], environment)
        _ask(["scancel", "--me"], environment)
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()
            daemon.wait()


def _configure(folder):
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    controller_port, node_port = _free_ports(2)
    user = pwd.getpwuid(os.getuid()).pw_name
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(
        folder=folder, host=host, user=user, cpus=CPUS, controller_port=controller_port, node_port=node_port
    )
    (folder / "slurm.conf").write_text(text)


def _commands(folder):
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed", "log-file": "log"}
    options = [f"--{option}={folder}/munge.{ending}" for option, ending in files.items()]
    return {
        "munged": ["munged", "--foreground", "--force", *options],
        "slurmctld": ["slurmctld", "-D", "-i"],
        "slurmd": ["slurmd", "-D"],
    }


def _free_ports(number):
    with_sockets = [socket.socket() for _ in range(number)]
    try:
        for each in with_sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in with_sockets]
    finally:
        for each in with_sockets:
            each.close()


def _ask(command, environment):
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def _wait(condition, folder, name):
    end = time.monotonic() + PLENTY_S
    while not condition():
        if time.monotonic() > end:
            lines = [
                line
                for file in sorted(folder.glob(f"{name}*.*"))
                for line in file.read_text("utf8", "replace").splitlines()
            ]
            pytest.skip(f"{name} cannot be started here: {' | '.join(lines[-3:])}")
        time.sleep(0.2)
