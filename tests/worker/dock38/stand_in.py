"""Stands in for dock64: DOCK 3.8's files, signals and exit codes, and none of its chemistry.

usage: dock64 [INDOCK]

Of its own are INDOCK's keys that begin with ``standin_``, and ligands whose names begin with

    FAIL   has no pose             BROKEN  cannot be read          SLOW   takes standin_slow seconds
    GLUED  psol fills its column   STARS   a total that is too wide       CRASH  kills the program
    TWO    has two poses           EXIT    ends the program by a Fortran runtime error
    NOPOSE has a row and no pose: its energy is above mol2_score_maximum
"""

import gzip
import os
import signal
import sys
import time
import zlib
from pathlib import Path

HEADER = (
    "  mol#           id_num     flexiblecode  matched    nscored    time hac    setnum    matnum"
    "   rank charge    elect +  gist +   vdW + psol +  asol + tStrain + mStrain + rec_d + r_hyd ="
    "    Total\n"
)


def parameters(path):
    if not Path(path).exists():
        return None
    lines = Path(path).read_text("latin-1").splitlines()
    if not lines or lines[0] != "DOCK 3.8 parameter":
        return None
    return {line[:30].strip(): line[30:].strip()[:80] for line in lines[1:] if line.strip()}


def columns(width, value):
    text = f"{value:{width}.2f}"
    return text if len(text) <= width else "*" * width


def docked(number, name, rank):
    seed = zlib.crc32(name.encode())
    terms = [(seed >> shift) % 9000 / 100 - 45 for shift in range(10)]
    total = sum(terms)
    if name.startswith("GLUED"):
        terms[4] = 1055.08
    if name.startswith("STARS"):
        total = 1e12
    gaps = (3, 2, 1, 1, 0, 1, 1, 1, 1, 1)
    energies = "".join(" " * g + columns(7, t) for g, t in zip(gaps, terms, strict=True))
    return (
        f"{number:6d} {name[-16:]:16s} {'1':16s} {1494:8d} {120356:10d} {0.08:7.2f} {22:3d} "
        f"{6:9d} {975:9d} {rank:6d}{energies}{columns(10, total + rank - 1)}\n"
    )


def pose(number, name, rank):
    """A block of the poses' file; ``number`` begins anew in each start, and so do OUTDOCK's."""
    atoms = "".join(
        f"{atom:7d} C{atom}    {atom * 1.5:9.4f} {-atom:9.4f}  0.0000 C.3\n" for atom in range(1, 9)
    )
    return (
        f"##########                 Name:     {name}\n"
        "##########          Protonation:                 none\n"
        "##########            Long Name:   none\n"
        f"##########               Number: {number:20d}\n"
        "##########   Ligand Source File: -\n"
        f"##########                 Rank: {rank:20d}\n"
        f"##########         Total Energy: {-10.5 * rank:20.6f}\n\n"
        f"@<TRIPOS>MOLECULE\n {name}          none\n    8     0     0     0     0\n\n\n"
        f"@<TRIPOS>ATOM\n{atoms}@<TRIPOS>BOND\n\n"
    )


def hierarchies(stream):
    """Name by name; what is cut at the end of the stream is passed over without a word."""
    name = None
    for line in stream:
        if line.startswith(b"M") and name is None:
            name = line.split()[1].decode("latin-1")
        elif line.startswith(b"E") and name is not None:
            yield name
            name = None


class Dock:
    def __init__(self, indock):
        self.out = Path("OUTDOCK").open("w", encoding="latin-1")  # noqa: SIM115 - a kill leaves it cut
        self.asked = False
        self.given = indock
        self.read = self.docked = self.here = 0

    def ask(self, *_given):
        self.asked = True

    def say(self, *lines):
        self.out.writelines(f"{line}\n" for line in lines)
        if self.given is None or self.given.get("flush_int") == "1":
            self.out.flush()

    def number(self, key):
        return float(self.given.get(f"standin_{key}", 0))

    def main(self):
        self.say(" DOCK 3.8 stand-in")
        self.refuse()
        time.sleep(self.number("grid_seconds"))
        signal.signal(signal.SIGUSR1, self.ask)
        passed = self.passed_over()
        self.say(HEADER.rstrip("\n"))
        with gzip.open(f"{self.given['output_file_prefix']}mol2.gz", "wt", 1) as self.poses:
            for name in hierarchies(sys.stdin.buffer):
                self.read += 1
                if self.read > passed:
                    self.here += 1
                    self.dock(name)
                if self.asked:
                    break
        if self.number("spoils"):
            os.truncate("test.mol2.gz", 20)
        self.end()

    def refuse(self):
        if self.given is None:
            self.fail("INDOCK is not version 3.8")
        if "standin_error" in self.given:
            self.fail(self.given["standin_error"])
        if self.given["ligand_atom_file"] != "-":
            self.fail("cannot open ligand file")
        for key, value in self.given.items():
            if key.endswith("_file") and value != "-" and not Path(value).exists():
                sys.exit(f"Fortran runtime error: Cannot open file '{value}'")

    def passed_over(self):
        restart = Path("restart")
        if not restart.exists():
            return 0
        files, finished, _ = map(int, restart.read_text().split())
        restart.unlink()
        assert files == 0
        return finished

    def dock(self, name):
        time.sleep(self.number("seconds") + name.startswith("SLOW") * self.number("slow"))
        if name.startswith("CRASH"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if name.startswith("EXIT"):
            sys.exit("Fortran runtime error: Bad value during floating point read")
        if name.startswith("BROKEN"):
            self.here -= self.given.get("standin_counts_broken") == "no"
            self.say(f" skipping molecule: {name[-16:]} none", " BrokenLines:            1")
            return
        self.docked += 1
        if name.startswith("FAIL"):
            reason = "No viable poses.  Grids might be too small.  "
            self.say(f"{self.docked:6d} {name[-16:]:16s}{1368:8d} {51588:10d} {0.06:7.2f} {reason}")
            return
        for rank in range(1, 3 if name.startswith("TWO") else 2):
            self.say(docked(self.docked, name, rank).rstrip("\n"))
            if not name.startswith("NOPOSE"):
                self.poses.write(pose(self.docked, self.printed(name), rank))

    def printed(self, name):
        """The name as the poses have it."""
        return name[-int(self.number("name_chars")) :]

    def end(self):
        if self.asked:
            read = self.read + int(self.number("claims"))
            Path("restart").write_text(f"{0:12d}{read:12d}{self.docked:12d}\n")
            said = " interrupt signal detected since last ligand- initiating clean exit & save"
            self.say(said)
        else:
            self.say(
                " close the file: -",
                " total minimization steps =         3429",
                f" total number of hierarchies: {self.here - int(self.number('forgets')):12d}",
            )
            if not self.number("silent"):
                self.say(" end of file encountered")
        self.say(
            "Date and Time: 20261120 174209.9",
            "elapsed time (sec):        2.8466  (hour):     0.0008",
        )
        self.out.close()
        # Python would put the default back before it ends, which DOCK does not.
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        if code := int(self.number("code")):
            os._exit(code)

    def fail(self, text):
        self.say(f" ERROR ---> {text}", " ERROR ---> stops")
        sys.exit(0)


if __name__ == "__main__":
    try:
        Dock(parameters(sys.argv[1] if len(sys.argv) > 1 else "INDOCK")).main()
    except SystemExit as end:
        if end.code:
            sys.stderr.write(f"{end.code}\n")
            sys.exit(2)
        raise
