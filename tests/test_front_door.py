"""The command line answers at once and speaks in sentences."""

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reelproof import COMMANDS

ROOT = Path(__file__).resolve().parent.parent


def reelproof(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "reelproof.py", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


def test_help_names_every_command_and_imports_nothing_heavy():
    code = (
        "import sys, reelproof\n"
        "sys.argv = ['reelproof', '--help']\n"
        "try: reelproof.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'gradio', 'pydantic', 'av', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_where_the_front_door_says(name):
    module, attribute, line = COMMANDS[name]
    assert callable(getattr(importlib.import_module(module), attribute))
    assert line.endswith(".")


def test_a_users_mistake_is_one_sentence_and_exit_code_2(tmp_path):
    done = reelproof("submit", str(tmp_path / "nothing"), REELPROOF_HOME=str(tmp_path / "home"))
    assert done.returncode == 2
    assert done.stderr.startswith("reelproof: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_an_unknown_command_is_refused():
    done = reelproof("judge")
    assert done.returncode == 2
    assert "judge" in done.stderr


def test_a_command_ends_with_the_process_that_started_it(tmp_path):
    """A worker whose demo was killed does not go on alone, not even where Ctrl-C is ignored, as in a background job."""
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "environment = {**os.environ, 'REELPROOF_STOP_WITH': str(os.getpid())}\n"
        "child = subprocess.Popen([sys.executable, 'reelproof.py', 'worker'], env=environment)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(8)\n"
        "os._exit(9)\n"
    )
    environment = {**os.environ, "REELPROOF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    child = int(done.stdout.split()[0])
    for _ in range(100):
        if not Path(f"/proc/{child}").exists():
            return
        time.sleep(0.1)
    pytest.fail("the worker goes on without the process that started it")
