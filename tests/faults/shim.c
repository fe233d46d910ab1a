/* Preloaded into an engine: its Nth write, fsync, rename or unlink below a path fails, or is its last.

   `fault_arm` sets which; `count`, in memory shared with the parent, is how many such operations there were. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "preloaded.h"

enum { FAIL, KILL, TEAR }; /* TEAR writes half, then kills */

static char operations[64], pattern[PATH_MAX];
static long nth;
static int action, error_number;
static atomic_long *counter;

void fault_arm(const char *wanted, const char *paths, long number, int what, int error, atomic_long *count) {
    snprintf(operations, sizeof operations, "%s", wanted);
    snprintf(pattern, sizeof pattern, "%s", paths);
    nth = number, action = what, error_number = error, counter = count;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Is this the operation that is to fail? Does not return when it is to be the last. */
static int struck(const char *operation, const char *path) {
    if (!counter || !strstr(operations, operation) || fnmatch(pattern, path, 0)) return 0;
    if (atomic_fetch_add(counter, 1) + 1 != nth) return 0;
    if (action == KILL) die();
    errno = error_number;
    return 1;
}

ssize_t write(int descriptor, const void *data, size_t size) {
    char path[PATH_MAX];
    if (counter && struck("write", path_of(descriptor, path))) {
        if (action != TEAR) return -1;
        REAL(write)(descriptor, data, size / 2);
        die();
    }
    return REAL(write)(descriptor, data, size);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (counter && struck("write", path_of(descriptor, path))) {
        if (action != TEAR) return -1;
        REAL(write)(descriptor, parts[0].iov_base, parts[0].iov_len / 2);
        die();
    }
    return REAL(writev)(descriptor, parts, count);
}

int fsync(int descriptor) {
    char path[PATH_MAX];
    return counter && struck("fsync", path_of(descriptor, path)) ? -1 : REAL(fsync)(descriptor);
}

int rename(const char *from, const char *to) {
    return struck("rename", to) ? -1 : REAL(rename)(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    char path[PATH_MAX], folder[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", to[0] == '/' || !counter ? "" : path_of(to_folder, folder), to);
    return struck("rename", path) ? -1 : REAL(renameat)(from_folder, from, to_folder, to);
}

int unlink(const char *name) {
    return struck("unlink", name) ? -1 : REAL(unlink)(name);
}

int unlinkat(int folder, const char *name, int flags) {
    char path[PATH_MAX], above[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", name[0] == '/' || !counter ? "" : path_of(folder, above), name);
    return struck("unlink", path) ? -1 : REAL(unlinkat)(folder, name, flags);
}
