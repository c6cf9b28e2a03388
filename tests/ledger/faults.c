/* Lets the n-th change of files below a folder fail, or end the process: preloaded into the victim.
 *
 * Changes are write, pwrite, fsync, fdatasync, rename, unlink and unlinkat. After the n-th, all
 * succeed again. The error KILL ends the process in place of the change; of a write, half is made.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KILL -1

static int countdown = 0, fault = 0, reached = 0;
static char below[PATH_MAX];

void fault_arm(int call, int error, const char *folder) {
    countdown = call, fault = error, reached = 0;
    strncpy(below, folder, sizeof below - 1);
}

int fault_disarm(void) {
    countdown = 0;
    return reached;
}

static int happens(void) {
    if (fault == KILL) raise(SIGKILL);
    errno = fault;
    return -1;
}

static int due(const char *path) {
    if (!countdown || strncmp(path, below, strlen(below)) || --countdown) return 0;
    return reached = 1;
}

static int due_fd(int fd) {
    char link[64], path[PATH_MAX];
    if (!countdown) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return due(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t count) {
    if (!due_fd(fd)) return REAL(write)(fd, data, count);
    if (count > 1) REAL(write)(fd, data, count / 2); /* torn */
    return happens();
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t at) {
    if (!due_fd(fd)) return REAL(pwrite)(fd, data, count, at);
    if (count > 1) REAL(pwrite)(fd, data, count / 2, at);
    return happens();
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) {
    if (!due_fd(fd)) return REAL(pwrite64)(fd, data, count, at);
    if (count > 1) REAL(pwrite64)(fd, data, count / 2, at);
    return happens();
}

int fsync(int fd) { return due_fd(fd) ? happens() : REAL(fsync)(fd); }

int fdatasync(int fd) { return due_fd(fd) ? happens() : REAL(fdatasync)(fd); }

int rename(const char *old, const char *new) {
    return due(new) ? happens() : REAL(rename)(old, new);
}

int unlink(const char *path) { return due(path) ? happens() : REAL(unlink)(path); }

int unlinkat(int folder, const char *path, int flags) {
    return due_fd(folder) ? happens() : REAL(unlinkat)(folder, path, flags);
}
