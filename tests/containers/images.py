"""Images as users of other programs have them."""

from tests.containers.engine import BASE, ROOT

STAND_IN = ROOT / "tests" / "worker" / "dock38" / "stand_in.py"
# dock64 needs libraries that the worker's image has not, one of them where only it looks.
DOCK64 = """
#include <unistd.h>
extern void _gfortran_set_args(int, char **);
extern int dock_parts(void);
static const char stand_in[] = {%s, 0};

int main(int count, char **given) {
    char *started[count + 4];
    _gfortran_set_args(count, given);
    if (dock_parts() != 38)
        return 3;
    started[0] = "python3"; started[1] = "-IS"; started[2] = "-c"; started[3] = (char *)stand_in;
    for (int each = 1; each <= count; each++)
        started[each + 3] = given[each];
    execvp("python3", started);
    return 4;
}
"""
COMPILER = f"""
FROM {BASE} AS compiled
RUN apt-get update \\
 && apt-get install --yes --no-install-recommends gcc libc6-dev libgfortran5 musl-tools
"""
DOCK = f"""{COMPILER}
COPY dock64.c parts.c /
RUN mkdir -p /dock/lib /dock/bin && cd /dock \\
 && gcc -shared -fPIC -Wl,-soname,libparts.so -o lib/libparts.so /parts.c \\
 && cp -L /usr/lib/*/libgfortran.so.5 lib/ \\
 && gcc -o bin/dock64-3.8 /dock64.c lib/libparts.so lib/libgfortran.so.5 -Wl,-rpath,/dock/lib
FROM {BASE}
COPY --from=compiled /dock /dock
RUN ln -s /dock/bin/dock64-3.8 /dock64
"""
SAMTOOLS = f"""
FROM {BASE}
RUN apt-get update && apt-get install --yes --no-install-recommends samtools \\
 && rm -rf /usr/bin/python3* /usr/lib/python3* /usr/local/bin/*
ENV PYTHONPATH=/nowhere PYTHONHOME=/nowhere LD_LIBRARY_PATH=/nowhere PATH=/lab/bin:/usr/bin:/bin
WORKDIR /lab
"""
BARE = f"""{COMPILER}
COPY hello.c /
RUN mkdir -p /made/bin /made/lib && musl-gcc -o /made/bin/hello /hello.c \\
 && cp /usr/lib/*-linux-musl/libc.so /made/lib/ld-musl-x86_64.so.1
FROM scratch
COPY --from=compiled /made/ /
"""
HELLO = 'int puts(const char *); int main(void) { puts("hello from musl"); return 0; }\n'


def dock(folder):
    """DOCK's, with the stand-in as its dock64."""
    content = ",".join(str(byte) for byte in STAND_IN.read_bytes())
    (folder / "dock64.c").write_text(DOCK64 % content)
    (folder / "parts.c").write_text("int dock_parts(void) { return 38; }\n")
    (folder / "Dockerfile").write_text(DOCK)
    return folder


def samtools(folder):
    (folder / "Dockerfile").write_text(SAMTOOLS)
    return folder


def bare(folder):
    (folder / "hello.c").write_text(HELLO)
    (folder / "Dockerfile").write_text(BARE)
    return folder
