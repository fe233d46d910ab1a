/* Preloaded into a process: its reads, or its writes, of files whose path matches a pattern never return.

   As on a disk that is frozen or a server that is gone; signals still end them, as they end most such calls.
   HANGING_READ and HANGING_WRITE hold the patterns. With HANGING_LATE the first signal does not end the call, as one
   that came just before it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int hangs(const char *variable, int descriptor) {
    static int late;
    const char *pattern = getenv(variable);
    char link[64], path[PATH_MAX];
    if (!pattern) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    if (fnmatch(pattern, path, 0)) return 0;
    if (getenv("HANGING_LATE") && !late++) poll(NULL, 0, -1);
    poll(NULL, 0, -1); /* ends with EINTR, and not before */
    errno = EINTR;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t read(int descriptor, void *data, size_t size) {
    return hangs("HANGING_READ", descriptor) ? -1 : REAL(read)(descriptor, data, size);
}

ssize_t pread(int descriptor, void *data, size_t size, off_t offset) {
    return hangs("HANGING_READ", descriptor) ? -1 : REAL(pread)(descriptor, data, size, offset);
}

ssize_t pread64(int descriptor, void *data, size_t size, off64_t offset) {
    return hangs("HANGING_READ", descriptor) ? -1 : REAL(pread64)(descriptor, data, size, offset);
}

ssize_t write(int descriptor, const void *data, size_t size) {
    return hangs("HANGING_WRITE", descriptor) ? -1 : REAL(write)(descriptor, data, size);
}
