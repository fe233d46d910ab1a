/* Preloaded into programs: below a folder, the file system cannot do some things that a disk's can.

   LIMITED_FOLDER: the folder; LIMITED: words such as "fsync:22 chmod:1", each an operation and the errno of its answer.
   `fsyncdir` and `fsync`, `chmod`, `flock`, `mmap` (shared maps), `replace` (a rename over a file), `stat`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preloaded.h"

/* The errno of an operation on a path; 0 where it can be done. */
static int limit(const char *operation, const char *path) {
    const char *folder = getenv("LIMITED_FOLDER"), *limits = getenv("LIMITED");
    if (!folder || !limits || !path || strncmp(path, folder, strlen(folder))) return 0;
    size_t length = strlen(operation);
    for (const char *word = limits; word; word = strchr(word, ' ')) {
        word += *word == ' ';
        if (!strncmp(word, operation, length) && word[length] == ':') return atoi(word + length + 1);
    }
    return 0;
}

#define REFUSE(operation, path, answer) \
    do { int number = limit(operation, path); if (number) { errno = number; return answer; } } while (0)

int fsync(int descriptor) {
    char path[PATH_MAX];
    struct stat found;
    path_of(descriptor, path);
    int is_folder = !fstat(descriptor, &found) && S_ISDIR(found.st_mode);
    REFUSE(is_folder ? "fsyncdir" : "fsync", path, -1);
    return REAL(fsync)(descriptor);
}

int fchmod(int descriptor, mode_t mode) {
    char path[PATH_MAX];
    REFUSE("chmod", path_of(descriptor, path), -1);
    return REAL(fchmod)(descriptor, mode);
}

int chmod(const char *path, mode_t mode) {
    REFUSE("chmod", path, -1);
    return REAL(chmod)(path, mode);
}

int flock(int descriptor, int operation) {
    char path[PATH_MAX];
    REFUSE("flock", path_of(descriptor, path), -1);
    return REAL(flock)(descriptor, operation);
}

void *mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset) {
    char path[PATH_MAX];
    if ((flags & MAP_TYPE) == MAP_SHARED && descriptor >= 0)
        REFUSE("mmap", path_of(descriptor, path), MAP_FAILED);
    return REAL(mmap)(at, size, protection, flags, descriptor, offset);
}

void *mmap64(void *at, size_t size, int protection, int flags, int descriptor, off_t offset) {
    return mmap(at, size, protection, flags, descriptor, offset);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    char path[PATH_MAX], folder[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", path_of(to_folder, folder), to);
    if (!access(path, F_OK)) REFUSE("replace", path, -1);
    return REAL(renameat)(from_folder, from, to_folder, to);
}

int stat(const char *path, struct stat *found) {
    REFUSE("stat", path, -1);
    return fstatat(AT_FDCWD, path, found, 0);
}

int stat64(const char *path, struct stat64 *found) {
    return stat(path, (struct stat *)found);
}
