"""File systems that refuse: a library in front of libc's, for processes of a test."""

import os
import subprocess
from pathlib import Path

# $REFUSES names the call and the start of the paths; its error is that of `errno`.
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static int refused(const char *variable) {
    const char *code = getenv(variable);
    if (code == NULL) return 0;
    errno = atoi(code);
    return 1;
}

int bind(int fd, const struct sockaddr *address, socklen_t length) {
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
    const char *prefixes = getenv("REFUSE_BIND_IN");
    if (prefixes != NULL && address->sa_family == AF_UNIX) {
        char copy[4096], *one, *rest = copy;
        strncpy(copy, prefixes, sizeof copy - 1);
        copy[sizeof copy - 1] = 0;
        const char *path = ((const struct sockaddr_un *)address)->sun_path;
        while ((one = strsep(&rest, ":")) != NULL)
            if (strncmp(path, one, strlen(one)) == 0 && refused("REFUSE_BIND_WITH")) return -1;
    }
    return real(fd, address, length);
}

int flock(int fd, int operation) {
    int (*real)(int, int) = dlsym(RTLD_NEXT, "flock");
    return refused("REFUSE_FLOCK_WITH") ? -1 : real(fd, operation);
}
"""


def refusing(folder: Path, **refuses: str) -> dict[str, str]:
    """Build it in `folder`; return the environment of a process in which it refuses."""
    source, library = folder / "refusing.c", folder / "refusing.so"
    source.write_text(_SOURCE)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True, timeout=60
    )
    return {**os.environ, "LD_PRELOAD": str(library), **refuses}
