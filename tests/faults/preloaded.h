/* What every preloaded library needs; _GNU_SOURCE is defined before. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* The function of this name that ours stands before. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The path of an open file, in `path`, which has room for PATH_MAX; "" where the kernel does not say. */
static const char *path_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}
