"""How the audit reads: colour, narrow terminals, pipes that close, Ctrl-C, JSON and the report on request."""

import json
import os
import pty
import subprocess
import sys

import pytest

from vbref.audit import commands
from vbref.cli import main

VBREF = [sys.executable, "-m", "vbref.cli"]


@pytest.fixture
def terminal(monkeypatch):
    """Standard output that says it is a terminal with colours."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_colour_only_where_it_is_wanted(terminal, monkeypatch):
    assert commands.has_colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not commands.has_colour()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not commands.has_colour()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert not commands.has_colour()


def test_a_terminal_sees_progress_and_colour():
    reader, writer = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        [*VBREF, "audit", "xu/17"], stdout=writer, stderr=writer, env=environment
    ) as process:
        os.close(writer)
        said = b""
        while chunk := _read(reader):
            said += chunk
    os.close(reader)
    assert process.returncode == 0
    assert b"1/1  xu/17" in said
    assert b"\x1b[31mxu/17" in said


def _read(reader):
    try:
        return os.read(reader, 1 << 16)
    except OSError:  # how Linux says that the other end has closed
        return b""


@pytest.mark.parametrize("verb", ["audit", "show"])
def test_forty_columns_are_enough_for_prose(verb, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    assert main([verb, "xu/17", "xu/35b"]) == 0
    said = capsys.readouterr().out
    prose = said.split("worked, on")[0] if verb == "show" else said
    lines = [line for line in prose.splitlines() if not line.startswith("    ")]
    assert max(map(len, lines)) <= 40
    assert "\x1b" not in said


def test_a_reader_that_leaves_is_no_error():
    with subprocess.Popen(
        [*VBREF, "show", "xu/34"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("swallowed", [False, True])
def test_ctrl_c_ends_in_one_line(tmp_path, swallowed, capsys):
    """Also where what runs turns the interrupt into an exception of its own, as imports of extensions do."""
    file = tmp_path / "slow.py"
    file.write_text(
        f"""
import signal
from vbref.audit import Claim

def interrupted(rng):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        if {swallowed}:
            raise ImportError("initialization failed")
        raise

def late(rng):
    raise SystemExit("the audit went on")

sides = dict(statement="x", domain="d", printed=abs, oracles=dict(a=abs, b=abs))
claims = [Claim("mine/1", draw=interrupted, **sides), Claim("mine/2", draw=late, **sides)]
"""
    )
    assert main(["audit", str(file)]) == 130
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "vbref: interrupted\n")


def test_json_to_standard_output_is_json_alone(capsys):
    assert main(["audit", "xu/35", "--json", "-"]) == 0
    assert [record["id"] for record in json.loads(capsys.readouterr().out)] == ["xu/35", "xu/35a", "xu/35b"]


def test_report_on_request(tmp_path, capsys):
    pytest.importorskip("latex2mathml", reason="reports need the extra 'app'")
    assert main(["audit", "xu/35", "--report", str(tmp_path / "out")]) == 0
    assert f"report: {tmp_path / 'out' / 'index.html'}" in capsys.readouterr().out
    assert 'id="xu/35b"' in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_bad_usage(tmp_path, monkeypatch, capsys):
    pytest.importorskip("latex2mathml", reason="reports need the extra 'app'")
    file = tmp_path / "taken"
    file.touch()
    assert main(["audit", "xu/35", "--report", str(file)]) == 2
    assert capsys.readouterr().err == f"vbref: {file}: File exists\n"
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    assert main(["audit", "xu/35", "--report", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "vbref: a report needs latex2mathml: pip install 'vbref[app]'\n"
    assert not (tmp_path / "out").exists()


def test_show_says_conditions_and_each_oracle_s_error(capsys):
    assert main(["show", "xu/16c"]) == 0
    said = capsys.readouterr().out
    assert "true only if: q(z|x) > 0 wherever p(x, z) > 0" in said
    assert "oracle: exact sum over z, 12 instances, largest error" in said


def test_a_step_alone_counts_as_its_equation(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["audit", "xu/35b"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[1].split() == ["xu", "·", "·", "·", "1", "·", "·", "·", "1"]
    assert "1 of 1 equation judged in 1 claim;" in said
